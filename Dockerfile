# The image of the service: one venv, one model package, one user; no compiler, no torch, no pip.
# To pin the base by digest: docker build --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# strip and readelf, in any version: this stage is discarded.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends binutils \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv --without-pip /opt/fetal-planes

# Extras: `dicom`, which includes `store`, `audit`, which adds that to them, or `none`. Each choice has its own lock.
ARG EXTRAS=dicom
COPY requirements/service.txt requirements/service-none.txt requirements/service-audit.txt requirements/package.txt requirements/
COPY deploy/image deploy/image
RUN lock=service-${EXTRAS}.txt \
    && if [ "$EXTRAS" = dicom ]; then lock=service.txt; fi \
    && pip install --require-hashes --only-binary :all: -r requirements/package.txt \
    && pip --python /opt/fetal-planes/bin/python3 install --no-compile --require-hashes --only-binary :all: \
        -r "requirements/$lock" \
    && python3 deploy/image/slim.py /opt/fetal-planes

COPY pyproject.toml README.md LICENSE NOTICE ./
COPY clients/python clients/python
COPY model_build model_build
COPY service service
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . ./clients/python \
    && pip --python /opt/fetal-planes/bin/python3 install --no-compile --no-deps --no-index /wheels/*.whl \
    && rm /opt/fetal-planes/bin/fetal-planes-build \
    && /opt/fetal-planes/bin/python3 -I deploy/image/load.py


FROM ${PYTHON_IMAGE}
ARG PYTHON_IMAGE
ARG VERSION=0.5.0
ARG REVISION=unknown
ARG EXTRAS=dicom
LABEL org.opencontainers.image.title="fetal-planes" \
      org.opencontainers.image.description="Sorts obstetric ultrasound stills into standard planes. Research use only." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="${PYTHON_IMAGE}" \
      fetal-planes.extras="${EXTRAS}"
# The command for XNAT's container service.
LABEL org.nrg.commands='[{"name":"fetal-planes","label":"Fetal planes","description":"Names the standard planes of obstetric ultrasound. Research use only.","version":"0.5.0","schema-version":"1.0","type":"docker","image":"fetal-planes:latest","command-line":"fetal-planes process /input /output --reports --overlays --allow-refused","override-entrypoint":true,"mounts":[{"name":"in","writable":false,"path":"/input"},{"name":"out","writable":true,"path":"/output"}],"inputs":[],"outputs":[{"name":"results","description":"Rows, table, reports and overlays","required":true,"mount":"out"}],"xnat":[{"name":"fetal-planes-scan","label":"Fetal planes","description":"Name the planes of a scan","contexts":["xnat:imageScanData"],"external-inputs":[{"name":"scan","type":"Scan","required":true,"matcher":"\"DICOM\" in @.resources[*].label"}],"derived-inputs":[{"name":"frames","type":"Resource","matcher":"@.label == \"DICOM\"","required":true,"derived-from-wrapper-input":"scan","provides-files-for-command-mount":"in"}],"output-handlers":[{"name":"results","accepts-command-output":"results","as-a-child-of":"scan","type":"Resource","label":"FETAL_PLANES"}]}]}]'

RUN groupadd --gid 10001 fetal-planes \
    && useradd --no-log-init --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin fetal-planes \
    && install -d -o 10001 -g 10001 -m 700 /spool /store
COPY --from=build /opt/fetal-planes /opt/fetal-planes
# The manifests of a MONAI Application Package.
COPY deploy/image/monai /etc/monai

ENV PATH=/opt/fetal-planes/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /
EXPOSE 8000 11112
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-Ic", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/ready', timeout=4)"]
ENTRYPOINT ["fetal-planes"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
