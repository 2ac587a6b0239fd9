#!/usr/bin/env bash
# Reads the plugin's configuration. The agent sets BUILDKITE_PLUGIN_CONFIGURATION itself. The flat variables
# BUILDKITE_PLUGIN_…_BASE_URL are not read: whoever may create a build can set those that the pipeline leaves out.

configuration=${BUILDKITE_PLUGIN_CONFIGURATION:-}

fail() {
    printf '^^^ +++\nbatchstep plugin: %s\n' "$1" >&2
    exit 2
}

# Ends the hook if a program is missing, or the configuration cannot be turned into arguments.
check_configuration() {
    command -v jq >/dev/null || fail "\`jq\` is not installed on this agent."
    local problem
    problem=$(jq -r '
        def is_plain: type == "string" or type == "number" or type == "boolean" or type == "null";
        def problem:
            if (.key | test("^[a-z][a-z0-9]*(-[a-z0-9]+)*$") | not) then "`\(.key)` is not an input."
            elif .key as $key | ["api-key", "headers", "github-token", "gitlab-token"] | index($key) then
                "`\(.key)` is a secret and would be visible in the pipeline. Set it as a variable on the agent."
            elif .value | if type == "array" then all(is_plain) else is_plain end | not then
                "`\(.key)` must be a text, a number, a boolean, or a list of these."
            elif [.value | if type == "array" then .[] else . end | tostring] | any(explode | index(0)) then
                "`\(.key)` contains a NUL character."
            else empty end;
        if type == "object" then first(to_entries[] | problem) else "The configuration is not an object." end
    ' 2>/dev/null <<<"$configuration") || fail 'BUILDKITE_PLUGIN_CONFIGURATION is not JSON.'
    [[ -z $problem ]] || fail "$problem"
}

# Prints the values of a key, each ended by NUL. What is null or empty counts as not set.
values() {
    jq -j --arg key "$1" '
        .[$key] | if type == "array" then .[] else . end | select(. != null and . != "") | "\(.)\u0000"
    ' <<<"$configuration"
}

# Prints the first value of a key, or the default.
value() {
    local found
    IFS= read -r -d '' found < <(values "$1") || found=$2
    printf '%s' "$found"
}

# Prints the keys that are flags of batchstep.
flags() {
    jq -r '
        ["api-key-variable", "batch-id", "binary", "command", "headers-variable", "installer-sha256", "upload",
            "version"] as $others | keys[] | select(. as $key | $others | index($key) | not)
    ' <<<"$configuration"
}
