"""Holds the wheels of a release against its archives.

    python wheels.py RELEASE

Written from the specification of wheels, apart from .github/package/wheel.py.
"""

import base64
import email
import hashlib
import pathlib
import stat
import sys
import tarfile
import tomllib
import zipfile

from packaging.licenses import canonicalize_license_expression
from packaging.metadata import Metadata
from packaging.utils import parse_wheel_filename

# A platform that pip names for each archive's machines.
MACHINES = {
    "x86_64-unknown-linux-musl": ("manylinux2014_x86_64", "musllinux_1_1_x86_64"),
    "aarch64-unknown-linux-musl": ("manylinux2014_aarch64", "musllinux_1_1_aarch64"),
    "x86_64-apple-darwin": ("macosx_10_12_x86_64",),
    "aarch64-apple-darwin": ("macosx_11_0_arm64",),
    "x86_64-pc-windows-msvc": ("win_amd64",),
    "aarch64-pc-windows-msvc": ("win_arm64",),
}

release = pathlib.Path(sys.argv[1])
cargo = tomllib.loads(pathlib.Path("Cargo.toml").read_text())
wheels = {}
for path in sorted(release.glob("*.whl")):
    name, version, _, tags = parse_wheel_filename(path.name)
    for tag in tags:
        assert tag not in wheels, f"two wheels have {tag}"
        wheels[str(tag)] = path
    with zipfile.ZipFile(path) as packed:
        info = f"{name}-{version}.dist-info"
        said = email.message_from_bytes(packed.read(f"{info}/WHEEL"))
        assert set(said.get_all("Tag")) == {str(tag) for tag in tags}, f"{path.name} has other tags inside"
        assert said["Root-Is-Purelib"] == "false"
        metadata = Metadata.from_email(packed.read(f"{info}/METADATA"), validate=True)
        assert (metadata.name, str(metadata.version)) == ("batchstep", cargo["package"]["version"])
        assert metadata.summary == cargo["package"]["description"]
        assert metadata.license_expression == canonicalize_license_expression(cargo["workspace"]["package"]["license"])
        assert {f"{info}/licenses/{name}" for name in metadata.license_files} < set(packed.namelist())
        listed = dict(line.split(",", 1) for line in packed.read(f"{info}/RECORD").decode().splitlines())
        for name in packed.namelist():
            data = packed.read(name)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
            expected = "," if name.endswith("/RECORD") else f"sha256={digest},{len(data)}"
            assert listed.pop(name) == expected, f"RECORD is wrong about {name}"
        assert not listed, f"RECORD lists {listed}, which are not in {path.name}"
        modes = {entry.filename: stat.S_IMODE(entry.external_attr >> 16) for entry in packed.infolist()}
        assert [name for name, mode in modes.items() if mode == 0o755] == [n for n in modes if ".data/scripts/" in n]
        assert len({entry.date_time for entry in packed.infolist()}) == 1

for target, platforms in MACHINES.items():
    (path,) = {wheels[f"py3-none-{platform}"] for platform in platforms}
    (archive,) = release.glob(f"batchstep-{target}.*z*")
    with zipfile.ZipFile(path) as packed:
        (script,) = [name for name in packed.namelist() if ".data/scripts/" in name]
        shipped = packed.read(script)
    if archive.suffix == ".zip":
        released = zipfile.ZipFile(archive).read("batchstep.exe")
        assert script.endswith("/batchstep.exe")
    else:
        released = tarfile.open(archive).extractfile(f"batchstep-{target}/batchstep").read()
        assert script.endswith("/batchstep")
    assert shipped == released, f"{path.name} has another binary than {archive.name}"
print(f"{len(set(wheels.values()))} wheels for {len(wheels)} platforms have the binaries of the archives")
