#!/usr/bin/env bash
# Everything that a fresh Debian 12 machine needs; seconds when nothing is missing. Usage: scripts/setup.sh LEVEL
#   python    the virtual environment .venv with all dependencies, and the compiled modules          (no root)
#   cluster   the Debian packages and the programs of the test cluster, Kubernetes itself included   (root)
#   demo      what `make demo` needs: the same as cluster
#   clients   clients in other languages for the contract tests; those whose tools are here           (no root)
#   all       all of it, and the Prometheus operator: what `make test` needs
# Without root it does what it can, and says what is missing. Everything that is built is kept outside the checkout, in
# $TRACEKEEPER_CACHE (default ~/.cache/tracekeeper), except .venv. On other systems install Python >= 3.11
# with venv and headers and a C compiler; the cluster runs on Debian 12 only.
set -euo pipefail
cd "$(dirname "$0")/.."
level=${1:-all}
python_packages=(python3 python3-venv python3-dev gcc libc6-dev libnghttp2-dev)

say() { printf 'setup: %s\n' "$*"; }
loud() { printf '\n%s\n' '######################################################################' "$@" \
  '######################################################################' >&2; }
root() { [ "$(id -u)" -eq 0 ]; }
timed() { # what, command…
  local what=$1 began=$SECONDS; shift
  say "$what …"; "$@"; say "$what: $((SECONDS - began)) s"
}

debian() { # packages…: installs those that are missing
  local missing=() package
  command -v dpkg-query >/dev/null || { say "not a Debian: install these yourself: $*"; return 0; }
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  if ! root; then
    loud "MISSING: ${missing[*]}" "Installing Debian packages needs root: sudo make setup"
    return 1
  fi
  timed "apt-get update" apt_get update
  timed "installing ${missing[*]}" apt_get install -y --no-install-recommends "${missing[@]}"
}

policy=/usr/sbin/policy-rc.d
drop_policy() { if grep -qs 'tracekeeper setup' "$policy"; then rm -f "$policy"; fi; }

apt_get() { # services of the packages (containerd, etcd) are not to start: the cluster has its own
  trap drop_policy EXIT # interrupted, too: left behind, it would keep every service of the machine from starting
  drop_policy           # of a run that was killed
  if [ "$1" = install ] && [ ! -e "$policy" ]; then
    printf '#!/bin/sh\n# tracekeeper setup: no service starts while its packages are installed\nexit 101\n' > "$policy"
    chmod +x "$policy"
  fi
  local status=0
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o Acquire::Retries=3 "$@" > /dev/null || status=$?
  drop_policy
  return $status
}

find_python() { # prints a Python >= 3.11 that can make virtual environments
  local candidate
  for candidate in "${PYTHON:-}" python3 /usr/bin/python3 python3.13 python3.12 python3.11; do
    [ -n "$candidate" ] || continue
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"; return
    fi
  done
  return 1
}

hash_of() { sha256sum "$@" | sha256sum | cut -c1-32; }

make_venv() {
  local python
  python=$(find_python) || { loud 'There is no Python >= 3.11 with venv: sudo make setup, or PYTHON=/path/to/python make …'; exit 1; }
  if ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    rm -rf .venv && "$python" -m venv .venv
  fi
  .venv/bin/pip install -q --no-compile --disable-pip-version-check --require-hashes -r requirements/dev.txt
}

install_project() {
  .venv/bin/pip install -q --disable-pip-version-check --no-deps --no-build-isolation --editable .
}

build_modules() { .venv/bin/python setup.py -q build_ext --inplace; }

stamped() { # stamp's name, what, its hash, command: runs the command unless it was run with this hash
  local stamp=.venv/.$1-stamp
  [ "$(cat "$stamp" 2>/dev/null)" = "$3" ] && return 0
  timed "$2" "$4"
  echo "$3" > "$stamp"
}

can_compile() { # with the headers of the one C library that is linked to
  command -v cc >/dev/null && echo '#include <nghttp2/nghttp2.h>' | cc -E -o /dev/null -x c - 2>/dev/null
}

setup_python() {
  if ! find_python >/dev/null || ! can_compile; then debian "${python_packages[@]}"; fi
  stamped dependencies "Python dependencies into .venv" "$(hash_of requirements/dev.txt)" make_venv
  stamped project "the project into .venv, editable" "$(hash_of requirements/dev.txt pyproject.toml)" install_project
  local sources
  mapfile -t sources < <(find sidecar operator proto -name '*.px[di]' -o -name '*.pyx' | while read -r source; do
    echo "$source"
    if [ -e "${source%.pxd}.py" ]; then echo "${source%.pxd}.py"; fi
  done | sort)
  local source
  for source in "${sources[@]}"; do # `git clean` and the like take the modules, and leave the stamp
    [[ $source = *.px[di] ]] || compgen -G "${source%.py*}.*.so" >/dev/null || rm -f .venv/.modules-stamp
  done
  stamped modules "compiled modules" "$(hash_of setup.py requirements/dev.txt "${sources[@]}")" build_modules
}

setup_cluster() {
  local packages
  mapfile -t packages < <(sed 's/#.*//; s/ //g; /^$/d' tests/cluster/debian-packages.txt)
  debian "${python_packages[@]}" "${packages[@]}"
  scripts/cluster.sh tools
}

setup_clients() { # programs that send into the sidecar or read it; the Collector is also what `make bench` compares with
  PYTHONPATH=tests .venv/bin/python tests/foreign_clients.py
  .venv/bin/python bench/collector_build.py > /dev/null
  PYTHONPATH=tests .venv/bin/python tests/promtool.py > /dev/null
}

case $level in
  python) setup_python ;;
  clients) setup_python && setup_clients ;;
  cluster | demo)
    root || { loud 'The cluster needs root: sudo make setup'; exit 1; }
    setup_cluster ;;
  all)
    if root; then debian make git "${python_packages[@]}"; fi
    setup_python
    setup_clients
    if root; then
      setup_cluster
      scripts/cluster.sh monitoring
    else
      loud 'NOT SET UP: the test cluster (Debian packages and Kubernetes). It needs root: sudo make setup' \
        'Everything else is ready: make check, make test-fast, make demo-local, make bench.'
    fi ;;
  *) echo "usage: scripts/setup.sh python|clients|cluster|demo|all" >&2; exit 2 ;;
esac
