#!/usr/bin/env bats
# The Buildkite plugin's hooks, run as the agent runs them: sourced by a shell that waits for them. The agent's program
# is an imitation that notes what it was told. BINARY is the binary, QUICK and SLOW are sandboxes whose batches take
# a few seconds and an hour, PYTHON has the packages of .ci/tools.

setup() {
    started=()
    tree=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
    plugin=$tree/ci/buildkite
    cd "$BATS_TEST_TMPDIR"
    mkdir -p bin meta-data
    cp "$tree/examples/requests.jsonl" .
    cat >bin/buildkite-agent <<'STUB'
#!/usr/bin/env bash
printf '%s\n' "$*" >>"$STUB/calls"
case "$1 $2" in
    'meta-data set') if (($# > 3)); then printf '%s' "$4"; else cat; fi >"$STUB/meta-data/$3" ;;
    'meta-data get') [[ -f $STUB/meta-data/$3 ]] && cat "$STUB/meta-data/$3" || printf '%s' "$5" ;;
    'annotate '*) cat >"$STUB/annotation" ;;
    'artifact upload') exit "${UPLOAD_EXIT:-0}" ;;
esac
STUB
    cat >bin/batchstep <<'STUB'
#!/usr/bin/env bash
printf '<%s>' "$@"
echo
env | grep -E '^(BATCHSTEP_|OPENAI|ANTHROPIC|GITHUB_ACTIONS|DRONE|CI=)' | sort
STUB
    # As internal/job/hook/wrapper.go of the agent writes it.
    cat >wrapper <<'WRAPPER'
