#!/bin/sh
# Installs batchstep on Linux or macOS: downloads the archive for this machine, verifies its SHA-256
# before it is unpacked, and moves the binary into place as a whole. After a failure nothing is installed.
#
#   sh install.sh [--attestation] [--from URL] [DIR]
#
# DIR is ~/.local/bin if it is not given. --attestation also has `gh` verify that the archive was built
# by the release workflow. --from names a mirror of the release's files. See docs/install.md.
set -eu

# A release's install.sh contains that release's version and hashes (.github/package/installers.py
# writes them), so whoever pins this script pins the binary. In the repository both are empty.
version=''
hashes='
'
repository=batchstep/batchstep
tries=3
seconds=300 # For one try.

fail() {
    printf 'install.sh: %s\n' "$1" >&2
    exit 1
}

usage() {
    printf 'install.sh: %s\nusage: install.sh [--attestation] [--from URL] [DIR]\n' "$1" >&2
    exit 2
}

has() { command -v "$1" >/dev/null 2>&1; }

read_arguments() {
    directory='' attestation=no from="https://github.com/$repository/releases/download/cli/v$version"
    while [ $# -gt 0 ]; do
        case $1 in
            --attestation) attestation=yes ;;
            --from)
                [ $# -ge 2 ] || usage "\`--from\` needs an address."
                from=${2%/}
                shift
                ;;
            -*) usage "\`$1\` is not an option." ;;
            *)
                [ -z "$directory" ] || usage 'Only one directory can be named.'
                directory=$1
                ;;
        esac
        shift
    done
    case $from in
        https://*) ;;
        *) usage "The address \`$from\` does not begin with https://." ;;
    esac
    if [ -z "$directory" ]; then
        [ -n "${HOME:-}" ] || usage "\`HOME\` is not set: name a directory."
        directory=$HOME/.local/bin
    fi
    case $directory in
        /*) ;;
        *) directory=./$directory ;;
    esac
}

# Sets `target`.
find_target() {
    system=$(uname -s) machine=$(uname -m)
    case $system in
        Linux) target=unknown-linux-musl ;;
        Darwin) target=apple-darwin ;;
        MINGW* | MSYS* | CYGWIN*) fail 'On Windows use install.ps1.' ;;
        *) fail "There is no batchstep for $system." ;;
    esac
    case $machine in
        x86_64 | amd64) target=x86_64-$target ;;
        aarch64 | arm64) target=aarch64-$target ;;
        *) fail "There is no batchstep for $system on $machine." ;;
    esac
}

# Sets `pinned`, the SHA-256 of the target's archive.
find_hash() {
    [ -n "$version" ] || fail 'This is the script in the repository. It names no release: use that of a release.'
    pinned=$(printf '%s' "$hashes" | sed -n "s/^$target //p")
    [ ${#pinned} -eq 64 ] || fail "This script has no SHA-256 for $target."
}

# One try. Sets `reason`, and `final` if another try cannot help.
try() {
    status=0 final=no
    if has curl; then
        code=$(curl --silent --show-error --location --proto '=https' --proto-redir '=https' --connect-timeout 30 \
            --max-time "$seconds" --write-out '%{http_code}' --output "$2" "$1" 2>"$work/reason") || status=$?
        if [ "$status" -ne 0 ]; then
            reason=$(sed -n 1p "$work/reason")
            return 1
        fi
        [ "$code" != 200 ] || return 0
        reason="the server answered $code"
        case $code in
            408 | 429 | 5*) ;;
            *) final=yes ;;
        esac
        return 1
    fi
    # GNU's wget or BusyBox's, which lacks options. Either may follow a redirect to http, and an old BusyBox checks
    # no certificate: the hash decides.
    # BusyBox's exits with 1 after it has printed its help.
    options=$(wget --help 2>&1) || true
    case $options in *--tries*) set -- "$@" -t 1 ;; esac
    case $options in *-T*) set -- "$@" -T 60 ;; esac
    address=$1 file=$2
    shift 2
    wget -q "$@" -O "$file" "$address" 2>"$work/reason" || status=$?
    [ "$status" -ne 0 ] || return 0
    reason=$(sed -n 1p "$work/reason")
    reason=${reason:-wget ended with exit code $status}
    return 1
}

download() {
    has curl || has wget || fail 'Neither curl nor wget is installed.'
    count=1
    until try "$1" "$2"; do
        rm -f "$2"
        [ "$final" = no ] || fail "$1 cannot be downloaded: $reason."
        [ "$count" -lt "$tries" ] || fail "$1 cannot be downloaded, in $tries tries: ${reason%.}."
        sleep $((count * count))
        count=$((count + 1))
    done
}

sha256() {
    if has sha256sum; then
        sha256sum <"$1" | cut -d ' ' -f 1
    elif has shasum; then
        shasum -a 256 <"$1" | cut -d ' ' -f 1
    elif has openssl; then
        openssl dgst -sha256 -r <"$1" | cut -d ' ' -f 1
    else
        fail 'None of sha256sum, shasum and openssl is installed, so the download cannot be verified.'
    fi
}

verify() {
    found=$(sha256 "$1")
    [ "$found" = "$pinned" ] ||
        fail "$from/$asset is not the file that was released: its SHA-256 is $found, not $pinned. It was not unpacked."
    [ "$attestation" = yes ] || return 0
    has gh || fail "\`--attestation\` needs \`gh\`, which is not installed."
    gh attestation verify "$1" --repo "$repository" --deny-self-hosted-runners \
        --signer-workflow "$repository/.github/workflows/cli-release.yml" \
        --source-ref "refs/tags/cli/v$version" >"$work/attested" 2>&1 || {
        cat "$work/attested" >&2
        fail "\`gh\` could not verify the attestation of $asset. It was not unpacked."
    }
}

# Moves the binary into place: a rename within a directory is all or nothing.
place() {
    mkdir -p "$directory" || fail "The directory \`$directory\` cannot be created."
    [ ! -d "$directory/batchstep" ] || fail "\`$directory/batchstep\` is a directory."
    draft=$directory/.batchstep-$$
    { cp "$1" "$draft" && chmod 755 "$draft"; } || fail "\`$directory\` cannot be written to."
    said=$("$draft" --version 2>&1) || fail "The binary does not run on this machine: $said"
    [ "$said" = "batchstep $version" ] || fail "The binary says that it is \`$said\`, not \`batchstep $version\`."
    mv -f "$draft" "$directory/batchstep" || fail "\`$directory/batchstep\` cannot be replaced."
}

clean() { rm -rf "$work" ${draft:+"$draft"}; }

main() {
    read_arguments "$@"
    find_target
    find_hash
    asset=batchstep-$target.tar.gz
    work=$(mktemp -d) draft=''
    trap clean EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    download "$from/$asset" "$work/$asset"
    verify "$work/$asset"
    tar -xzf "$work/$asset" -C "$work" "batchstep-$target/batchstep" || fail "$asset cannot be unpacked."
    place "$work/batchstep-$target/batchstep"
    attested=''
    [ "$attestation" = no ] || attested=' and its attestation is that of the release workflow'
    echo "batchstep $version is installed as $directory/batchstep; its SHA-256 is the pinned one$attested."
    case :$PATH: in
        *":${directory%/}:"*) ;;
        *) echo "$directory is not in PATH." ;;
    esac
}

# Last and in braces: a script that was cut off while it was downloaded does nothing.
{ main "$@"; }
