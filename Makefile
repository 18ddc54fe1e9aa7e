# Variables given in the environment or after `make serve` reach the processes by themselves; unset ones stay unset.
PYTHON ?= python3
DOCKER ?= docker
BIN := .venv/bin
PIP_INSTALL := $(BIN)/python -m pip install -qq --disable-pip-version-check
address = $(or $(HOST),127.0.0.1):$(or $(PORT),8000)

# Each is empty when all is well, else the reason: `$(error)` then stops make with that one line.
python_fault = $(shell $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	|| echo '$(PYTHON) is missing or older than 3.11: install one, or name it: `make $(or $(MAKECMDGOALS),venv) PYTHON=python3.11`')
venv_fault = $(shell $(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
	|| echo '$(PYTHON) cannot make environments: run `apt-get install python3-venv`')
# Bound as gunicorn binds (SO_REUSEADDR), so that connections in TIME_WAIT do not count.
port_fault = $(shell fault=$$($(PYTHON) -c 'import socket, sys; host, port = sys.argv[1].rsplit(":", 1); socket.create_server(\
	(host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)' '$(address)' 2>&1 | tail -n 1 \
	| sed 's/^.*] *//; s/ .while .*//'); test -z "$$fault" || echo "cannot serve on $(address), $$fault:" \
	'try `make serve PORT=$(if $(filter 8001,$(PORT)),8002,8001)`')
engine_fault = $(shell $(DOCKER) info >/dev/null 2>&1 \
	|| echo 'no container engine answers: start docker, or name another: `make image DOCKER=podman`')
stop_if = $(if $(strip $1),$(error $1))
# A part of the tests starts sooner in one process; `make test PROCESSES=1` runs all of them in one.
PROCESSES ?= 2
spread = $(if $(or $(findstring tests/,$(ARGS)),$(filter 1,$(PROCESSES))),,-n $(PROCESSES) --dist=loadfile --no-loadscope-reorder)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help venv serve test lint check bench stress image clean port

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 10
	@echo 'Variables of serve and test: HOST PORT WORKERS PLUMBLINE_STORE; of test: ARGS PROCESSES; of all: PYTHON'

venv: .venv/runtime ## build .venv (only when the requirements changed)

.venv/runtime: requirements.txt
	@$(call stop_if,$(python_fault))
	@$(call stop_if,$(venv_fault))
	@echo 'installing requirements.txt into .venv'
	@$(PYTHON) -m venv .venv
	@$(PIP_INSTALL) -r requirements.txt
	@touch $@

.venv/dev: .venv/runtime requirements/dev.txt requirements/benchmarks.txt requirements/compiled.txt requirements/libraries.txt
	@echo 'installing requirements/dev.txt into .venv'
	@$(PIP_INSTALL) -r requirements/dev.txt
	@touch $@

port:
	@$(call stop_if,$(python_fault))
	@$(call stop_if,$(port_fault))

serve: port .venv/runtime ## serve on HOST:PORT, after publishing the demo models into an empty store
	@$(BIN)/flask models demo --if-empty
	@exec env PLUMBLINE_BANNER=1 $(BIN)/gunicorn wsgi:app

test: .venv/dev ## run the tests, in two processes; ARGS="tests/test_layers.py -x" runs a part
	$(BIN)/pytest $(spread) $(ARGS)

lint: .venv/dev ## ruff's rules and format, mypy's types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint ## what must pass before a commit: lint, and the tests with branch coverage
	$(BIN)/pytest $(spread) --cov

bench: .venv/dev ## compare with other servers: QUICK=1, ARMS="..", MODELS="..", MINUTES=.., FRESH=1, COMPARE=old.json
	@command -v wrk >/dev/null || { echo 'wrk is missing: run `apt-get install wrk`' >&2; exit 1; }
	@$(BIN)/python -m benchmarks $(if $(QUICK),--quick) $(if $(ARMS),--arms "$(ARMS)") \
	  $(if $(MODELS),--models "$(MODELS)") $(if $(MINUTES),--minutes $(MINUTES)) $(if $(FRESH),--fresh) $(if $(COMPARE),--compare "$(COMPARE)")

stress: .venv/dev ## run the long forms of the stress tests
	$(BIN)/pytest -m stress $(ARGS)

image: ## build the container image plumbline:latest
	@$(call stop_if,$(engine_fault))
	$(DOCKER) build -t plumbline:latest .

clean: ## remove .venv and caches; the model store stays
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.* build *.egg-info
	find app schemas models tests -name __pycache__ -type d -prune -exec rm -rf {} +
