# Every command of this project. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# Name of the local cluster; `current` means the current context of your kubeconfig.
CLUSTER ?= kuscia
IMAGE_PREFIX ?=
KUSCIA_IMAGE ?=
CONFIG ?= kuscia.yaml

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/kuscia-chart
LOCK := requirements-dev.txt
VENV := $(CACHE)/venv-$(shell sha256sum $(LOCK) | cut -c1-12)
PY := $(VENV)/bin/python
export PATH := $(CACHE)/bin:$(VENV)/bin:$(PATH)
export PYTHONPATH := $(CURDIR):$(CURDIR)/hooks:$(CURDIR)/tests/sim:$(CURDIR)/tests/engine
export CLUSTER IMAGE_PREFIX KUSCIA_IMAGE

.PHONY: help
help: ## List the commands
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- what the machine needs ---------------------------------------------------

.PHONY: packages venv tools deps
packages:
	@tests/cluster/packages.sh

$(VENV)/.done: | packages
	@echo "==> Python environment"
	@python3 -m venv --clear $(VENV)
	@$(VENV)/bin/pip install --quiet --no-deps --require-hashes --requirement $(LOCK)
	@touch $@

venv: $(VENV)/.done

tools: venv
	@$(PY) -m tests.cluster tools

deps: venv tools

# --- the local cluster and the demo -------------------------------------------

.PHONY: cluster-up cluster-down cluster-status kubeconfig demo demo-down images sim
cluster-up: tools ## Start the local Kubernetes (safe to repeat)
	@$(PY) -m tests.cluster up --name $(CLUSTER)

cluster-down: venv ## Stop it and leave nothing behind
	@$(PY) -m tests.cluster down --name $(CLUSTER)

cluster-status: venv ## Show its parts and nodes
	@$(PY) -m tests.cluster status --name $(CLUSTER)

kubeconfig: ## Print the path of its kubeconfig
	@$(if $(wildcard $(VENV)/.done),,$(MAKE) -s venv >&2;) $(PY) -m tests.cluster kubeconfig --name $(CLUSTER)

images: tools ## Build the images
	@$(PY) -m tests.cluster.images build

demo: deps ## The whole guide: cluster, images, three releases, data, PSI job
	@$(PY) -m tests.cluster.demo up

demo-down: venv ## Remove the demo and its cluster
	@$(PY) -m tests.cluster.demo down

sim: venv ## Run a stand-in Kuscia in the foreground: make sim CONFIG=kuscia.yaml
	@KUSCIA_SIM_HOME=$${KUSCIA_SIM_HOME:-$(CONFIG).home} exec $(PY) -m kuscia_sim start -c $(CONFIG)

# --- checks -------------------------------------------------------------------

# Most of an end-to-end test is waiting: groups that share nothing run side by side.
SIDE_BY_SIDE := --numprocesses 4

# Set by test-all: what a run writes its report to.
report =

.PHONY: lint unit chart test-fast test test-all
lint: deps ## ruff, mypy, yamllint, helm lint
	ruff check .
	ruff format --check .
	mypy
	yamllint --strict .
	helm lint --strict --quiet charts/kuscia
	@for v in values/*.yaml; do helm lint --strict --quiet charts/kuscia --values $$v || exit 1; done

unit: deps ## Unit tests of the hooks, the stand-in, the engine
	pytest -m "not cluster and not long" tests --ignore tests/chart $(call report,unit)

chart: deps ## helm-unittest suites and template tests
	helm-unittest --strict charts/kuscia --with-subchart
	pytest tests/chart $(call report,chart)

test-fast: lint chart unit ## All that needs no cluster

.PHONY: e2e e2e-all
e2e: deps ## End-to-end tests of the demo and of the quicker variants
	@$(PY) -m tests.cluster.demo up
	pytest -v -m "cluster and not long" $(SIDE_BY_SIDE) tests

e2e-all: deps ## All end-to-end tests
	@$(PY) -m tests.cluster.demo up
	pytest -v -m "cluster or long" $(SIDE_BY_SIDE) tests $(call report,e2e)

test: test-fast e2e ## What CI runs: test-fast and e2e

test-all: test-fast e2e-all ## test, and the long ones; writes reports/
test-all: report = --report reports/$(1).md

COMPILE := uv pip compile --quiet --generate-hashes --no-emit-index-url --python-version 3.11

.PHONY: lock
lock: venv ## Compile the lock files again
	cd hooks && $(COMPILE) -o requirements.txt requirements.in
	cd tests/sim && $(COMPILE) -o requirements.txt requirements.in
	cd tests/engine && $(COMPILE) --override overrides.txt -o requirements.txt requirements.in
	$(COMPILE) --override tests/engine/overrides.txt -o $(LOCK) requirements-dev.in
