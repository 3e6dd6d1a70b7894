# Shortcuts for the commands in README.md; `make` alone lists them.
VENV ?= .venv
BIN := $(VENV)/bin
IMAGE ?= fetal-planes
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' service/__init__.py)
REVISION := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

.DEFAULT_GOAL := help
.PHONY: help tls-certificate sbom serve test lint lock screenshots image up soak compare sizing container-test clean cine-memory archive-rate exam-time lone-time head-cost

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

serve: $(VENV)/.service ## Install the service and serve on 127.0.0.1:8000
	$(BIN)/fetal-planes serve

test: $(VENV)/.test ## Install everything and run all tests
	$(BIN)/pytest

lint: $(VENV)/.test ## Run the linter, the formatter's check and the type checker
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

$(VENV)/.service: requirements/service.txt pyproject.toml
	python3 -m venv $(VENV)
	$(BIN)/pip install -r requirements/service.txt
	$(BIN)/pip install --no-deps -e .
	touch $@

$(VENV)/.test: requirements/test.txt pyproject.toml
	python3 -m venv $(VENV)
	$(BIN)/pip install --no-deps -r requirements/test.txt
	$(BIN)/pip install torch==2.13.0
	$(BIN)/pip install --no-deps -e .
	touch $@

screenshots: $(VENV)/.test ## Take the pictures of the page in docs/pictures anew (needs chromium)
	$(BIN)/python -m tests.system.browser.screenshots docs/pictures

$(VENV)/.bench: bench/requirements.txt $(VENV)/.test
	python3 -m venv $(VENV)/bench
	$(VENV)/bench/bin/pip install --no-deps -r requirements/test.txt
	$(VENV)/bench/bin/pip install torch==2.13.0
	$(VENV)/bench/bin/pip install -r bench/requirements.txt
	$(VENV)/bench/bin/pip install --no-deps -e .
	touch $@

# What the nodes of a cluster have, and no more: each process that Ray starts would load some of the tests' packages.
$(VENV)/.ray: requirements/ray.txt
	python3 -m venv $(VENV)/ray
	$(VENV)/ray/bin/pip install --no-deps -r requirements/ray.txt
	touch $@

lock: ## Resolve the hash-locked requirements anew (needs uv)
	uv pip compile -q pyproject.toml --extra dicom -o requirements/service.txt
	uv pip compile -q pyproject.toml -c requirements/service.txt -o requirements/service-none.txt
	uv pip compile -q pyproject.toml --extra dicom --extra build --extra test --extra archive --extra ray -c requirements/service.txt -o requirements/test.txt
	uv pip compile -q pyproject.toml --extra dicom --extra archive --extra ray --extra kuberay -c requirements/test.txt -o requirements/ray.txt
	python3 -c "import tomllib; \
	  print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" \
	  | uv pip compile -q - -o requirements/package.txt

image: ## Build the image
	docker build --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) -t $(IMAGE) .

up: ## Build the image and serve it on 127.0.0.1:8000
	docker compose up --build

CERTIFICATES ?= deploy/nginx/certs
tls-certificate: ## Make a certificate for localhost that nobody vouches for, to try the TLS front with
	mkdir -p $(CERTIFICATES)
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
	  -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
	  -keyout $(CERTIFICATES)/tls.key -out $(CERTIFICATES)/tls.crt 2>/dev/null
	chmod 644 $(CERTIFICATES)/tls.key # another user runs nginx; a real key is given to that user alone

CYCLONEDX ?= $(BIN)/cyclonedx-py
SBOM ?= dist/sbom.cdx.json
sbom: ## Write the bill of materials of what the image installs, as CycloneDX
	mkdir -p $(dir $(SBOM))
	$(CYCLONEDX) requirements --pyproject pyproject.toml --spec-version 1.6 --output-reproducible \
	  --output-format JSON --output-file $(SBOM) requirements/service.txt

soak: $(VENV)/.test ## Send 20,000 requests, and look at what they leave behind
	FETAL_PLANES_SOAK=1 $(BIN)/pytest -s tests/integration/test_overload.py

compare: $(VENV)/.bench ## Measure the service beside other servers, on this machine
	$(VENV)/bench/bin/python -m bench.compare --write docs/reference/benchmarks.md

sizing: $(VENV)/.test ## Measure what a core gives, and write it into docs/reference/benchmarks.md; wants an idle machine
	$(BIN)/python -m bench.sizing --write docs/reference/benchmarks.md

container-test: $(VENV)/.test ## Build the image and drive the composed service
	$(BIN)/pytest tests/system/container

cine-memory: $(VENV)/.test ## Memory that a cine of 10,000 frames takes, beside one of 100 (minutes)
	$(BIN)/python -m bench.cine_memory --frames 100 10000 --write docs/reference/benchmarks.md

archive-rate: $(VENV)/.test $(VENV)/.ray ## Rate of an archive job: plain, on one Ray node, on two; wants an idle machine
	$(BIN)/python -m bench.table_throughput --python $(VENV)/ray/bin/python --write docs/reference/benchmarks.md

exam-time: $(VENV)/.test ## What sorting an exam costs beyond its frames; wants an idle machine
	$(BIN)/python -m bench.exam_overhead --write docs/reference/benchmarks.md

lone-time: $(VENV)/.test ## What a lone request takes beside bare inference on all cores; wants an idle machine
	$(BIN)/python -m bench.single_request_latency --write docs/reference/benchmarks.md

head-cost: $(VENV)/.test ## What the head for sub-planes adds to a classify; wants an idle machine
	$(BIN)/python -m bench.sub_plane_head_cost --write docs/reference/benchmarks.md

clean: ## Remove what the targets above made
	rm -rf $(VENV) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis
	find service model_build tests -name __pycache__ -prune -exec rm -rf {} +
