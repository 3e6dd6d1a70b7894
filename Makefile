# Shortcuts for the commands in README.md; `make` alone lists them.
VENV ?= .venv
BIN := $(VENV)/bin
IMAGE ?= fetal-planes
VERSION := $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' service/__init__.py)
REVISION := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)

SLOW_MARKERS := slow or training or fuzz or browser or container or ray or prometheus or orthanc or realdata

.DEFAULT_GOAL := help
.PHONY: help serve check test lint docs lock client-types screenshots image up tls-certificate sbom soak container-test clean \
  bench-baselines bench-sizing bench-single-request-latency bench-exam-overhead bench-cine-memory bench-table-throughput \
  bench-sub-plane-head-cost bench-providers bench-loader bench-decoder-memory bench-hostile bench-live bench-live-transport bench-video bench-listener-day \
  bench-start bench-overload

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 32

serve: $(VENV)/.service ## Install the service and serve on 127.0.0.1:8000
	$(BIN)/fetal-planes serve

# Unmarked tests only; pytest-xdist runs them on both cores of a small machine. With `worksteal`, the tests of a file
# mostly run in one process, which starts their servers once.
check: lint ## Run the linters, the type checker and the fast tests: about two minutes on two idle cores
	$(BIN)/pytest -q -n 2 --dist worksteal -m "not ($(SLOW_MARKERS))"

test: $(VENV)/.test ## Install everything and run all tests
	$(BIN)/pytest

lint: $(VENV)/.test ## Run the linter, the formatter's check, the word list, the import contracts and the type checker
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/codespell
	$(BIN)/lint-imports --no-cache
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

docs: $(VENV)/.test ## Build the documentation into site/, which also works offline
	$(BIN)/zensical build --strict --clean

client-types: $(VENV)/.test ## Write the types of the Python client again, from those of the service
	$(BIN)/python clients/python/generate_types.py

screenshots: $(VENV)/.test ## Take the pictures of the page again, into docs/pictures (needs Chromium)
	$(BIN)/python -m tests.system.browser.screenshots docs/pictures

$(VENV)/.bench: bench/requirements.txt $(VENV)/.test
	python3 -m venv $(VENV)/bench
	$(VENV)/bench/bin/pip install --no-deps -r requirements/test.txt
	$(VENV)/bench/bin/pip install torch==2.13.0
	$(VENV)/bench/bin/pip install -r bench/requirements.txt
	$(VENV)/bench/bin/pip install --no-deps -e .
	touch $@

# Only what the nodes of a cluster have: every process that Ray starts would load some of the tests' packages.
$(VENV)/.ray: requirements/ray.txt
	python3 -m venv $(VENV)/ray
	$(VENV)/ray/bin/pip install --no-deps -r requirements/ray.txt
	touch $@

lock: ## Resolve the hash-locked requirements again (needs uv)
	uv pip compile -q pyproject.toml --extra dicom --extra store -o requirements/service.txt
	uv pip compile -q pyproject.toml -c requirements/service.txt -o requirements/service-none.txt
	uv pip compile -q pyproject.toml --extra dicom --extra store --extra audit -c requirements/service.txt -o requirements/service-audit.txt
	uv pip compile -q pyproject.toml --extra dicom --extra store --extra audit --extra build --extra test --extra docs --extra table --extra ray -c requirements/service.txt -o requirements/test.txt
	uv pip compile -q pyproject.toml --extra dicom --extra store --extra table --extra ray --extra kuberay -c requirements/test.txt -o requirements/ray.txt
	python3 -c "import tomllib; \
	  print(*tomllib.load(open('pyproject.toml', 'rb'))['build-system']['requires'], sep='\n')" \
	  | uv pip compile -q - -o requirements/package.txt

image: ## Build the image
	docker build --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) -t $(IMAGE) .

up: ## Build the image and serve it on 127.0.0.1:8000
	docker compose up --build

CERTIFICATES ?= deploy/nginx/certs
tls-certificate: ## Make a self-signed certificate for localhost, to try the TLS front
	mkdir -p $(CERTIFICATES)
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
	  -addext subjectAltName=DNS:localhost,IP:127.0.0.1 \
	  -keyout $(CERTIFICATES)/tls.key -out $(CERTIFICATES)/tls.crt 2>/dev/null
	chmod 644 $(CERTIFICATES)/tls.key # another user runs nginx; give a real key to that user only