#!/usr/bin/env bash
env >"$STUB/before"
. "$HOOK"
export BUILDKITE_HOOK_EXIT_STATUS=$?
env >"$STUB/after"
exit $BUILDKITE_HOOK_EXIT_STATUS
WRAPPER
    chmod +x bin/* wrapper
    real=$(jq -nc --arg binary "$BINARY" --arg url "$QUICK" \
        '{binary: $binary, provider: "compatible", "base-url": $url}')
}

teardown() {
    for pid in "${started[@]}"; do kill -KILL -- "-$pid" 2>/dev/null || true; done
}

# Runs a hook with a configuration, and the variables that follow.
hook() {
    env -u GITHUB_ACTIONS STUB="$BATS_TEST_TMPDIR" HOOK="$plugin/hooks/$1" PATH="$BATS_TEST_TMPDIR/bin:$PATH" \
        BUILDKITE=true CI=true BUILDKITE_BUILD_ID=01234 BUILDKITE_JOB_ID=56789 OPENAI_API_KEY=sk-secret \
        BUILDKITE_PLUGIN_CONFIGURATION="$2" "${@:3}" ./wrapper
}

# The real configuration with more keys.
with() {
    jq -nc --argjson real "$real" --argjson more "$1" '$real + $more'
}

@test "a run reports through the agent and keeps its exit code" {
    run hook command "$(with '{"requests": "requests.jsonl"}')"
    [ "$status" -eq 0 ]
    [ "$(cat meta-data/batchstep-outcome)" = succeeded ]
    [[ "$(cat meta-data/batchstep-batch-ids)" == '["batch_'* ]]
    [ -s annotation ]
    [ "$(wc -l <batch-results/results.jsonl)" -eq 8 ]
    [[ "$output" != *sk-secret* ]]

    echo 'no json' >requests.jsonl
    run hook command "$(with '{"requests": "requests.jsonl"}')"
    [ "$status" -eq 3 ]
    [ "$(cat meta-data/batchstep-outcome)" = invalid ]
    run hook command "$(with '{"requests": "requests.jsonl", "max-failed": "nonsense"}')"
    [ "$status" -eq 2 ]
    [ "$(cat meta-data/batchstep-outcome)" = usage ]
    grep -q max-failed annotation
    echo succeeded >meta-data/batchstep-outcome
    run hook command "$(with '{"requests": "requests.jsonl", "provider": "openai"}')" OPENAI_API_KEY= BATCHSTEP_API_KEY=
    [ "$status" -eq 2 ]
    [ "$(cat meta-data/batchstep-outcome)" = usage ]
}

@test "each value is one argument, whatever it contains" {
    run hook command '{"requests": ["a b", "$(touch pwned)", "-x\ny"], "metadata": ["a=`touch pwned`", "b=\u0027;touch pwned"],
        "max-failed": "2%", "allow-http": true, "csv": false, "retries": 0, "max-cost": 12.5, "prices": "", "gate": null}'
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = "<run><--provider=openai><--ci=buildkite><--allow-http=true><--csv=false><--max-cost=12.5><--max-failed=2%><--metadata=a=\`touch pwned\`><--metadata=b=';touch pwned><--retries=0><--><a b><\$(touch pwned)><-x" ]
    [ "${lines[1]}" = 'y>' ]
    [ ! -e pwned ]
}

@test "variables that come with a build change nothing" {
    evil=(BATCHSTEP_BASE_URL=http://evil BATCHSTEP_GATE='touch pwned' BATCHSTEP_HEADERS=X:1 OPENAI_BASE_URL=http://evil
        ANTHROPIC_BASE_URL=http://evil OPENAI_CUSTOM_HEADERS=X:1 GITHUB_ACTIONS=true INPUT_GATE='touch pwned' CI=woodpecker
        DRONE=true PLUGIN_GATE='touch pwned' CIRCLECI=true BASH_ENV=victim BUILDKITE_PLUGIN_BATCHSTEP_BASE_URL=http://evil
        BUILDKITE_PLUGIN_BUILDKITE_BASE_URL=http://evil BATCHSTEP_COMMAND=collect)
    run hook command '{"requests": "r"}' "${evil[@]}"
    [ ! -e victim ]
    [ "$output" = $'<run><--provider=openai><--ci=buildkite><--><r>\nBATCHSTEP_API_KEY=\nBATCHSTEP_HEADERS=\nCI=true\nOPENAI_API_KEY=sk-secret' ]
    run hook command "$(with '{"requests": "requests.jsonl"}')" "${evil[@]}"
    [ "$status" -eq 0 ]
    [ ! -e pwned ]
}

@test "secrets come from the variables that the configuration names" {
    run hook command '{"api-key-variable": "MY_KEY", "headers-variable": "MY_HEADERS"}' MY_KEY='a b' MY_HEADERS='X-Team: 1'
    [[ "$output" == *$'\nBATCHSTEP_API_KEY=a b\nBATCHSTEP_HEADERS=X-Team: 1\n'* ]]
    run hook command '{"api-key-variable": "x[$(touch pwned)]"}'
    [ "$status" -eq 2 ]
    [ ! -e pwned ]
}

@test "configurations that cannot be used are refused" {
    for bad in '[]' 'x' '{"a": {"b": 1}}' '{"metadata": [["a"]]}' '{"api-key": "sk-1"}' '{"headers": "X: 1"}' '{"github-token": "t"}' '{"gitlab-token": "t"}' \
        '{"max_failed": 1}' '{"-x": 1}' '{"a b": 1}' '{"prices": "a\u0000--base-url=evil"}' '{"command": "cancel"}' \
        '{"binary": "missing"}' '{"binary": "", "version": "../1"}' '{"api-key-variable": "1"}'; do
        run hook command "$bad"
        [ "$status" -eq 2 ] || { echo "took $bad: $output"; false; }
        [[ "$output" == *'batchstep plugin: '* ]]
    done
    run env PATH="$BATS_TEST_TMPDIR/bin" BUILDKITE_PLUGIN_CONFIGURATION='{}' /bin/bash -c ". $plugin/lib/config.bash; check_configuration"
    [ "$status" -eq 2 ]
    [[ "$output" == *'`jq` is not installed'* ]]
}

@test "SIGTERM cancels the batch before the agent kills the job" {
    for signalled in group process; do
        rm -rf log batch-results
        echo "{\"custom_id\":\"$signalled-$RANDOM$RANDOM\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}]}}" >requests.jsonl
        configuration=$(with "{\"requests\": \"requests.jsonl\", \"base-url\": \"$SLOW\"}")
        env -u GITHUB_ACTIONS STUB="$BATS_TEST_TMPDIR" HOOK="$plugin/hooks/command" PATH="$BATS_TEST_TMPDIR/bin:$PATH" BUILDKITE=true CI=true \
            OPENAI_API_KEY=sk BUILDKITE_PLUGIN_CONFIGURATION="$configuration" setsid ./wrapper >log 2>&1 3>&- &
        pid=$!
        started+=("$pid")
        for ((i = 0; i < 200; i++)); do
            ! grep -q 'Created batch' log || break
            sleep 0.1
        done
        id=$(grep -oE 'Created batch [a-z0-9_]+' log | cut -d ' ' -f 3)
        if [ $signalled = group ]; then kill -TERM -- "-$pid"; else kill -TERM "$pid"; fi
        for ((i = 0; i < 90; i++)); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        ! kill -0 "$pid" 2>/dev/null || { echo "it outlived 9 seconds"; cat log; false; }
        code=0
        wait "$pid" || code=$?
        [ "$code" -eq 143 ] || { echo "exit code $code"; cat log; false; }
        run "$BINARY" batch get "$id" --provider compatible --base-url "$SLOW" --api-key x
        [[ "$output" == *'"status":"cancel'* ]]
    done
}

@test "collect takes the batches from the build" {
    printf '["batch_1","batch_2"]' >meta-data/batchstep-batch-ids
    run hook command '{"command": "collect", "requests": ["a", "b"], "timeout": 0}'
    [ "${lines[0]}" = '<collect><--provider=openai><--ci=buildkite><--requests=a><--requests=b><--timeout=0><--><["batch_1","batch_2"]>' ]
    run hook command '{"command": "collect", "batch-id": "batch_3"}'
    [ "${lines[0]}" = '<collect><--provider=openai><--ci=buildkite><--><batch_3>' ]
    rm meta-data/*
    run hook command '{"command": "collect"}'
    [ "${lines[0]}" = '<collect><--provider=openai><--ci=buildkite>' ]
}

@test "the files are uploaded however the command ended" {
    mkdir batch-results
    touch batch-results/report.json junit.xml
    run hook pre-exit '{"junit": "junit.xml", "summary-file": "missing.md"}' BUILDKITE_COMMAND_EXIT_STATUS=7
    [ "$status" -eq 0 ]
    [ "$(cat calls)" = $'artifact upload batch-results/**/*\nartifact upload junit.xml' ]
    run hook pre-exit '{}' UPLOAD_EXIT=1 BUILDKITE_COMMAND_EXIT_STATUS=7
    [ "$status" -eq 0 ]
    run hook pre-exit '{}' UPLOAD_EXIT=1 BUILDKITE_COMMAND_EXIT_STATUS=0
    [ "$status" -eq 1 ]
    rm calls
    mkdir '*;x'
    run hook pre-exit '{"output-dir": "*;x"}' BUILDKITE_COMMAND_EXIT_STATUS=7
    run hook pre-exit '{"upload": false}'
    run hook pre-exit '{"output-dir": "missing"}'
    [ "$status" -eq 0 ]
    [ ! -e calls ]
}

