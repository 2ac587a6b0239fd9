"""Makes the wheel for one target from a release's archive, so that `uvx batchstep` runs the released binary.

    python3 .github/package/wheel.py ARCHIVE DIRECTORY

The wheel contains the binary, the licences and no Python. It is the same for the same archive: no time and no
order of a file system is in it. Binary distribution format:
https://packaging.python.org/en/latest/specifications/binary-distribution-format/
"""

import base64
import csv
import hashlib
import io
import pathlib
import re
import sys
import zipfile

import archive

# A static binary runs with any libc, so it has the tags of both. The versions for macOS are the oldest that
# Rust builds for.
PLATFORMS = {
    "x86_64-unknown-linux-musl": ("manylinux_2_17_x86_64", "manylinux2014_x86_64", "musllinux_1_1_x86_64"),
    "aarch64-unknown-linux-musl": ("manylinux_2_17_aarch64", "manylinux2014_aarch64", "musllinux_1_1_aarch64"),
    "x86_64-apple-darwin": ("macosx_10_12_x86_64",),
    "aarch64-apple-darwin": ("macosx_11_0_arm64",),
    "x86_64-pc-windows-msvc": ("win_amd64",),
    "aarch64-pc-windows-msvc": ("win_arm64",),
}
ABOUT = """\
# batchstep

{description}.

This package contains the command `batchstep` as one static binary, the same as in the [release]({release}):

```sh
uvx batchstep --help
```

See the [documentation]({homepage}#readme).
"""


def python_version(version):
    """Cargo's version as Python writes it: 1.2.3-rc.1 is 1.2.3rc1."""
    found = re.fullmatch(r"(\d+\.\d+\.\d+)(?:-(alpha|beta|rc)\.(\d+))?", version)
    if not found:
        sys.exit(f"wheel.py: Python cannot express the version {version}: use -alpha.N, -beta.N or -rc.N.")
    short = {"alpha": "a", "beta": "b", "rc": "rc", None: ""}
    return found[1] + short[found[2]] + (found[3] or "")


def metadata(package, version, licences):
    """The file METADATA: core metadata 2.4."""
    release = f"{package['repository']}/releases/tag/cli/v{package['version']}"
    fields = [
        ("Metadata-Version", "2.4"),
        ("Name", package["name"]),
        ("Version", version),
        ("Summary", package["description"]),
        ("Keywords", ",".join(package["keywords"])),
        ("License-Expression", package["license"]),
        *(("License-File", name) for name in licences),
        ("Classifier", "Environment :: Console"),
        ("Classifier", "Programming Language :: Rust"),
        ("Requires-Python", ">=3.8"),
        ("Project-URL", f"Source, {package['repository']}"),
        ("Project-URL", f"Release, {release}"),
        ("Description-Content-Type", "text/markdown"),
    ]
    head = "".join(f"{name}: {value}\n" for name, value in fields)
    return f"{head}\n{ABOUT.format(release=release, **package)}"


def wheel_file(platforms):
    """The file WHEEL."""
    tags = "".join(f"Tag: py3-none-{platform}\n" for platform in platforms)
    return f"Wheel-Version: 1.0\nGenerator: batchstep\nRoot-Is-Purelib: false\n{tags}"


def record(contents, itself):
    """The file RECORD: the hash and size of every other file."""
    lines = io.StringIO()
    write = csv.writer(lines, lineterminator="\n")
    for name, data in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        write.writerow((name, f"sha256={digest}", len(data)))
    write.writerow((itself, "", ""))
    return lines.getvalue()


def save(path, contents):
    """Writes the wheel; only the binary may be executed."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in contents.items():
            info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            info.create_system = 3  # Unix, whatever this runs on: the mode counts.
            info.external_attr = (0o100755 if "/scripts/" in name else 0o100644) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(info, data, compresslevel=9)


def main(path, directory):
    target, files = archive.files(path)
    package = archive.package()
    if target not in PLATFORMS:
        sys.exit(f"wheel.py: {target} has no tag.")
    name, version = package["name"], python_version(package["version"])
    licences = archive.licences(files)
    program = "batchstep.exe" if "windows" in target else "batchstep"
    info = f"{name}-{version}.dist-info"
    contents = {f"{name}-{version}.data/scripts/{program}": files[program]}
    contents |= {f"{info}/licenses/{file}": data for file, data in licences.items()}
    contents[f"{info}/METADATA"] = metadata(package, version, licences).encode()
    contents[f"{info}/WHEEL"] = wheel_file(PLATFORMS[target]).encode()
    contents[f"{info}/RECORD"] = record(contents, f"{info}/RECORD").encode()
    wheel = pathlib.Path(directory) / f"{name}-{version}-py3-none-{'.'.join(PLATFORMS[target])}.whl"
    save(wheel, contents)
    print(wheel)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
