# An image that holds one static file and nothing else: no shell, no package manager, no root.
#
#   docker build -t keystone .                                     builds the program too
#   make build && docker build --target prebuilt -t keystone .     takes bin/keystone: needs no registry
#
# Outside of this image the API is reached over TLS, with KEYSTONE_TLS_CERT and KEYSTONE_TLS_KEY, or in the clear where
# KEYSTONE_HTTP_INSECURE=true says that a proxy in front speaks TLS, or that the port is published to 127.0.0.1 alone.

FROM scratch AS base
# The folder of the node's data, which a volume takes the place of. It is copied because without a shell nothing can be
# made here, and a new volume takes over its owner.
COPY --chown=65532:65532 deploy/compose/data /data
ENV KEYSTONE_DATA=/data KEYSTONE_HTTP=:8000 LOG_FORMAT=json
USER 65532:65532
VOLUME /data
EXPOSE 8000/tcp 7400/tcp 7400/udp
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 CMD ["/keystone", "health"]
ENTRYPOINT ["/keystone"]
CMD ["serve"]

FROM base AS prebuilt
ARG PROGRAM=bin/keystone
COPY ${PROGRAM} /keystone

FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION
RUN make build ${VERSION:+VERSION=$VERSION}

FROM base
# For mail servers that present a certificate of a public authority.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/bin/keystone /keystone
