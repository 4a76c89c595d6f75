"""The base image of all local builds: Debian, made by debootstrap, with this machine's way to the package indexes.

What is particular to the machine (mirror, proxies, certificates) goes into this image, which is never published; so
Dockerfiles name only `debian:bookworm-slim`, and build here as they build anywhere.
"""

from __future__ import annotations

import configparser
import datetime
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from cluster import paths
from cluster.commands import run
from cluster.errors import CommandFailed, DeadlinePassed
from cluster.lock import locked

SUITE = "bookworm"
MACHINE_CA = "/usr/local/share/machine-ca.crt"  # not the usual path: installing ca-certificates rewrites that
CA_CANDIDATES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
LIMIT = 900.0
RECIPE = 1  # to be raised when what is done here changes


def ensure(tag: str, buildah: Callable[..., str], env: Mapping[str, str]) -> str:
    """Return the id of the base image `tag`; make it when it is missing, a week old, or the machine's set-up changed.

    A base that cannot be made anew (no network) is used for longer, and that is said.
    """
    key = _key()
    note = paths.cache() / "containers/base"
    known = note.read_text().split() if note.exists() else []
    listed = run(["buildah", "images", "-q", "--no-trunc", tag], check=False, env=env).stdout.split()
    present = [entry.removeprefix("sha256:") for entry in listed]
    if present and known == [key, present[0]]:
        return present[0]
    print(f"Making the base image {tag} with debootstrap (about a minute) …", file=sys.stderr, flush=True)
    try:
        identifier = _make(tag, buildah)
    except CommandFailed as error:
        if not present:
            raise
        print(f"It cannot be made anew; the old one is used.\n{error}", file=sys.stderr)
        return present[0]
    note.write_text(f"{key} {identifier}\n")
    _remove_outdated(identifier, env)
    return identifier


def _remove_outdated(base: str, env: Mapping[str, str]) -> None:
    """Remove all images but the new base: whatever was built on the old one has to be built anew.

    Not while something is being built; then the next new base does it.
    """
    with suppress(DeadlinePassed), locked(builds(), 0, "building images"):
        listed = run(["buildah", "images", "-a", "-q", "--no-trunc"], check=False, env=env).stdout.split()
        if old := sorted({identifier for identifier in listed if identifier.removeprefix("sha256:") != base}):
            run(["buildah", "rmi", "--force", *old], check=False, timeout=LIMIT, env=env)


def builds() -> Path:
    """The file that is locked while images are built."""
    return paths.cache() / "containers/builds.lock"


def _key() -> str:
    year, week, _ = datetime.date.today().isocalendar()
    parts = [f"{year}-{week}", _sources(), _apt_options(), _pip_config(), hashlib.sha256(_ca()).hexdigest()]
    return hashlib.sha256("\0".join([*parts, str(RECIPE)]).encode()).hexdigest()[:16]


def _make(tag: str, buildah: Callable[..., str]) -> str:
    with tempfile.TemporaryDirectory(dir=paths.cache()) as folder:
        root = Path(folder) / "root"
        mirror = [line.split()[1] for line in _sources().splitlines() if line.split()[2] == SUITE][:1]
        extra = ["--include=ca-certificates"] if "https:" in _sources() else []
        run(["debootstrap", "--variant=minbase", *extra, SUITE, str(root), *mirror], timeout=LIMIT)
        _configure(root)
        archive = Path(folder) / "root.tar"
        run(["tar", "-C", str(root), "--numeric-owner", "-cf", str(archive), "."], timeout=LIMIT)
        shutil.rmtree(root)
        container = buildah("from", "scratch")
        try:
            buildah("add", container, str(archive), "/")
            buildah(
                "config",
                "--cmd",
                "bash",
                "--env",
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                container,
            )
            return buildah("commit", "-q", container, tag)
        finally:
            buildah("rm", container)


def _configure(root: Path) -> None:
    """Trim what an image does not need, and add the machine's sources, certificates and proxies."""
    for folder in ("var/cache/apt/archives", "var/lib/apt/lists", "usr/share/man", "usr/share/locale"):
        for entry in (root / folder).glob("*"):
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()
    # As in Debian's own slim image: licences stay, because the images made of it carry them on.
    for entry in list((root / "usr/share/doc").rglob("*")):
        if entry.name != "copyright" and entry.is_file() and not entry.is_symlink():
            entry.unlink()
    (root / "etc/apt/sources.list").write_text(_sources())
    (root / "etc/apt/apt.conf.d/90machine").write_text(_apt_options())
    (root / "etc/pip.conf").write_text(_pip_config())
    if ca := _ca():
        target = root / MACHINE_CA.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(ca)


def _sources() -> str:
    """Debian's sources of this machine as lines for sources.list; Debian's default mirror where it has none."""
    wanted = ["$(SITE)", "$(RELEASE)", "$(COMPONENT)"]
    asked = run(["apt-get", "indextargets", "--format", " ".join(wanted), "Created-By: Packages"], check=False)
    lines = set()
    for entry in asked.stdout.splitlines():
        parts = entry.split()
        if len(parts) == 3 and parts[1].split("-")[0] == SUITE and parts[2] == "main":
            lines.add(f"deb {parts[0]} {parts[1]} main\n")
    return "".join(sorted(lines))


def _apt_options() -> str:
    dump = run(["apt-config", "dump", "Acquire"], check=False).stdout.splitlines()
    kept = [line for line in dump if "::Proxy" in line or "::Verify-" in line]
    kept += [f'Acquire::https::CAInfo "{MACHINE_CA}";'] if _ca() else []
    return "".join(f"{line}\n" for line in kept)


def _ca() -> bytes:
    """The machine's bundle of trusted certificates, or nothing."""
    named = [os.environ.get(name, "") for name in CA_CANDIDATES]
    for candidate in [*named, "/etc/ssl/certs/ca-certificates.crt"]:
        if candidate and Path(candidate).is_file():
            return Path(candidate).read_bytes()
    return b""


def _pip_config() -> str:
    """The machine's pip options that make sense in an image: which index, through what, trusting whom."""
    config = configparser.RawConfigParser()
    config.read(["/etc/pip.conf", Path.home() / ".pip/pip.conf", Path.home() / ".config/pip/pip.conf"])
    options = dict(config["global"]) if config.has_section("global") else {}
    for name, value in os.environ.items():
        if name.startswith("PIP_"):
            options[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    kept: dict[str, str] = {
        name: options[name] for name in ("index-url", "extra-index-url", "trusted-host", "proxy") if name in options
    }
    if _ca():
        kept["cert"] = MACHINE_CA
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in kept.items())
