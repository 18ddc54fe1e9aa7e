# The Python that the pins in requirements.txt were tested with.
ARG PYTHON_VERSION=3.11

FROM python:${PYTHON_VERSION}-slim AS builder
COPY requirements.txt /build/requirements.txt
RUN python -m venv /opt/plumbline
RUN /opt/plumbline/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
      -r /build/requirements.txt
# The docs page brings its own Swagger UI; what flasgger bundles is old, and source maps are for its authors.
RUN rm -rf /opt/plumbline/lib/python*/site-packages/flasgger/ui2 \
 && find /opt/plumbline -name '*.map' -delete

FROM python:${PYTHON_VERSION}-slim
ENV PATH=/opt/plumbline/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOST=0.0.0.0 \
    PORT=8000 \
    PLUMBLINE_STORE=/store
COPY --from=builder /opt/plumbline /opt/plumbline
WORKDIR /srv
COPY wsgi.py gunicorn.conf.py ./
COPY models/ models/
COPY schemas/ schemas/
COPY app/ app/
# Compiled now, because nothing can be written later: root owns the code, and the root file system may be read-only
# (give it a tmpfs on /tmp and /dev/shm). A new named volume on /store takes over its owner.
RUN python -m compileall -q app schemas models wsgi.py \
 && mkdir /store \
 && chown 10001:10001 /store
# Numeric, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8000
# Not urllib: it would ask a proxy named in the environment.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection('127.0.0.1', int(os.environ['PORT']), timeout=2); c.request('GET', '/health'); sys.exit(c.getresponse().status != 200)"]
CMD ["gunicorn", "wsgi:app"]
