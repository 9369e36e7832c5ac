# One image for every part of a cluster; docker-compose.yml says which part a container is.
FROM python:3.11-slim-bookworm AS packages
COPY requirements.txt /
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --disable-pip-version-check -r /requirements.txt

FROM python:3.11-slim-bookworm
COPY --from=packages /venv /venv
COPY manage.py /clusterweb/
COPY clusterweb /clusterweb/clusterweb
COPY monitoring /clusterweb/monitoring
COPY templates /clusterweb/templates
COPY static /clusterweb/static
WORKDIR /clusterweb
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MALLOC_ARENA_MAX=2 \
    CLUSTERWEB_HOME=/var/lib/clusterweb
VOLUME /var/lib/clusterweb
