# The operator's and the sidecar's image, from one build stage.
#
#   docker build --target operator -t tracekeeper-operator .
#   docker build --target sidecar  -t tracekeeper-sidecar  .      (or both: scripts/image.sh)
#
# The final images start from nothing and hold Python, the libraries it needs, our dependencies and our code: no shell, no
# package manager, no compiler. To look around in one: kubectl debug --image=… --target=tracekeeper-sidecar POD
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${BASE_IMAGE} AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv python3-dev gcc libc6-dev libnghttp2-dev binutils \
      ca-certificates \
 && rm -rf /var/lib/apt/lists/*
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# Dependencies before our code, so that a change of code reuses these layers. `venv` holds pip and the build's tools, the two
# others only what runs.
COPY requirements/build.txt requirements/operator.txt requirements/sidecar.txt requirements/
RUN python3 -m venv /venv \
 && /venv/bin/pip install --require-hashes -r requirements/build.txt \
 && for image in operator sidecar; do \
      python3 -m venv --without-pip /out/$image/opt/tracekeeper \
      && /venv/bin/pip --python /out/$image/opt/tracekeeper/bin/python3 install --no-compile --only-binary :all: \
           --require-hashes -r requirements/$image.txt || exit 1; \
    done

# Python and the system's libraries: what the files of each venv link to, and no more.
COPY scripts/image_root.py scripts/
RUN for image in operator sidecar; do python3 scripts/image_root.py base /out/$image || exit 1; done

# Our code is a layer of its own: an upgrade moves a megabyte or two.
COPY pyproject.toml setup.py README.md LICENSE ./
COPY proto proto
COPY operator operator
COPY sidecar sidecar
RUN /venv/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && for image in operator sidecar; do \
      site=$(cd /out/$image && echo opt/tracekeeper/lib/python3*/site-packages) \
      && /venv/bin/pip install --no-deps --no-index --no-compile --target /code/$image/$site /wheels/*.whl \
      && python3 scripts/image_root.py code $image /code/$image /out/$image || exit 1; \
    done


FROM scratch AS operator
COPY --from=build /out/operator /
COPY --from=build /code/operator /
ENV PATH=/opt/tracekeeper/bin:/usr/bin HOME=/tmp LANG=C.UTF-8 \
    PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /tmp
EXPOSE 9443 9444 8080
ENTRYPOINT ["tracekeeper-operator"]


FROM scratch AS sidecar
COPY --from=build /out/sidecar /
COPY --from=build /code/sidecar /
# gRPC carries trust roots of its own; with these, both protocols trust the same ones.
ENV PATH=/opt/tracekeeper/bin:/usr/bin HOME=/tmp LANG=C.UTF-8 \
    PYTHONSAFEPATH=1 PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
WORKDIR /tmp
EXPOSE 4317 4318 14316
ENTRYPOINT ["tracekeeper-sidecar"]
