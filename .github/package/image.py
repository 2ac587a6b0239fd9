"""Assembles the image of a release from its archives, without a daemon, as an OCI layout in a tar archive.

    python3 .github/package/image.py OUTPUT REVISION SECONDS BUNDLE ARCHIVE...

REVISION is the commit, and SECONDS its time since 1970: every time in the image is that one, so the same
archives make the same image. BUNDLE is a PEM file of certificate authorities. There is one ARCHIVE for each
architecture. Prints the digest of the image's index.
Format: https://github.com/opencontainers/image-spec/blob/v1.1.0/spec.md
"""

import datetime
import gzip
import hashlib
import io
import json
import pathlib
import sys
import tarfile

import archive

PLATFORMS = {
    "x86_64-unknown-linux-musl": {"architecture": "amd64", "os": "linux"},
    "aarch64-unknown-linux-musl": {"architecture": "arm64", "os": "linux", "variant": "v8"},
}
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"


def tar(entries, seconds):
    """A tar archive of `entries`, each a path, a mode and bytes, or none for a directory. All belong to root."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as writer:
        for path, mode, data in entries:
            info = tarfile.TarInfo(path)
            info.mode, info.mtime = mode, seconds
            info.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
            info.size = 0 if data is None else len(data)
            writer.addfile(info, None if data is None else io.BytesIO(data))
    return packed.getvalue()


def root(files, bundle):
    """The image's files: the binary, certificate authorities, licences, and two directories to write to."""
    licences = archive.licences(files).items()
    return [
        ("batchstep", 0o755, files["batchstep"]),
        *((path, 0o755, None) for path in ("etc", "etc/ssl", "etc/ssl/certs")),
        ("etc/ssl/certs/ca-certificates.crt", 0o644, bundle),
        ("tmp", 0o1777, None),
        *((path, 0o755, None) for path in ("usr", "usr/share", "usr/share/licenses", "usr/share/licenses/batchstep")),
        *((f"usr/share/licenses/batchstep/{name}", 0o644, data) for name, data in licences),
        ("work", 0o1777, None),
    ]


def labels(package, revision, created):
    """What registries show. Keys: https://github.com/opencontainers/image-spec/blob/v1.1.0/annotations.md"""
    values = {
        "created": created,
        "description": package["description"],
        "documentation": f"{package['homepage']}#readme",
        "licenses": package["license"],
        "revision": revision,
        "source": package["repository"],
        "title": package["name"],
        "url": package["homepage"],
        "version": package["version"],
    }
    return {f"org.opencontainers.image.{name}": value for name, value in values.items()}


class Layout:
    """The blobs of a layout, by digest."""

    def __init__(self):
        self.blobs = {}

    def add(self, media_type, data):
        """Adds a blob and returns its descriptor."""
        if isinstance(data, dict):
            data = json.dumps(data, sort_keys=True, separators=(",", ":")).encode()
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def image(self, platform, layer, marks, created):
        """Adds an image of one layer for a platform and returns its descriptor."""
        config = {
            **platform,
            "created": created,
            # No user: what a CI system checks out belongs to root or to a user of its own.
            "config": {"Entrypoint": ["/batchstep"], "WorkingDir": "/work", "Labels": marks},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
            "history": [{"created": created, "created_by": "image.py", "comment": "batchstep on an empty image"}],
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": self.add(CONFIG, config),
            "layers": [self.add(LAYER, gzip.compress(layer, 9, mtime=0))],
            "annotations": marks,
        }
        return self.add(MANIFEST, manifest) | {"platform": platform}

    def save(self, output, descriptor, version, seconds):
        """Writes the layout; `version` is the name of the image that the descriptor is of."""
        named = descriptor | {"annotations": {"org.opencontainers.image.ref.name": version}}
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]}
        entries = [
            ("oci-layout", 0o644, b'{"imageLayoutVersion":"1.0.0"}'),
            ("index.json", 0o644, json.dumps(index, sort_keys=True).encode()),
            ("blobs", 0o755, None),
            ("blobs/sha256", 0o755, None),
            *((path, 0o644, data) for path, data in sorted(self.blobs.items())),
        ]
        pathlib.Path(output).write_bytes(tar(entries, seconds))


def main(output, revision, seconds, bundle, *archives):
    package, seconds = archive.package(), int(seconds)
    created = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    marks = labels(package, revision, created)
    layout, images = Layout(), []
    for target, files in map(archive.files, archives):
        if target not in PLATFORMS:
            sys.exit(f"image.py: There is no image for {target}.")
        layer = tar(root(files, pathlib.Path(bundle).read_bytes()), seconds)
        images.append(layout.image(PLATFORMS[target], layer, marks, created))
    index = layout.add(INDEX, {"schemaVersion": 2, "mediaType": INDEX, "manifests": images, "annotations": marks})
    layout.save(output, index, package["version"], seconds)
    print(index["digest"])


if __name__ == "__main__":
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    main(*sys.argv[1:])
