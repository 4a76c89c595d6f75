"""Makes the two folders that an image consists of. Runs in the Dockerfile only.

image_root.py base ROOT
    ROOT holds a virtual environment with our dependencies: adds Python and every shared library that it and the
    extension modules link to, certificates and users, with the licences of the Debian packages that these come from,
    and compiles everything to bytecode.
image_root.py code IMAGE CODE ROOT
    CODE holds our own packages as pip installed them: takes out what this image does not run, adds the start script,
    bytecode and the libraries that our compiled modules link to, and starts it once on top of ROOT to see that nothing
    is missing.

Only the standard library, since nothing else is there when it runs.
"""

import argparse
import compileall
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"
STDLIB = Path(f"/usr/lib/{VERSION}")
VENV = Path("opt/tracekeeper")
SITE = VENV / "lib" / VERSION / "site-packages"
# Parts of the standard library that nobody imports in a service: tests, editors, graphics, installers, C headers.
UNUSED = (
    "__pycache__", "config-*", "distutils", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "test", "tests", "tkinter",
    "turtle.py", "turtledemo", "venv", "_sysconfigdata_d_*", "sitecustomize.py", "EXTERNALLY-MANAGED",
    # Tests of the interpreter, encodings of East Asia (all that we read is UTF-8), and a second decimal in Python.
    "_test*", "_ctypes_test*", "_xxtestfuzz*", "_codecs_*", "_pydecimal.py",
    # Each of these would bring system libraries along.
    "_crypt.*", "_curses*", "_dbm.*", "_sqlite3.*", "crypt.py", "curses", "dbm", "nis.*", "ossaudiodev.*",
    "readline.*", "sqlite3",
)  # fmt: skip
# Of our dependencies: zstandard has what it does twice, and the other one is for Pythons that are not CPython.
UNUSED_SITE = ("zstandard/_cffi*.so", "zstandard/backend_cffi.py")
# Of our own packages, what each image leaves out.
FOREIGN = {
    "operator": ("tracekeeper_sidecar", "tracekeeper_cli"),
    "sidecar": ("tracekeeper_operator", "tracekeeper_cli"),
}
# Modules with libraries behind them: an import fails when one of those is missing.
TRIED = ("asyncio", "bz2", "ctypes", "hashlib", "lzma", "ssl", "uuid", "yaml", "zlib")
OWN = {
    "operator": ("aiohttp", "cryptography.x509", "google.protobuf", "grpc.aio", "jwt", "kopf"),
    "sidecar": ("google.protobuf", "httptools", "tracekeeper_sidecar.receive.h2.session", "uvloop", "zstandard"),
}
START = """#!{python}
import sys

from {package}.__main__ import main

sys.exit(main())
"""
FILES = {
    "etc/passwd": "root:x:0:0:root:/:/sbin/nologin\nnonroot:x:65532:65532:nonroot:/tmp:/sbin/nologin\n",
    "etc/group": "root:x:0:\nnonroot:x:65532:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}


def copy(source: Path, root: Path) -> None:
    """Copies a file to the same place under root, with all that a chain of links leads to; folders that are links are
    resolved."""
    target = root / source.parent.resolve().relative_to("/") / source.name
    if target.exists() or target.is_symlink():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)
    if source.is_symlink():
        copy(source.parent / os.readlink(source), root)


def libraries(files: list[Path]) -> set[Path]:
    """The shared libraries that these files need, directly or not. Raises RuntimeError for one that cannot be found."""
    found = set()
    for file in files:
        listing = subprocess.run(["ldd", file], capture_output=True, text=True, check=False).stdout
        for line in listing.splitlines():
            if "not found" in line:
                raise RuntimeError(f"{file} needs a library that is not installed: {line.strip()}")
            path = line.split("=>")[-1].split("(")[0].strip()
            if path.startswith("/"):
                found.add(Path(path))
    return {path for path in found if not path.is_relative_to("/out")}


def own_libraries(folder: Path, root: Path) -> None:
    """Adds what our own modules link to and the base does not have; with licences, as there."""
    missing = [
        library
        for library in sorted(libraries(list((folder / SITE).rglob("*.so"))))
        if not (root / library.parent.resolve().relative_to("/") / library.name).exists()
    ]
    for library in missing:
        copy(library, folder)
    if missing:
        document(folder)


def packages(root: Path) -> set[str]:
    """The Debian packages that the files under root come from."""
    inside = [
        f"/{path.relative_to(root)}"
        for path in root.rglob("*")
        if path.is_file() and not path.is_relative_to(root / VENV)
    ]
    # Libraries are under /usr/lib since /lib became a link, but the package database may know them by the old name.
    names = inside + [name.removeprefix("/usr") for name in inside if name.startswith("/usr/lib/")]
    owners = subprocess.run(["dpkg", "-S", *names], capture_output=True, text=True, check=False).stdout
    found = {line.split(":")[0] for line in owners.splitlines() if not line.startswith("diversion")}
    return found | {"ca-certificates"}  # whose script makes the one file that we take


