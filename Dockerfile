# SKUlight in a container: `docker build -t skulight .`, then see compose.yaml.
FROM python:3.13.16-slim-trixie@sha256:70729b46c69b4f1e97c4822c1af3df53a1476cf5ddc6c087c0c10bc3a5678c2f AS python

FROM python AS packages
WORKDIR /app
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH
COPY requirements-container.txt .
RUN pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements-container.txt

FROM python
# Fixed ids, so that volumes keep their owner when the image is rebuilt.
RUN groupadd --gid 10001 skulight && useradd --uid 10001 --gid skulight --no-create-home --shell /usr/sbin/nologin skulight
WORKDIR /app
COPY --from=packages /venv /venv
COPY app.py gunicorn.conf.py ./
COPY image_processor image_processor
COPY migrations migrations
COPY static static
COPY templates templates
# The only writable folders. Everything else belongs to root and may be mounted read-only.
RUN mkdir -p /data/instance /data/processed_images && chown -R skulight:skulight /data
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    IMAGE_PROCESSOR_INSTANCE_PATH=/data/instance \
    IMAGE_PROCESSOR_PROCESSED_IMAGES_PATH=/data/processed_images
USER skulight
VOLUME ["/data/instance", "/data/processed_images"]
EXPOSE 8000
# Loopback is always a trusted host. Without IMAGE_PROCESSOR_API_KEY the server refuses to listen on 0.0.0.0.
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"]
# gunicorn stops within 8 s of SIGTERM; unfinished jobs resume at the next start.
STOPSIGNAL SIGTERM
CMD ["gunicorn"]
