#!/usr/bin/env bash
# Builds both images with docker, podman or buildah, whichever is there. Environment:
#   REGISTRY  registry and path to name them by, e.g. registry.example.com/platform   (default: localhost)
#   VERSION   their tag                                                               (default: the project's version)
#   PUSH=1    push them when both are built
#   TOOL      docker | podman | buildah, when more than one is there
#   TARGETS   only one of them                                                        (default: "operator sidecar")
#   BASE_IMAGE  what the build stage starts from                                      (default: debian:bookworm-slim)
#   OUTPUT    folder to write each image into as NAME.tar (docker-archive), for nodes without a registry
#   BUILD_ARGS  further options of the build command, e.g. --network=host
set -euo pipefail
cd "$(dirname "$0")/.."

registry=${REGISTRY:-localhost}; registry=${registry%/}
version=${VERSION:-$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)}
targets=${TARGETS:-operator sidecar}
# Without a daemon or user namespaces of its own, buildah can still run the build's commands under a changed root.
export BUILDAH_ISOLATION=${BUILDAH_ISOLATION:-chroot} BUILDAH_FORMAT=docker

fail() { printf 'image: %s\n' "$*" >&2; exit 1; }

works() { # tool: installed, and able to do something
  case $1 in
    docker) docker info >/dev/null 2>&1 ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

pick() {
  for tool in docker podman buildah; do works "$tool" && { echo "$tool"; return; }; done
  fail "none of docker (with its daemon running), podman and buildah works here. On Debian: apt-get install buildah"
}

build() { # target, reference
  local options=(--target "$1" --tag "$2" --file Dockerfile)
  [ -z "${BASE_IMAGE:-}" ] || options+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")
  # shellcheck disable=SC2206  # several options in one variable
  options+=(${BUILD_ARGS:-})
  case $tool in
    docker) DOCKER_BUILDKIT=1 docker build "${options[@]}" . ;;
    podman) podman build --layers "${options[@]}" . ;;
    buildah) buildah bud --layers "${options[@]}" . ;;
  esac
}

push() { # reference
  case $tool in
    buildah) buildah push "$1" "docker://$1" ;;
    *) "$tool" push "$1" ;;
  esac || fail "pushing $1 failed. Is the registry's name right, and are you logged in ($tool login ${registry%%/*})?"
}

save() { # reference, file
  rm -f "$2"
  case $tool in
    buildah) buildah push "$1" "docker-archive:$2:$1" ;;
    *) "$tool" save --output "$2" "$1" ;;
  esac
}

if [ "${PUSH:-}" = 1 ] && [ -z "${REGISTRY:-}" ]; then
  fail "PUSH=1 needs REGISTRY=…, the registry (and path) to push to, e.g. REGISTRY=registry.example.com/platform"
fi
case $registry in
  *://*) fail "REGISTRY=$registry: images have no scheme, write ${registry#*://}" ;;
esac
tool=${TOOL:-$(pick)}
works "$tool" || fail "TOOL=$tool does not work here: try '$tool info'"

for target in $targets; do
  echo "image: building $registry/tracekeeper-$target:$version with $tool"
  build "$target" "$registry/tracekeeper-$target:$version"
done
for target in $targets; do
  reference=$registry/tracekeeper-$target:$version
  if [ -n "${OUTPUT:-}" ]; then mkdir -p "$OUTPUT"; save "$reference" "$OUTPUT/tracekeeper-$target.tar"; fi
  if [ "${PUSH:-}" = 1 ]; then push "$reference"; fi
done
echo "image: done. Install with: helm install tracekeeper charts/tracekeeper --set image.registry=$registry --set image.tag=$version"
