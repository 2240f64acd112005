# The images of yadokari:
#
#   executor   the executable and nothing else
#   debug      with a busybox shell, for CI systems that run a script inside the job's image
#
# The executable comes from target/dist/yadokari (`cargo xtask dist`); with --build-arg EXECUTABLE=source it is
# built here.

# Where the executable comes from: dist or source
ARG EXECUTABLE=dist
# An image with a static busybox
ARG BUSYBOX=docker.io/library/busybox:latest
# An image with a Rust toolchain and a C compiler
ARG RUST=docker.io/library/rust:1.95-bookworm

FROM scratch AS dist
COPY target/dist/yadokari /yadokari

FROM ${RUST} AS compiler
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo xtask dist && cp target/dist/yadokari /yadokari

FROM scratch AS source
COPY --from=compiler /yadokari /yadokari

FROM ${EXECUTABLE} AS executable

# Links and empty directories need a shell to make; the images themselves have none to make them with.
FROM ${BUSYBOX} AS tree
WORKDIR /tree
RUN mkdir -p kaniko/.docker kaniko/ssl/certs root usr/local/bin workspace \
 && ln -s executor kaniko/warmer \
 && ln -s /kaniko/executor usr/local/bin/yadokari
COPY --from=executable --chmod=0755 /yadokari kaniko/executor

FROM ${BUSYBOX} AS shell
RUN mkdir -p /tree/busybox && cp /bin/busybox /tree/busybox/busybox && /tree/busybox/busybox --install /tree/busybox

FROM scratch AS executor
ARG VERSION=0.1.0
ARG REVISION=
LABEL org.opencontainers.image.title="yadokari" \
      org.opencontainers.image.description="Builds container images from Dockerfiles without a daemon and without privileges" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=tree /tree /
ENV HOME=/root \
    USER=root \
    PATH=/usr/local/bin:/kaniko \
    DOCKER_CONFIG=/kaniko/.docker/ \
    SSL_CERT_DIR=/kaniko/ssl/certs
WORKDIR /workspace
ENTRYPOINT ["/kaniko/executor"]

FROM executor AS debug
COPY --from=shell /tree /
ENV PATH=/usr/local/bin:/kaniko:/busybox

# What is built when no target is named.
FROM executor