@test "a release is installed by its own installer, whose hash can be pinned" {
    cat >bin/curl <<'STUB'
#!/usr/bin/env bash
printf '%s\n' "$*" >>"$STUB/downloads"
[[ ${*: -1} != */v9.9.9/* ]] || exit 22
while [[ $1 != --output ]]; do shift; done
printf 'cp "%s/bin/batchstep" "$1/"\n' "$STUB" >"$2"
STUB
    chmod +x bin/curl
    sum=$(printf 'cp "%s/bin/batchstep" "$1/"\n' "$BATS_TEST_TMPDIR" | sha256sum | cut -d ' ' -f 1)
    cp -r "$plugin" plugin
    plugin=$PWD/plugin
    run hook command "{\"version\": \"1.2.3\", \"installer-sha256\": \"${sum//[0-9]/0}\"}"
    [ "$status" -eq 2 ]
    [[ "$output" == *'another SHA-256'* ]]
    run hook command '{"version": "1.2.3", "installer-sha256": "x"}'
    [[ "$status" -eq 2 && "$output" == *'not a SHA-256'* ]]
    [ -z "$(find plugin/releases -name batchstep)" ]
    run hook command "{\"version\": \"1.2.3\", \"installer-sha256\": \"$sum\"}"
    [ "${lines[0]}" = '<run><--provider=openai><--ci=buildkite>' ]
    grep -qF 'https://github.com/batchstep/batchstep/releases/download/cli/v1.2.3/install.sh' downloads
    rm downloads
    run hook command "{\"version\": \"1.2.3\", \"installer-sha256\": \"$sum\"}"
    [ "$status" -eq 0 ]
    [ ! -e downloads ]
    # What was installed with that hash is no answer to another one, nor is what a build brings along.
    run hook command "{\"version\": \"1.2.3\", \"installer-sha256\": \"${sum//[0-9]/0}\"}"
    [ "$status" -eq 2 ]
    mkdir -p cache/batchstep/1.2.4
    cp bin/batchstep cache/batchstep/1.2.4
    rm downloads
    run hook command '{"version": "1.2.4"}' XDG_CACHE_HOME="$PWD/cache"
    [ -e downloads ]
    run hook command '{"version": "9.9.9"}'
    [ "$status" -eq 2 ]
    [[ "$output" == *'could not be downloaded'* ]]
}

@test "a retried job takes the batch of the first one, a rebuild does not" {
    job=(BUILDKITE_REPO=git@github.com:acme/evals.git BUILDKITE_PIPELINE_SLUG=evals BUILDKITE_STEP_ID=s
        "BUILDKITE_BUILD_NUMBER=$RANDOM$RANDOM")
    run hook command "$(with '{"requests": "requests.jsonl"}')" "${job[@]}" BUILDKITE_RETRY_COUNT=0
    [[ "$output" == *'Created batch'* ]]
    rm -rf batch-results
    run hook command "$(with '{"requests": "requests.jsonl"}')" "${job[@]}" BUILDKITE_RETRY_COUNT=1
    [ "$status" -eq 0 ]
    [[ "$output" == *'Attached to batch'* && "$output" != *'Created batch'* ]]
    rm -rf batch-results
    run hook command "$(with '{"requests": "requests.jsonl"}')" "${job[@]}" BUILDKITE_BUILD_NUMBER=1
    [[ "$output" == *'Created batch'* ]]
}

@test "the pipelines of the page" {
    mapfile -t configurations < <("$PYTHON" "$tree/tests/agents/pages.py" buildkite.md)
    [ "${#configurations[@]}" -eq 3 ]
    run hook command "$(with "${configurations[0]}")"
    [ "$status" -eq 0 ]
    rm -rf batch-results meta-data/*

    run hook command "$(with "${configurations[1]}")"
    [ "$status" -eq 0 ]
    [ "$(cat meta-data/batchstep-outcome)" = pending ]
    rm -rf batch-results
    # Each look is one job; with the page's own `timeout` the first would wait long enough.
    looks=0
    status=8
    while ((status == 8 && looks < 11)); do
        run hook command "$(with "$(jq -c '.timeout = 0' <<<"${configurations[2]}")")"
        looks=$((looks + 1))
        sleep 0.4
    done
    [ "$status" -eq 0 ]
    [ "$looks" -gt 1 ]
    [ "$(cat meta-data/batchstep-outcome)" = succeeded ]
    [ "$(wc -l <batch-results/results.jsonl)" -eq 8 ]
    run hook command "$(with "${configurations[2]}")"
    [ "$status" -eq 0 ]
}
