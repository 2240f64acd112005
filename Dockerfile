# The images of yadokari:
#
#   executor   the executable and nothing else
#   debug      with a busybox shell, for CI systems that run a script inside the job's image
#   git        Debian with git, curl and a full shell, for CI systems whose actions expect those
#   nonroot    executor for a pod that may not be root: it needs user namespaces in the container
#
# The executable comes from target/dist/yadokari (`cargo xtask dist`); with --build-arg EXECUTABLE=source it is
# built here. With EXECUTABLE=cross and --platform linux/amd64,linux/arm64 the images of all platforms but `git` come from one build,
# without running anything foreign: from target/dist/amd64/yadokari and target/dist/arm64/yadokari, made on a machine of each kind.

# Where the executable comes from: dist, cross or source
ARG EXECUTABLE=dist
# What the labels say
ARG VERSION=0.1.0
ARG REVISION=
# An image with a static busybox
ARG BUSYBOX=docker.io/library/busybox:latest
# An image with apt
ARG DEBIAN=docker.io/library/debian:bookworm-slim
# An image with a Rust toolchain and a C compiler
ARG RUST=docker.io/library/rust:1.95-bookworm

FROM scratch AS dist
COPY target/dist/yadokari /yadokari

FROM scratch AS cross
ARG TARGETARCH
COPY target/dist/${TARGETARCH}/yadokari /yadokari

FROM ${RUST} AS compiler
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo xtask dist && cp target/dist/yadokari /yadokari

FROM scratch AS source
COPY --from=compiler /yadokari /yadokari

FROM ${EXECUTABLE} AS executable

# Links and empty directories need a shell to make; the images themselves have none to make them with.
FROM --platform=${BUILDPLATFORM} ${BUSYBOX} AS tree
WORKDIR /tree
RUN mkdir -p kaniko/.docker kaniko/ssl/certs root usr/local/bin workspace \
 && ln -s executor kaniko/warmer \
 && ln -s /kaniko/executor usr/local/bin/yadokari

FROM ${BUSYBOX} AS busybox

FROM --platform=${BUILDPLATFORM} ${BUSYBOX} AS applets
RUN mkdir -p /tree/busybox && cd /tree/busybox \
 && for applet in $(busybox --list); do ln -s busybox "$applet"; done && rm -f busybox

FROM --platform=${BUILDPLATFORM} ${BUSYBOX} AS home
RUN mkdir -p /home/builder/.docker

FROM scratch AS executor
ARG VERSION
ARG REVISION
LABEL org.opencontainers.image.title="yadokari" \
      org.opencontainers.image.description="Builds container images from Dockerfiles without a daemon and without privileges" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=tree /tree /
COPY --from=executable --chmod=0755 /yadokari /kaniko/executor
ENV HOME=/root \
    USER=root \
    PATH=/usr/local/bin:/kaniko \
    DOCKER_CONFIG=/kaniko/.docker/ \
    SSL_CERT_DIR=/kaniko/ssl/certs
WORKDIR /workspace
ENTRYPOINT ["/kaniko/executor"]

FROM executor AS debug
COPY --from=applets /tree /
COPY --from=busybox /bin/busybox /busybox/busybox
ENV PATH=/usr/local/bin:/kaniko:/busybox

FROM ${DEBIAN} AS git
ARG VERSION
ARG REVISION
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates curl git jq openssh-client \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb /var/log/apt /var/log/dpkg.log
COPY --from=tree /tree /
COPY --from=executable --chmod=0755 /yadokari /kaniko/executor
LABEL org.opencontainers.image.title="yadokari" \
      org.opencontainers.image.description="Builds container images from Dockerfiles; with git and a shell" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV HOME=/root \
    USER=root \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/kaniko \
    DOCKER_CONFIG=/kaniko/.docker/
WORKDIR /workspace
CMD ["/bin/bash"]

FROM executor AS nonroot
COPY --from=home --chown=65532:65532 /home /home
ENV HOME=/home/builder \
    USER=builder \
    DOCKER_CONFIG=/home/builder/.docker
WORKDIR /home/builder
USER 65532:65532

# What is built when no target is named.
FROM executor
