"""Reads a release's archives, and what Cargo.toml says of the package."""

import pathlib
import re
import sys
import tarfile
import tomllib
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def package():
    """The package's table in Cargo.toml, with what it takes from the workspace."""
    manifest = tomllib.loads((ROOT / "Cargo.toml").read_text())
    shared = manifest["workspace"]["package"]
    inherited = {key: shared[key] for key, value in manifest["package"].items() if value == {"workspace": True}}
    return manifest["package"] | inherited


def files(archive):
    """The target of an archive and what is in it, as bytes by name, without the folder at the top of a tar archive."""
    archive = pathlib.Path(archive)
    named = re.fullmatch(r"batchstep-(.+?)\.(tar\.gz|zip)", archive.name)
    if not named:
        sys.exit(f"archive.py: {archive} does not have the name of a release's archive.")
    if named[2] == "zip":
        with zipfile.ZipFile(archive) as packed:
            return named[1], {info.filename: packed.read(info) for info in packed.infolist() if not info.is_dir()}
    with tarfile.open(archive) as packed:
        members = [member for member in packed if member.isfile()]
        return named[1], {member.name.partition("/")[2]: packed.extractfile(member).read() for member in members}


def licences(contents):
    """The licence files among the files of an archive."""
    return {name: data for name, data in sorted(contents.items()) if name.startswith("LICENSE-")}
