# The targets that people and CI share. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python
export CLUSTER REGISTRY PUSH KEEP
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help setup setup-python setup-cluster check format test test-fast wheel bench bench-operator soak proto docs lock image demo demo-down demo-local clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: ## install all that a fresh Debian 12 machine needs; seconds when nothing is missing
	@scripts/setup.sh all

setup-python: ## the part of setup that needs no root: the virtual environment and the compiled modules
	@scripts/setup.sh python

setup-cluster: ## the part of setup that needs root: Debian packages, Kubernetes and its tools
	@scripts/setup.sh cluster

check: setup-python ## format, lint, types, layers, spelling, generated files
	ruff format --check .
	ruff check .
	scripts/types.sh
	lint-imports
	codespell
	$(PY) scripts/generate.py --check

format: setup-python ## rewrite the code as ruff formats it
	ruff format .
	ruff check --fix .

docs: setup-python ## write the generated reference pages and the CRD anew
	$(PY) scripts/generate.py

test: setup check ## everything, on a real cluster; without root all but the cluster, and it says so
	@scripts/test.sh

test-fast: setup-python ## all tests that need no cluster
	$(PY) -m pytest -m "not cluster"

bench: setup-python ## the same jobs on the sidecar and on the Collector, in turn: ratios, JSON and plots in bench/results/ (45 minutes); then bench-operator
	$(PY) bench/metering.py
	$(PY) bench/run.py
	@if [ "$$(id -u)" = 0 ]; then $(MAKE) bench-operator; else echo "bench-operator needs root, and is left out"; fi

bench-operator: setup ## as root: our operator and the OpenTelemetry one, each on a Kubernetes of its own (15 minutes; once 10 to build the latter)
	$(PY) bench/control_plane.py

MINUTES ?= 20
soak: setup-python ## 20,000 spans/s for 20 minutes (MINUTES=N) while everything goes wrong; the ledger must close to zero
	$(PY) bench/soak.py --minutes $(MINUTES)

proto: setup-python ## generate Python from the .proto files
	scripts/proto.sh

lock: ## write requirements/*.txt anew: current versions with hashes
	scripts/lock.sh

wheel: setup-python ## build a wheel that carries the C library it links to, into dist/
	scripts/wheel.sh

image: ## build both images; REGISTRY=… names them, PUSH=1 pushes
	scripts/image.sh

demo: ## the whole journey on a cluster of its own, or CLUSTER=current REGISTRY=… for yours
	@scripts/demo.sh up

demo-down: ## remove the demo and its cluster (CACHES=1: what was built for it, too)
	@scripts/demo.sh down

demo-local: setup-python ## the sidecar alone with two backends, one of which fails; no root, under a minute
	@$(PY) scripts/demo_local.py

clean: ## remove what was built inside the checkout; caches outside it stay
	rm -rf build dist *.egg-info .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache bench/results
	find operator sidecar proto -name '*.so' -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
