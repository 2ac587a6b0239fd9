"""Fills the templates of Cargo.toml's metadata for cargo-binstall and looks for what they name in a release.

    python3 binstall.py RELEASE MANIFEST

MANIFEST is dist/manifest.json as the release pins it. What the templates mean:
https://github.com/cargo-bins/cargo-binstall/blob/main/SUPPORT.md
"""

import json
import pathlib
import re
import sys
import tarfile
import tomllib
import zipfile

release, manifest = pathlib.Path(sys.argv[1]), json.loads(pathlib.Path(sys.argv[2]).read_text())
cargo = tomllib.loads(pathlib.Path("Cargo.toml").read_text())
package = cargo["package"]
binstall = package["metadata"]["binstall"]
assert "quick-install" in binstall["disabled-strategies"]


def filled(template, target):
    values = {
        "repo": cargo["workspace"]["package"]["repository"],
        "name": package["name"],
        "bin": package["default-run"],
        "version": package["version"],
        "target": target,
        "binary-ext": ".exe" if "windows" in target else "",
    }
    return re.sub(r"\{ ([a-z-]+) \}", lambda found: values[found[1]], template)


assert set(binstall["overrides"]) <= set(manifest["targets"])
for target, pinned in manifest["targets"].items():
    meta = binstall | binstall["overrides"].get(target, {})
    address, inside = filled(meta["pkg-url"], target), filled(meta["bin-dir"], target)
    assert address == f"{manifest['base_url']}/{pinned['asset']}", f"{address} is not what is pinned for {target}"
    assert inside == pinned["bin"], f"{inside} is not what is pinned for {target}"
    path = release / address.rpartition("/")[2]
    if meta["pkg-fmt"] == "zip":
        names = zipfile.ZipFile(path).namelist()
    else:
        assert meta["pkg-fmt"] == "tgz"
        names = tarfile.open(path, "r:gz").getnames()
    assert inside in names, f"{path.name} does not have {inside}"
print(f"cargo binstall finds the archives of {len(manifest['targets'])} targets, and the binary in each")
