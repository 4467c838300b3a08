# The service alone: no compiler, no shell needed, not root, kernels compiled beforehand.
#
#   docker build -t stream-ewma .
#   docker run -v ./stream-ewma.yaml:/etc/stream-ewma/config.yaml:ro stream-ewma
#
# The live page, API and metrics, beyond the container (the page then asks for the token):
#
#   docker run -v ./stream-ewma.yaml:/etc/stream-ewma/config.yaml:ro -p 127.0.0.1:9464:9464 \
#     -e STREAM_EWMA_HTTP__HOST=0.0.0.0 -e STREAM_EWMA_HTTP__TOKEN=... stream-ewma

FROM python:3.13-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /app/venv
COPY requirements-service.lock /src/
RUN /app/venv/bin/pip install --require-hashes -r /src/requirements-service.lock
COPY pyproject.toml README.md LICENSE /src/
COPY stream_ewma /src/stream_ewma
RUN /app/venv/bin/pip install --no-deps /src
# The kernel cache compares the sources' times, and image layers keep whole seconds only.
RUN find /app/venv/lib -path '*/stream_ewma/*' -name '*.py' -exec touch -d @1767225600 {} +

FROM python:3.13-slim
# Compiled for any processor of the architecture: the image runs elsewhere than it is built.
ENV PATH=/app/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NUMBA_CPU_NAME=generic \
    STREAM_EWMA_KERNEL_CACHE_DIR=/app/kernels
RUN useradd --system --uid 10001 --no-create-home --home-dir /nonexistent smoother \
 && install -d -o smoother /app/kernels
COPY --from=build /app/venv /app/venv
USER 10001
RUN python -m stream_ewma.service.warm
EXPOSE 9464
HEALTHCHECK --start-period=60s CMD ["stream-ewma", "healthcheck"]
ENTRYPOINT ["stream-ewma"]
CMD ["run"]
