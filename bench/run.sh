#!/usr/bin/env bash
# Holds batchstep against its peers, side by side on this machine, and prints
# the tables of docs/performance.md.
#
#     bench/run.sh [--quick]
#
# Needs Rust, Python 3.9 or later with venv, and GNU time; installs curl, jq,
# openssl and time with apt where they are missing, and the Python peers, pinned,
# into virtual environments. Inputs and environments are kept in target/bench:
# 4 GB, or 100 MB with --quick, which takes seconds once they are there and
# whose figures mean little. All talks to one sandbox on loopback, which keeps
# every upload in memory: 6 GB.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(realpath -m "${CARGO_TARGET_DIR:-target}")/bench
chat=50000 short=2000000 most=5000000 rounds=5
if [[ ${1-} == --quick ]]; then
    chat=2000 short=20000 most=100000 rounds=1
fi
server=
trap '[[ -z $server ]] || kill $server' EXIT
mkdir -p "$work"

tools() {
    local missing=()
    for tool in curl jq openssl python3; do
        command -v $tool >/dev/null || missing+=("$tool")
    done
    command -v /usr/bin/time >/dev/null || missing+=(time)
    if ((${#missing[@]})); then apt-get update -qq && apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null; fi
}

# Makes a file of requests unless it is there: kind, rows.
input() {
    if ! [[ -s $work/$1-$2.jsonl ]]; then
        python3 bench/inputs.py "$1" "$2" "$work/part" && mv "$work/part" "$work/$1-$2.jsonl"
    fi
}

# Makes a virtual environment unless it is there: name, packages.
environment() {
    if ! [[ -e $work/$1/ready ]]; then
        python3 -m venv "$work/$1" && "$work/$1/bin/pip" install --quiet --disable-pip-version-check "${@:2}" && touch "$work/$1/ready"
    fi
}

machine() {
    printf 'Date      %s\n' "$(date --utc --iso-8601)"
    printf 'Machine   %s cores (%s), %s GiB, %s, %s\n' "$(nproc)" "$(awk -F ': ' '/^model name/ { print $2; exit }' /proc/cpuinfo)" \
        "$(awk '/MemTotal/ { print int($2 / 1048576 + 0.5) }' /proc/meminfo)" "$(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release)" "$(uname -m)"
    printf 'Programs  %s; %s; %s; %s; %s; %s\n' "$("$batchstep" --version)" "$(rustc --version)" "$(python3 --version)" \
        "$(curl --version | cut -d ' ' -f 1,2 | head -n 1)" "$(jq --version)" "$(openssl version | cut -d ' ' -f 1,2)"
    printf 'Packages  %s\n\n' "$("$work/sdk/bin/pip" freeze --disable-pip-version-check | grep '^openai=='), $("$work/peers/bin/pip" freeze --disable-pip-version-check | grep -E '^(openai|batchwizard|openai-batch)==' | paste -s -d ' ')"
}

measure() { python3 bench/measure.py "$rounds" "$@"; echo; }

# The check alone.
checks() {
    for file in chat-$chat code-$chat short-$short; do
        local path=$work/$file.jsonl
        measure "check, $file" \
            'openssl dgst -sha256' "openssl dgst -sha256 $path" \
            'batchstep check' "$batchstep check $path" \
            'Python' "python3 bench/peers/check.py $path" \
            'jq' "sh bench/peers/check.sh $path"
    done
}

# The check of ever more lines of 500 bytes.
sizes() {
    local cases=()
    for rows in 1000 10000 100000 1000000 5000000; do
        local path=$work/rows-$rows.jsonl
        ((rows <= most)) || break
        if ((rows < most)); then head -n $rows "$work/short-$most.jsonl" >"$path"; else path=$work/short-$most.jsonl; fi
        cases+=("$rows requests" "$batchstep check $path")
    done
    measure 'check, by size' "${cases[@]}"
    rm -f "$work"/rows-*.jsonl
}

serve() {
    [[ -z $server ]] || kill $server
    "$batchstep" sandbox --port 0 --takes 1ms 2>"$work/sandbox" &
    server=$!
    until grep -q SIMULATED "$work/sandbox"; do
        kill -0 $server || { echo 'The sandbox did not start.' >&2; exit 1; }
        sleep 0.1
    done
    url=$(sed -n 's|.* serves \(http://[^ ]*\) .*|\1|p' "$work/sandbox")
}

# Upload, create, wait, download. The batch itself takes a millisecond, the sandbox a while to make the answers up.
runs() {
    local path=$work/chat-$chat.jsonl out=$work/out
    rm -rf "$out" && mkdir "$out"
    export OPENAI_API_KEY=none OPENAI_BASE_URL=$url HOME=$out
    measure "run, chat-$chat" \
        'curl' "sh bench/peers/run.sh $path $url $out/curl.jsonl" \
        'batchstep run' "$batchstep run $path --provider sandbox --base-url $url --reuse never --poll-interval 50ms --output-dir $out/batchstep" \
        'openai (Python)' "$work/sdk/bin/python bench/peers/sdk.py $path $out/sdk.jsonl" \
        'openai-batch' "$work/peers/bin/python bench/peers/openai_batch_run.py $path $out/openai-batch.jsonl" \
        'batchwizard' "$work/peers/bin/batchwizard process $path --check-interval 0 --output-directory $out/batchwizard"
    # Ids of the lines differ from batch to batch; their order may not.
    cmp <(jq --raw-output .custom_id "$out/batchstep/results.jsonl") <(jq --raw-output .custom_id "$out/sdk.jsonl")
}

# Once is enough for its memory: the peers cannot send what is more than one batch.
parts() {
    local out=$work/out
    rounds=1 measure "run, short-$short, one round" \
        'batchstep run' "$batchstep run $work/short-$short.jsonl --provider sandbox --base-url $url --poll-interval 50ms --output-dir $out/parts"
    rm -rf "$out"
}

starts() {
    # shellcheck disable=SC2016 # The inner shell expands it.
    local many='i=0; while [ $i -lt 100 ]; do %s --version; i=$((i + 1)); done'
    # shellcheck disable=SC2059
    measure '100 starts' 'true' "$(printf "$many" /bin/true)" 'batchstep' "$(printf "$many" "$batchstep")" \
        'Python, importing openai' "i=0; while [ \$i -lt 100 ]; do $work/sdk/bin/python -c 'import openai'; i=\$((i + 10)); done"
}

tools
batchstep=${BATCHSTEP:-$(.ci/build-static 2>/dev/null)}
input chat $chat
input code $chat
input short $most
[[ -s $work/short-$short.jsonl ]] || head -n $short "$work/short-$most.jsonl" >"$work/short-$short.jsonl"
environment sdk openai==3.54.0
environment peers batchwizard==0.5.0 openai-batch==0.3.4
machine
checks
sizes
serve
runs
serve
parts
starts
