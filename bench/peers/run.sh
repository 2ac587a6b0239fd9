# A batch by hand: upload, create, wait, download. Nothing is checked, counted or put in order.
set -e
api() { curl --silent --fail --header "Authorization: Bearer $OPENAI_API_KEY" "$@"; }
file=$(api --form purpose=batch --form "file=@$1" "$2/files" | jq --raw-output .id)
body="{\"input_file_id\":\"$file\",\"endpoint\":\"/v1/chat/completions\",\"completion_window\":\"24h\"}"
batch=$(api --json "$body" "$2/batches" | jq --raw-output .id)
until output=$(api "$2/batches/$batch" | jq --exit-status --raw-output .output_file_id); do sleep 0.05; done
api "$2/files/$output/content" --output "$3"
