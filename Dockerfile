# eventproc: the worker and the command line, about 100 MB beside Python. Runs as user 10001 on a read-only file system; it writes
# only below /tmp (an empty folder of Faust's; private copies of TLS stores): give it a tmpfs there.
ARG PYTHON=3.12.12-slim-bookworm

FROM python:${PYTHON} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv /opt/eventproc
# Wheels only, so that nothing is compiled here; each is the one whose hash the lock file has. A layer of its own:
# it is made anew only when the lock changes.
COPY requirements-image.lock ./
RUN /opt/eventproc/bin/pip install --require-hashes --only-binary :all: -r requirements-image.lock
COPY pyproject.toml README.md LICENSE ./
COPY settings settings
COPY eventproc eventproc
COPY agents agents
# Without build isolation setuptools is the locked one. Neither it nor pip is needed to run.
RUN /opt/eventproc/bin/pip install --no-deps --no-index --no-build-isolation . \
    && /opt/eventproc/bin/pip check \
    && /opt/eventproc/bin/pip uninstall --yes setuptools pip \
    && /opt/eventproc/bin/eventproc --version

FROM python:${PYTHON}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="eventproc" \
      org.opencontainers.image.description="Delivers a Stellar anchor's events from Kafka to its business server and the wallets" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.documentation="docs/deployment.md"
ENV PATH=/opt/eventproc/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/eventproc /opt/eventproc
# A file .env in the working directory is read: there is none here, and nobody can put one there.
WORKDIR /opt/eventproc
USER 10001:10001
EXPOSE 8088
STOPSIGNAL SIGTERM
# Alive, not ready: Docker restarts nothing by it, but compose waits for it. Where the port is set in YAML
# (event_processor.port, web.port), set WEB_PORT to the same.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-c", \
    "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('WEB_PORT', '8088') + '/health/live', timeout=4)"]
ENTRYPOINT ["eventproc"]
CMD ["worker"]
