"""Writes a release's version and hashes into ci/install.sh and ci/install.ps1.

    python3 .github/package/installers.py MANIFEST DIRECTORY

MANIFEST is what .github/pin-release.js prints for the release: the scripts and the action are held to the
same hashes. The finished scripts are written into DIRECTORY.
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def put(text, empty, filled):
    """`text` with its one line `empty` replaced."""
    if text.count(f"{empty}\n") != 1:
        sys.exit(f"installers.py: The script does not have one line {empty.strip()!r}.")
    return text.replace(f"{empty}\n", f"{filled}\n")


def shell(version, hashes):
    """install.sh of a release; Windows has the other script."""
    text = (ROOT / "ci/install.sh").read_text()
    lines = [f"{target} {sha256}" for target, sha256 in hashes.items() if "windows" not in target]
    text = put(text, "version=''", f"version='{version}'")
    return put(text, "hashes='", "\n".join(["hashes='", *lines]))


def powershell(version, hashes):
    """install.ps1 of a release."""
    text = (ROOT / "ci/install.ps1").read_text()
    lines = [f"        '{target}' = '{sha256}'" for target, sha256 in hashes.items() if "windows" in target]
    text = put(text, "    $version = ''", f"    $version = '{version}'")
    return put(text, "    $hashes = @{", "\n".join(["    $hashes = @{", *lines]))


def main(manifest, directory):
    release = json.loads(pathlib.Path(manifest).read_text())
    version = release["version"]
    hashes = {target: entry["sha256"] for target, entry in release["targets"].items()}
    safe = all(re.fullmatch("[0-9a-f]{64}", sha256) for sha256 in hashes.values())
    if len(hashes) != 6 or not safe or not re.fullmatch(r"[0-9A-Za-z.-]+", version):
        sys.exit(f"installers.py: {manifest} is not the manifest of a release.")
    for name, text in (("install.sh", shell(version, hashes)), ("install.ps1", powershell(version, hashes))):
        file = pathlib.Path(directory) / name
        file.write_text(text)
        file.chmod(0o755 if name.endswith(".sh") else 0o644)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
