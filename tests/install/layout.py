"""Holds the image's layout against the schemas of the OCI and against the archives that it was made from.

    python layout.py LAYOUT SCHEMAS ARCHIVES

Written from the specification, apart from .github/package/image.py.
"""

import gzip
import hashlib
import io
import json
import pathlib
import sys
import tarfile

import jsonschema
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

SCHEMAS = {
    "application/vnd.oci.image.index.v1+json": "image-index-schema.json",
    "application/vnd.oci.image.manifest.v1+json": "image-manifest-schema.json",
    "application/vnd.oci.image.config.v1+json": "config-schema.json",
}
TARGETS = {"amd64": "x86_64-unknown-linux-musl", "arm64": "aarch64-unknown-linux-musl"}


class Checker:
    def __init__(self, layout, schemas):
        self.layout, self.schemas, self.seen = layout, schemas, set()
        # They name each other by file.
        retrieve = lambda uri: Resource(json.loads((schemas / uri.rpartition("/")[2]).read_text()), DRAFT4)
        self.registry = Registry(retrieve=retrieve)

    def fits(self, value, name):
        schema = json.loads((self.schemas / name).read_text())
        jsonschema.Draft4Validator(schema, registry=self.registry).validate(value)

    def blob(self, descriptor):
        """The bytes that a descriptor is of."""
        self.fits(descriptor, "content-descriptor.json")
        digest = descriptor["digest"].removeprefix("sha256:")
        data = (self.layout / "blobs/sha256" / digest).read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest, f"{digest} is the digest of other bytes"
        assert len(data) == descriptor["size"], f"{digest} has {len(data)} bytes, not {descriptor['size']}"
        self.seen.add(digest)
        return data

    def json(self, descriptor):
        """The JSON that a descriptor is of, if it fits the schema of its type."""
        value = json.loads(self.blob(descriptor))
        self.fits(value, SCHEMAS[descriptor["mediaType"]])
        assert value.get("mediaType", descriptor["mediaType"]) == descriptor["mediaType"]
        return value

    def image(self, descriptor, archives):
        """One platform's image; what its binary, times and owners are."""
        manifest = self.json(descriptor)
        config = self.json(manifest["config"])
        platform = {key: config[key] for key in ("architecture", "os", "variant") if key in config}
        assert platform == descriptor["platform"], f"{platform} is in the index as {descriptor['platform']}"
        assert config["config"]["Entrypoint"] == ["/batchstep"] and "User" not in config["config"]
        labels = config["config"]["Labels"]
        assert labels == manifest["annotations"] and labels["org.opencontainers.image.licenses"] == "MIT OR Apache-2.0"
        (layer,) = manifest["layers"]
        unpacked = gzip.decompress(self.blob(layer))
        assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(unpacked).hexdigest()}"]
        with tarfile.open(fileobj=io.BytesIO(unpacked)) as files:
            members = files.getmembers()
            assert len({member.mtime for member in members}) == 1, "the times differ"
            assert {(member.uid, member.gid) for member in members} == {(0, 0)}, "not all of it belongs to root"
            assert all(member.isfile() or member.isdir() for member in members)
            assert not [member.name for member in members if member.mode & 0o022 and not member.mode & 0o1000]
            released = archive(archives / f"batchstep-{TARGETS[config['architecture']]}.tar.gz")
            assert files.extractfile("batchstep").read() == released, "the binary is not the one that was released"
        return config["architecture"]


def archive(path):
    with tarfile.open(path) as files:
        return files.extractfile(next(name for name in files.getnames() if name.endswith("/batchstep"))).read()


def check(layout, schemas, archives):
    checker = Checker(layout, schemas)
    checker.fits(json.loads((layout / "oci-layout").read_text()), "image-layout-schema.json")
    index = json.loads((layout / "index.json").read_text())
    checker.fits(index, "image-index-schema.json")
    (named,) = index["manifests"]
    images = [checker.image(descriptor, archives) for descriptor in checker.json(named)["manifests"]]
    assert images == ["amd64", "arm64"], images
    blobs = {path.name for path in (layout / "blobs/sha256").iterdir()}
    assert blobs == checker.seen, f"nothing names {blobs - checker.seen}"
    return named["digest"], len(blobs)


def refused(change, *args):
    """That a layout with a change is refused; the change is undone."""
    undo = change()
    try:
        check(*args)
    except (AssertionError, jsonschema.ValidationError, json.JSONDecodeError):
        undo()
    else:
        sys.exit(f"layout.py: {change.__name__} is not noticed")


def main(layout, schemas, archives):
    digest, blobs = check(layout, schemas, archives)

    def replaced(path, data):
        before = path.read_bytes()
        path.write_bytes(data(before))
        return lambda: path.write_bytes(before)

    largest = max((layout / "blobs/sha256").iterdir(), key=lambda path: path.stat().st_size)

    def a_changed_layer():
        return replaced(largest, lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])

    def a_schema_version_that_is_not_2():
        return replaced(layout / "index.json", lambda data: data.replace(b'"schemaVersion": 2', b'"schemaVersion": 3'))

    def a_wrong_size():
        return replaced(layout / "index.json", lambda data: data.replace(b'"size": ', b'"size": 1'))

    def a_blob_too_many():
        extra = layout / "blobs/sha256/extra"
        extra.write_bytes(b"")
        return extra.unlink

    for change in (a_changed_layer, a_schema_version_that_is_not_2, a_wrong_size, a_blob_too_many):
        refused(change, layout, schemas, archives)
    check(layout, schemas, archives)
    print(f"image {digest}: {blobs} blobs fit the OCI's schemas and the archives")


main(*map(pathlib.Path, sys.argv[1:]))