def document(root: Path) -> None:
    """Licences, and one status file per package where image scanners look for them when there is no package manager."""
    for package in sorted(packages(root)):
        folder = root / "usr/share/doc" / package
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy2(Path("/usr/share/doc") / package / "copyright", folder / "copyright")
        status = subprocess.run(["dpkg-query", "-s", package], capture_output=True, text=True, check=True).stdout
        place = root / "var/lib/dpkg/status.d" / package
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(status)


def compile_all(folder: Path, root: Path) -> None:
    """Bytecode that is never compared with its source: file times do not survive every way of copying an image.

    Raises RuntimeError when something does not compile.
    """
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    if not compileall.compile_dir(
        folder, stripdir=str(root), prependdir="/", quiet=1, workers=0, invalidation_mode=mode
    ):
        raise RuntimeError(f"not everything in {folder} compiles")


def prune(site: Path) -> None:
    """What only a developer, a compiler or a debugger would open: the latter's half of many an extension module."""
    unused = [leftover for pattern in UNUSED_SITE for leftover in site.glob(pattern)]
    for leftover in [
        *unused,
        *site.rglob("tests"),
        *site.rglob("*.px[di]"),
        *site.rglob("*.pyx"),
        *site.rglob("*.pyi"),
    ]:
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    for module in sorted(site.rglob("*.so")):
        subprocess.run(["strip", "--strip-unneeded", module], check=True)


def base(root: Path) -> None:
    shutil.copytree(STDLIB, root / STDLIB.relative_to("/"), ignore=shutil.ignore_patterns(*UNUSED))
    interpreter = Path("/usr/bin") / VERSION
    copy(interpreter, root)
    copy(Path("/usr/bin/python3"), root)
    for library in sorted(libraries([interpreter, *(path for path in root.rglob("*.so*") if path.is_file())])):
        copy(library, root)
    for link in ("bin", "lib", "lib64"):
        if Path("/", link).is_symlink():
            (root / link).symlink_to(os.readlink(f"/{link}"))
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    copy(Path("/etc/ssl/certs/ca-certificates.crt"), root)
    (root / "usr/lib/ssl").mkdir(parents=True)
    (root / "usr/lib/ssl/cert.pem").symlink_to("/etc/ssl/certs/ca-certificates.crt")
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    document(root)
    for script in (root / VENV / "bin").iterdir():
        if not script.name.startswith("python"):
            script.unlink()
    prune(root / SITE)
    compile_all(root / STDLIB.relative_to("/"), root)
    compile_all(root / SITE, root)


def code(image: str, folder: Path, root: Path) -> None:
    """Raises RuntimeError when the hot modules were not compiled, CalledProcessError when the image would not start."""
    site = folder / SITE
    for package in FOREIGN[image]:
        shutil.rmtree(site / package)
    shutil.rmtree(site / "bin")
    for metadata in site.glob("tracekeeper-*.dist-info"):
        for name in ("RECORD", "REQUESTED", "direct_url.json", "entry_points.txt", "INSTALLER"):
            (metadata / name).unlink(missing_ok=True)
    prune(site)
    if image == "sidecar" and not list(site.glob("tracekeeper_sidecar/wire/scan.*.so")):
        raise RuntimeError("the sidecar's hot modules were not compiled: it would run, many times slower")
    script = folder / VENV / "bin" / f"tracekeeper-{image}"
    script.parent.mkdir()
    script.write_text(START.format(python=f"/{VENV}/bin/python3", package=f"tracekeeper_{image}"))
    script.chmod(0o755)
    compile_all(site, folder)
    own_libraries(folder, root)
    attempt(f"/{VENV}/bin/tracekeeper-{image}", (*TRIED, *OWN[image]), folder, root)


def attempt(program: str, modules: tuple[str, ...], folder: Path, root: Path) -> None:
    """Starts Python, then the program, in the image as it will be. Raises CalledProcessError."""
    environment = {"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"}
    with tempfile.TemporaryDirectory() as trial:
        for layer in (root, folder):
            shutil.copytree(layer, trial, symlinks=True, dirs_exist_ok=True)
        for command in ([f"/{VENV}/bin/python3", "-c", f"import {', '.join(modules)}"], [program, "--help"]):
            subprocess.run(["chroot", trial, *command], check=True, env=environment, stdout=subprocess.DEVNULL)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("base").add_argument("root", type=Path)
    own = commands.add_parser("code")
    own.add_argument("image", choices=sorted(FOREIGN))
    own.add_argument("folder", type=Path)
    own.add_argument("root", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "base":
        base(arguments.root)
    else:
        code(arguments.image, arguments.folder, arguments.root)


if __name__ == "__main__":
    main()
