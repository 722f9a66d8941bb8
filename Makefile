# One entry point for people and for CI. Every target sets itself up: the virtual environment is rebuilt when
# requirements.lock changes, and nothing is read from the caller's environment but PATH and HOME.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
# The names carry the content of the file, so that a checkout with new file times does not install again.
LOCKED := $(VENV)/.locked-$(shell cksum < requirements.lock | cut -d' ' -f1)
READY := $(VENV)/.ready-$(shell cat requirements.lock pyproject.toml | cksum | cut -d' ' -f1)
TOOLS := build/tools
TOOLED := $(TOOLS)/.locked-$(shell cksum < deploy/images/tools.lock | cut -d' ' -f1)
LOCKED_EXTRAS := platform binance ib yahoo s3 redis postgres dask tracing dev
# Twice the cores of the smallest supported machine: many tests wait, for a slow source or for a bar to close.
PYTEST_WORKERS ?= 4
PYTEST_ARGS ?=

# Nothing this project runs reports to its vendor.
export DO_NOT_TRACK := 1
export DAGSTER_DISABLE_TELEMETRY := yes
export MLFLOW_DISABLE_TELEMETRY := true
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Images of Python set it for their one process; here each of hundreds would compile again what it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## This list
	@echo "make <target>"
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' \
	  | while IFS=$$'\t' read -r name text; do printf '  %-11s %s\n' "$$name" "$$text"; done

# ---- environment ----------------------------------------------------------------------------------------------

.PHONY: venv
venv: $(READY) ## Build .venv from requirements.lock (Python 3.11 to 3.13; PYTHON=... chooses one)

$(LOCKED):
	@python="$$(.ci/find-python "$(PYTHON)")"; \
	echo "Setting up $(VENV) with $$("$$python" --version) from requirements.lock; this takes a few minutes, once."; \
	rm -rf $(VENV); "$$python" -m venv $(VENV)
	@.ci/install $(VENV) requirements.lock
	@# On all cores, but for what is large and hardly ever imported; templates fail.
	@echo "  compiling"; $(BIN)/python -m compileall -q -j 0 -x '/(tests|plotly|transformers|moto)/' $(VENV)/lib \
	  > $(VENV)/compile.log || true
	@touch $@

# The checkout itself, again whenever pyproject.toml changes: console script and entry points.
$(READY): $(LOCKED)
	@$(BIN)/python -m pip install -qq --no-input --no-deps --no-build-isolation -e .
	@rm -f $(VENV)/.ready-*; touch $@

.PHONY: tools
tools: $(TOOLED) ## What describes and scans the locks, in an environment of its own: cyclonedx-bom, pip-audit

$(TOOLED): | $(LOCKED)
	@rm -rf $(TOOLS); $(BIN)/python -m venv --without-pip $(TOOLS)
	@$(BIN)/python -m pip --python $(TOOLS)/bin/python install -qq --no-input --no-compile --no-deps --require-hashes \
	  -r deploy/images/tools.lock
	@touch $@

.PHONY: lock
lock: $(READY) ## Resolve requirements.lock again from pyproject.toml (all platforms, with hashes)
	@# All extras but transformers: torch would bring several GB of CUDA packages.
	@# Names keep their extras in it: without them pip before 23.3 tries other versions of a package wanted with an extra.
	@$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras \
	  $(addprefix --extra ,$(LOCKED_EXTRAS)) \
	  --custom-compile-command "make lock" pyproject.toml -o requirements.lock
	@echo "requirements.lock: $$(grep -cE '^[a-z0-9]' requirements.lock) packages"
	@# Each image holds a part of it, in the same versions.
	@lock() { $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-strip-extras --constraint requirements.lock $$(printf -- '--extra %s ' "$${@:2}") \
	  --custom-compile-command "make lock" pyproject.toml -o "deploy/images/$$1.lock"; }; \
	lock serving redis postgres tracing; lock exporter exporter redis postgres s3; \
	lock platform platform redis postgres s3 tracing dask binance ib yahoo
	@# Programs about the locks: in no image, and no part of what is tested.
	@printf 'cyclonedx-bom\npip-audit\n' | $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-strip-extras --custom-compile-command "make lock" - -o deploy/images/tools.lock

# ---- running --------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(READY) ## The whole platform on the sample data, from bronze files to predictions
	@$(BIN)/fx demo

.PHONY: soak
soak: $(READY) ## The repeated tests (kills, simulations, properties) with their full counts
	@FX_SOAK=1 $(BIN)/pytest -q --timeout 5400 tests/property $$(grep -rl --include='test_*.py' 'counts import' tests | sort) $(PYTEST_ARGS)

.PHONY: bench
bench: $(READY) ## Speed of the data path and of the service, as tables
	@$(BIN)/python -m benchmarks.run

IMAGES := serving exporter platform

.PHONY: images
images: ## The Docker images fx-serving, fx-exporter and fx-platform
	@for image in $(IMAGES); do \
	  docker build --network host -f deploy/images/Dockerfile --target $$image -t fx-$$image \
	    --build-arg REVISION="$$(git rev-parse --short HEAD 2>/dev/null || echo unknown)" . || exit 1; \
	done

.PHONY: sbom
sbom: $(READY) $(TOOLED) ## What the images are made of, as CycloneDX in build/sbom
	@mkdir -p build/sbom; for image in $(IMAGES); do \
	  $(TOOLS)/bin/python deploy/images/sbom.py fx-$$image deploy/images/$$image.lock --python $(BIN)/python \
	    > build/sbom/fx-$$image.cdx.json; \
	  echo "build/sbom/fx-$$image.cdx.json"; \
	done