CYCLONEDX ?= $(BIN)/cyclonedx-py
SBOM ?= dist/sbom.cdx.json
sbom: ## Write the bill of materials of the image's packages, as CycloneDX
	mkdir -p $(dir $(SBOM))
	$(CYCLONEDX) requirements --pyproject pyproject.toml --spec-version 1.6 --output-reproducible \
	  --output-format JSON --output-file $(SBOM) requirements/service.txt

soak: $(VENV)/.test ## Send 20,000 requests, then good and hostile files for half an hour; check that nothing piles up
	SOAK=1 $(BIN)/pytest -s tests/integration/test_overload.py tests/integration/test_hostile_soak.py

container-test: $(VENV)/.test ## Build the image and test the composed service
	$(BIN)/pytest tests/system/container

# Benchmarks write into the documentation. They need a machine without other load.
BENCHMARKS := docs/reference/benchmarks.md

bench-baselines: $(VENV)/.bench ## Compare the service with other servers
	$(VENV)/bench/bin/python -m bench.baselines --write $(BENCHMARKS)

bench-sizing: $(VENV)/.test ## Measure what the service answers on 1, 2, 4 ... cores
	$(BIN)/python -m bench.sizing --write $(BENCHMARKS)

bench-start: $(VENV)/.test ## Measure the CPU time and the memory of a start
	$(BIN)/python -m bench.start --write $(BENCHMARKS)

bench-overload: $(VENV)/.test ## Compare clients that ask again at once after a refusal with full load (minutes)
	$(BIN)/python -m bench.overload --write $(BENCHMARKS)

bench-single-request-latency: $(VENV)/.test ## Compare the latency of a single request with direct inference on all cores
	$(BIN)/python -m bench.single_request_latency --write $(BENCHMARKS)

bench-exam-overhead: $(VENV)/.test ## Measure what sorting an exam costs beyond its frames
	$(BIN)/python -m bench.exam_overhead --write $(BENCHMARKS)

bench-cine-memory: $(VENV)/.test ## Measure the memory of a cine of 100 frames and of 10,000 (minutes)
	$(BIN)/python -m bench.cine_memory --frames 100 10000 --write $(BENCHMARKS)

bench-video: $(VENV)/.test ## Measure the memory of a long video, and its rate next to the network's (minutes)
	$(BIN)/python -m bench.video --frames 100 10000 --write $(BENCHMARKS)

bench-decoder-memory: $(VENV)/.test ## Measure the memory of a decoder for each format, and its cost per frame (minutes)
	$(BIN)/python -m bench.decoder_memory --write $(BENCHMARKS)

bench-listener-day: $(VENV)/.test ## Send a day of exams through the listener, ten times as fast (42 minutes)
	$(BIN)/python -m bench.listener_day --write $(BENCHMARKS)

bench-hostile: $(VENV)/.test ## Attack the service with hostile files while others use it (minutes)
	$(BIN)/python -m bench.hostile

bench-live: $(VENV)/.test ## Print the speed and memory of the live view, with Chromium on this machine
	$(BIN)/python -m tests.system.browser.live_speed

bench-live-transport: $(VENV)/.bench ## Compare requests with a WebSocket for the live view, from Python and Chromium
	$(VENV)/bench/bin/python -m bench.live_transport --write $(BENCHMARKS)

bench-table-throughput: $(VENV)/.test $(VENV)/.ray ## Measure a table job: without Ray, on one Ray node, on two
	$(BIN)/python -m bench.table_throughput --python $(VENV)/ray/bin/python --write $(BENCHMARKS)

PROVIDERS ?= {"OpenVINOExecutionProvider": {"device_type": "CPU"}}
bench-providers: $(VENV)/.test ## Compare another execution provider (PROVIDERS) with the CPU's
	$(BIN)/python -m bench.providers --write $(BENCHMARKS) '$(PROVIDERS)'

bench-sub-plane-head-cost: $(VENV)/.test ## Measure what the sub-plane head adds to a classification
	$(BIN)/python -m bench.sub_plane_head_cost --write $(BENCHMARKS)

DATA ?= FETAL_PLANES_DB
bench-loader: $(VENV)/.test ## Measure whether the data loader keeps up with training on DATA
	$(BIN)/python -m bench.loader $(DATA) --write $(BENCHMARKS)

clean: ## Remove what the targets above made
	rm -rf $(VENV) dist site .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .schemathesis
	find service model_build clients bench tests -name __pycache__ -prune -exec rm -rf {} +
