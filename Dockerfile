# The gateway's image: `docker build -t llm-gateway-proxy .`. Worker, beat and migrations run from the same one.

FROM python:3.12-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 UV_NO_CACHE=1 UV_LINK_MODE=copy
WORKDIR /app
COPY requirements.txt ./
COPY requirements/uv.txt requirements/
RUN pip install --require-hashes -r requirements/uv.txt \
    && python -m venv --without-pip /venv \
    && uv pip install --python /venv/bin/python --require-hashes --compile-bytecode -r requirements.txt
COPY . .
# This key signs nothing: collecting the static files only needs the settings to load.
RUN SECRET_KEY=only-for-this-build-step GATEWAY_DATA_DIR=/tmp/build \
    /venv/bin/python manage.py collectstatic --noinput --verbosity 0

FROM python:3.12-slim
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
RUN useradd --system --no-create-home --home-dir /app --shell /usr/sbin/nologin gateway \
    && install -d -o gateway -g gateway /app/var
WORKDIR /app
COPY --from=build /venv /venv
COPY --from=build /app /app
USER gateway
EXPOSE 5000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:5000/health', timeout=4)"]
CMD ["python", "manage.py", "serve", "--host", "0.0.0.0", "--port", "5000", "--workers", "2"]