# The folder of a composed platform; FX_COMPOSE_TEST=1 takes servers from Debian where images cannot be pulled.
override FX_COMPOSE_FOLDER := $(abspath $(or $(FX_COMPOSE_FOLDER),$(or $(FX_HOME),.fx)/compose))
COMPOSE = $(shell docker compose version >/dev/null 2>&1 && echo docker compose || echo docker-compose) -p fx \
  --env-file "$(FX_COMPOSE_FOLDER)/settings.env" -f deploy/compose.yaml $(if $(FX_COMPOSE_TEST),-f deploy/compose.test.yaml)

.PHONY: up
up: ## The platform in containers (deploy/compose.yaml), with passwords of its own; ends once all are healthy
	@# Those that are named are of a registry.
	@for image in $(IMAGES); do named="FX_$${image^^}_IMAGE"; named="$${!named:-}"; \
	  docker image inspect "$${named:-fx-$$image}" >/dev/null 2>&1 && continue; \
	  if [ -n "$$named" ]; then docker pull -q "$$named"; else $(MAKE) images; break; fi; done
	@python3 deploy/compose/prepare.py "$(FX_COMPOSE_FOLDER)"
	@# A platform on recorded prices lives in their time: asked of the configuration, which an image alone can read.
	@clock="$$($(COMPOSE) run --rm --no-deps -T initialise python -m fx_assets.stack.clock)"; \
	  FX_CLOCK="$$clock" $(COMPOSE) up -d
	@python3 deploy/compose/wait.py fx

.PHONY: down
down: ## Stop and remove these containers; their folder, with all data, stays
	@python3 deploy/compose/prepare.py "$(FX_COMPOSE_FOLDER)"
	@$(COMPOSE) stop daemon webserver
	@runs() { docker ps "$$@" --filter label=fx.platform=fx; }; \
	  runs -q | xargs -r docker stop --time 60 >/dev/null 2>&1 || true; \
	  runs -aq | xargs -r docker rm -f >/dev/null 2>&1 || true  # what ended meanwhile has gone
	@$(COMPOSE) down --remove-orphans

# ---- checking -------------------------------------------------------------------------------------------------

.PHONY: format
format: $(READY) ## Apply the formatter and the safe fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

# The longest first, and the others beside it.
LINTS := lint-types lint-format lint-code lint-imports lint-definitions

.PHONY: lint $(LINTS)
lint: $(READY) ## Format, lint, types, import contracts, code locations
	@$(MAKE) -j 2 $(LINTS)

lint-format:
	@echo "ruff format"; $(BIN)/ruff format --check --quiet --output-format concise . \
	  || { echo "Run: make format"; exit 1; }

lint-code:
	@echo "ruff check"; $(BIN)/ruff check --quiet --output-format concise .

lint-types:
	@echo "pyright"; $(BIN)/pyright --pythonpath $(BIN)/python

lint-imports:
	@echo "lint-imports"; $(BIN)/lint-imports --no-cache > $(VENV)/lint-imports.log 2>&1 \
	  || { cat $(VENV)/lint-imports.log; exit 1; }

lint-definitions:
	@echo "dagster definitions validate"; \
	home="$$(mktemp -d)"; trap 'rm -rf "$$home"' EXIT; cp deploy/dagster.yaml "$$home/"; \
	DAGSTER_HOME="$$home" FX_HOME="$$home/fx" $(BIN)/dagster definitions validate -w workspace.yaml \
	  > $(VENV)/definitions.log 2>&1 || { tail -n 40 $(VENV)/definitions.log; exit 1; }

.PHONY: kernels
kernels: # The machine code of the numba kernels: once, before each of several test processes would make it
	@echo "compiling the kernels"; $(BIN)/python -m tests.compiled

.PHONY: collected
collected: # The same for the tests' bytecode, which pytest makes for its assertions
	@echo "collecting the tests"; $(BIN)/pytest --collect-only -q > $(VENV)/collected.log 2>&1 \
	  || { tail -n 40 $(VENV)/collected.log; exit 1; }

# Named, since pytest would import every other test to find them, while one of two cores rests.
DEMO_TESTS = $(sort $(shell grep -rl --include='test_*.py' 'mark\.demo' tests))

.PHONY: test
test: $(READY) ## Everything lint checks, then all tests
	@$(MAKE) -j 2 $(LINTS) kernels collected
	@# By file, since the fixtures of a file are dear; what starts the whole platform runs alone, on all cores.
	@$(BIN)/pytest -n $(PYTEST_WORKERS) --dist loadfile --no-loadscope-reorder -q -m "not demo and not docker" $(PYTEST_ARGS)
	@$(BIN)/pytest -q -m demo $(DEMO_TESTS) $(PYTEST_ARGS)

.PHONY: test-images
test-images: $(READY) ## The tests of the Docker images and of the composed platform; needs a Docker engine and root
	@$(BIN)/pytest -q -m docker tests/images tests/compose $(PYTEST_ARGS)

.PHONY: scan
scan: $(READY) $(TOOLED) ## Locked versions against advisories and licences; Error 3 where advisories cannot be reached
	@$(BIN)/python -m deploy.scan.dependencies

.PHONY: scan-images
scan-images: $(READY) ## Debian's updates, rights and secrets in the images of make images; needs a Docker engine
	@$(BIN)/python -m deploy.scan.image $(addprefix fx-,$(IMAGES))

.PHONY: ci
ci: ## What continuous integration runs: installs missing Debian packages, then every test, no skips
	@.ci/run

.PHONY: ci-containers
ci-containers: ## Its last part alone: images and the composed platform on a Docker engine, as root
	@.ci/containers

.PHONY: clean
clean: ## Remove the virtual environment, caches and builds (the platform's data in .fx stays)
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -not -path './.fx/*' -prune -exec rm -rf {} +
