# What batchstep checks, as one would write it with jq: valid JSON, the four fields, unique ids.
jq --raw-output 'if .method == "POST" and (.url | type) == "string" and (.body.model | type) == "string"
    and (.body.messages | length) > 0 and (.custom_id | length) > 0
    then .custom_id else error("wrong: \(.custom_id)") end' "$1" | LC_ALL=C sort | uniq -d
