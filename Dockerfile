# Images of apitap and of apitap-bench. Nothing is compiled here: the build context is a folder that
# scripts/package has made.
#
#   docker build --file Dockerfile --target apitap target/dist/apitap-VERSION-TARGET
#
# scripts/docker-image does this for both targets and tries the images.

# The programs need glibc of the release that they were built on, or a newer one.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS base
# Nothing is fetched for a base that has what is asked for.
RUN [ -s /etc/ssl/certs/ca-certificates.crt ] || { \
      apt-get update \
      && apt-get install --yes --no-install-recommends ca-certificates \
      && rm -rf /var/lib/apt/lists/*; }
# PostgreSQL's initdb looks its user up by number, so the user needs a name.
RUN echo 'apitap:x:10001:10001:ApiTap:/work:/usr/sbin/nologin' >>/etc/passwd \
    && echo 'apitap:x:10001:' >>/etc/group \
    && mkdir /work \
    && chown 10001:10001 /work
COPY LICENSE-APACHE LICENSE-MIT THIRD-PARTY.txt /usr/share/doc/apitap/
ENV HOME=/work
WORKDIR /work

# The engine. It looks for pipelines/ and pipelines.yaml in /work.
FROM base AS apitap
LABEL org.opencontainers.image.title="apitap" \
      org.opencontainers.image.description="Moves rows from HTTP JSON APIs through SQL into PostgreSQL" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
COPY apitap /usr/local/bin/
USER 10001:10001
# The first process of a container ignores signals that it does not handle; apitap handles this one.
STOPSIGNAL SIGINT
ENTRYPOINT ["apitap"]

# The benchmark suite, with the PostgreSQL that it starts for itself. It writes to /work/reports.
FROM base AS apitap-bench
LABEL org.opencontainers.image.title="apitap-bench" \
      org.opencontainers.image.description="Measures apitap on a real PostgreSQL" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0"
# The suite starts a cluster of its own, so the package makes none.
RUN command -v psql >/dev/null || { \
      mkdir -p /etc/postgresql-common/createcluster.d \
      && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/apitap.conf \
      && apt-get update \
      && apt-get install --yes --no-install-recommends postgresql postgresql-client \
      && rm -rf /var/lib/apt/lists/*; }
COPY apitap-bench apitap-bench-heap /usr/local/bin/
USER 10001:10001
STOPSIGNAL SIGINT
ENTRYPOINT ["apitap-bench"]
