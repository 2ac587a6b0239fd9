#!/usr/bin/env bash
# Drives the sandbox with the vendors' official SDKs, pinned, whose types must
# take everything that it answers: create, poll, list, cancel, results, delete.
# Then runs batchstep, whose calls must be ones that the SDKs make and whose bodies
# must be what their request models take.
#
#     BATCHSTEP=path/to/batchstep bench/sdks.sh
#
# Needs Python 3.9 or later with venv. The SDKs are kept in target/bench.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(realpath -m "${CARGO_TARGET_DIR:-target}")/bench
batchstep=${BATCHSTEP:-$work/../release/batchstep}
log=$(mktemp)
server=
trap '[[ -z $server ]] || kill $server; rm -f "$log"' EXIT
mkdir -p "$work"

if ! [[ -e $work/sdks/ready ]]; then
    python3 -m venv "$work/sdks"
    "$work/sdks/bin/pip" install --quiet --disable-pip-version-check openai==3.54.0 anthropic==2.14.0
    touch "$work/sdks/ready"
fi

# Serves a dialect at $origin: dialect, further arguments.
serve() {
    # Here, since the line of the server before it must be gone before the first look.
    : >"$log"
    "$batchstep" sandbox --port 0 --dialect "$@" 2>"$log" &
    server=$!
    until grep -q SIMULATED "$log"; do
        kill -0 $server
        sleep 0.1
    done
    origin=$(sed -n 's|.* serves \(http://[^/]*\)/.*|\1|p' "$log")
}

stop() {
    kill $server
    # Its status is that of the signal.
    wait $server || true
    server=
}

# The SDK calls: dialect, faults.
drive() {
    serve "$1" --takes 1s --fault "$2"
    "$work/sdks/bin/python" bench/sdks.py "$1" "$origin"
    stop
}

# batchstep calls, and runs into a deadline of a second: dialect.
call() {
    serve "$1" --takes 3s
    "$work/sdks/bin/python" bench/calls.py "$1" "$origin" "$batchstep"
    stop
}

faults='batch expire=500ms after=2 times=1
rows status=529 after=3 share=50%'
drive openai "list 429 times=1
$faults"
drive anthropic "create 529 times=1
$faults"
call openai
call anthropic
