# syntax=docker/dockerfile:1

# ---- build: Rust and a C compiler (SQLite and the TLS library are compiled in)
FROM rust:1.95-slim-trixie AS build
WORKDIR /build

# What .dockerignore lets through. The caches keep the registry and what was built for the next image; the program is taken
# out of them, for they are no part of any layer.
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --locked --release \
    && install target/release/wiz-context /usr/local/bin/wiz-context

# ---- run
FROM debian:trixie-slim
LABEL org.opencontainers.image.title="wiz-context" \
      org.opencontainers.image.description="Keeps the IP context labels of a Netography Fusion account equal to what Wiz knows of its vulnerable assets" \
      org.opencontainers.image.licenses="Apache-2.0"

# Without a bundle of certificate authorities not even plain http:// requests can be set up.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/*

# The ids are fixed, so that the owner of a volume's files is the same in every image.
RUN groupadd --gid 10001 wiz-context \
    && useradd --uid 10001 --gid 10001 --home-dir /data --no-create-home --shell /usr/sbin/nologin wiz-context \
    && install --directory --mode=0700 --owner=10001 --group=10001 /data

COPY --from=build /usr/local/bin/wiz-context /usr/local/bin/wiz-context

# The database, and beside it the key files `encryption-key` and `admin-key`.
VOLUME /data
WORKDIR /data
USER 10001:10001

ENV WIZ_CONTEXT_LISTEN=0.0.0.0:8080 \
    WIZ_CONTEXT_DATABASE_URL=sqlite:///data/wiz-context.db
EXPOSE 8080

HEALTHCHECK --interval=30s --timeout=5s --start-period=30s CMD ["wiz-context", "health"]

# No shell in between: the program is process 1 and gets SIGTERM itself.
ENTRYPOINT ["wiz-context"]
CMD ["serve"]
