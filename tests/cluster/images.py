"""Container images without a registry: buildah builds them, containerd of the cluster gets them from archives.

Buildah's storage is the project's own, in the cache: a person's images stay as they are, and none of theirs are used.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import tarfile
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from cluster import base, machine, paths
from cluster.commands import run
from cluster.components import PAUSE_IMAGE
from cluster.lock import locked

if TYPE_CHECKING:
    from cluster.client import Client

BASE = "localhost/debian:bookworm-slim"
BUILD_LIMIT = 1200.0


def environment() -> dict[str, str]:
    """The variables that give `buildah` our storage, and isolation that works inside containers, too."""
    folder = paths.cache() / "containers"
    folder.mkdir(parents=True, exist_ok=True)
    storage, registries = folder / "storage.conf", folder / "registries.conf"
    if not storage.exists():
        driver = "overlay" if machine.overlay_works(folder) else "vfs"
        lines = [f'driver = "{driver}"', f'graphroot = "{folder}/storage"', 'runroot = "/run/tracekeeper/containers"']
        storage.write_text("\n".join(["[storage]", *lines, ""]))
        registries.write_text("unqualified-search-registries = []\n")
    return {
        "CONTAINERS_STORAGE_CONF": str(storage),
        "CONTAINERS_REGISTRIES_CONF": str(registries),
        "BUILDAH_ISOLATION": "chroot",
        "BUILDAH_FORMAT": "docker",
        "BASE_IMAGE": BASE,
        "TOOL": "buildah",
    }


def program() -> str:
    """The path of buildah itself: a script of that name on the PATH may well call us."""
    return shutil.which("buildah", path=os.pathsep.join(["/usr/bin", "/usr/local/bin"])) or "buildah"


def buildah(*args: str, timeout: float = BUILD_LIMIT) -> str:
    """Run buildah on our storage and return what it printed. Raises CommandFailed."""
    return run([program(), *args], timeout=timeout, env=environment()).stdout.strip()


def ensure_base() -> str:
    """Return the id of the base image, made of Debian's packages; anew each week, for their security updates."""
    env = environment()
    with locked(paths.cache() / "containers", BUILD_LIMIT, "making the base image"):
        return base.ensure(BASE, buildah, env)


def build(tag: str, context: str | Path, *, file: str | None = None, target: str | None = None) -> str:
    """Build an image and return its id; layers whose inputs did not change are taken from the last build."""
    ensure_base()
    options = ["--layers", "--pull-never", "--tag", tag, "--build-arg", f"BASE_IMAGE={BASE}"]
    options += ["--file", file] if file else []
    options += ["--target", target] if target else []
    with _building():
        buildah("bud", *options, str(context))
    return image_id(tag)


def build_project(version: str, registry: str = "localhost") -> dict[str, str]:
    """Build the operator's and the sidecar's image as `make image` does; return their full names."""
    ensure_base()
    env = {**environment(), "REGISTRY": registry, "VERSION": version, "BUILD_ARGS": "--pull-never"}
    with _building():
        run([str(paths.REPO / "scripts/image.sh")], timeout=BUILD_LIMIT, env=env)
    return {name: f"{registry}/tracekeeper-{name}:{version}" for name in ("operator", "sidecar")}


def _building() -> AbstractContextManager[None]:
    """Held, also by several at once, while images are built: outdated ones are not removed meanwhile."""
    return locked(base.builds(), BUILD_LIMIT, "removing outdated images", shared=True)


def image_id(tag: str) -> str:
    """The id of a built image, a hash of its contents. Raises CommandFailed when there is none of that name."""
    return buildah("inspect", "--type", "image", "--format", "{{.FromImageID}}", tag)


def load(cluster: Client, *tags: str) -> None:
    """Make built images known to the cluster; what it has already is not loaded again."""
    for tag in tags:
        identifier = image_id(tag)
        if cluster.loaded().get(tag) != identifier:
            cluster.ctr("images", "import", str(_archive(tag, identifier)))
            cluster.note_loaded(tag, identifier)


def _archive(tag: str, identifier: str) -> Path:
    """The image as a file, kept until the image changes."""
    name = hashlib.sha256(tag.encode()).hexdigest()[:12]
    file = paths.cache() / "images" / f"{name}-{identifier[:20]}.tar"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        for old in file.parent.glob(f"{name}-*"):
            old.unlink(missing_ok=True)
        partial = file.with_name(f"{file.name}.{os.getpid()}")
        try:
            buildah("push", tag, f"docker-archive:{partial}:{tag}")
            partial.replace(file)
        finally:
            partial.unlink(missing_ok=True)
    return file


def unpack(tag: str, folder: Path) -> None:
    """Put a built image into a folder as a registry serves it: `manifest.json`, and blobs named like their digests."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(_archive(tag, image_id(tag))) as archive:
        (entry,) = json.load(_member(archive, "manifest.json"))
        config = _blob(archive, entry["Config"], folder)
        layers = [_blob(archive, name, folder) for name in entry["Layers"]]
    kind = "application/vnd.oci.image"
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{kind}.manifest.v1+json",
        "config": {"mediaType": f"{kind}.config.v1+json", **config},
        "layers": [{"mediaType": f"{kind}.layer.v1.tar", **layer} for layer in layers],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))


def _blob(archive: tarfile.TarFile, name: str, folder: Path) -> dict[str, str | int]:
    partial = folder / "partial"
    with _member(archive, name) as source, partial.open("wb") as target:
        shutil.copyfileobj(source, target)
    with partial.open("rb") as written:
        digest = hashlib.file_digest(written, "sha256").hexdigest()
    size = partial.stat().st_size
    partial.replace(folder / f"sha256-{digest}")
    return {"digest": f"sha256:{digest}", "size": size}


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    found = archive.extractfile(name)
    assert found is not None, name
    return found


def pause() -> Path:
    """The archive of the image that holds each pod's namespaces: one small program, compiled here."""
    source = paths.HERE / "pause/pause.c"
    file = paths.cache() / "images" / f"pause-{hashlib.sha256(source.read_bytes()).hexdigest()[:16]}.tar"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "pause"
            run(["gcc", "-Os", "-static", "-s", "-o", str(program), str(source)])
            data = _single_program_image(program.read_bytes())
        partial = file.with_name(f"{file.name}.{os.getpid()}")
        partial.write_bytes(data)
        partial.replace(file)
    return file


def _single_program_image(program: bytes) -> bytes:
    """An image of one file, /pause, in the format that `docker save` writes."""
    layer = _tar({"pause": program})
    digest = f"sha256:{hashlib.sha256(layer).hexdigest()}"
    config = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "config": {"Entrypoint": ["/pause"]},
        "rootfs": {"type": "layers", "diff_ids": [digest]},
        "history": [{"created_by": "tests/cluster/images.py"}],
    }
    manifest = [{"Config": "config.json", "RepoTags": [PAUSE_IMAGE], "Layers": ["layer.tar"]}]
    files = {"config.json": config, "manifest.json": manifest}
    return _tar({"layer.tar": layer, **{name: json.dumps(value).encode() for name, value in files.items()}})


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o755
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()
