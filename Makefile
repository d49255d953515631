# Every command of this project. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

CLUSTER ?= kuscia##           Local cluster name; "current" is your kubeconfig's current context
IMAGE_PREFIX ?=##             Registry path to push images to (required with CLUSTER=current)
KUSCIA_IMAGE ?=##             Kuscia image to test instead of the stand-in, such as docker-archive:kuscia.tar
CONFIG ?= kuscia.yaml##       Configuration of `make sim`
N ?= 20000##                 Number of values files of `make fuzz`
SEED ?= 1##                  Seed of `make fuzz`: the same seed gives the same files
FIGURES ?=##                  Parts of `make bench`, such as "small start"; default: all
OWNER ?= example##           Owner of the registry namespace in `make release-dry-run`: ghcr.io/OWNER
TESTS ?=##                    Tests of `make pytest`, such as tests/hooks/test_keys.py

## XDG_CACHE_HOME            Directory of the cache, ~/.cache by default
## GOPROXY                   Mirror of the Go module proxy
## PIP_INDEX_URL             Mirror of the Python package index
## KUSCIA_IMAGE_NEXT         Second Kuscia version for the end-to-end tests of upgrades
## KUSCIA_SECRETFLOW_IMAGE   Kuscia image with the engine, for the end-to-end tests of RunP
## UPDATE_GOLDEN             Set to 1 to write the golden inventories of the chart again: `UPDATE_GOLDEN=1 make pytest TESTS=…`
## REPO_URL, SITE_URL        Addresses of the repository and of the documentation site, for its links

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/kuscia-chart
LOCK := requirements-dev.txt
VENV := $(CACHE)/venv-$(shell sha256sum $(LOCK) | cut -c1-12)
PY := $(VENV)/bin/python
DOCS_LOCK := docs/site/requirements.txt
DOCS_VENV := $(CACHE)/docs-venv-$(shell sha256sum $(DOCS_LOCK) | cut -c1-12)
REPORTS := build/reports
export PATH := $(CACHE)/bin:$(VENV)/bin:$(PATH)
# Without compiled modules, each process of a test compiles them again.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPATH := $(CURDIR):$(CURDIR)/hooks:$(CURDIR)/testbed/kuscia-sim/src:$(CURDIR)/testbed/kuscia-sim/testing:$(CURDIR)/testbed/psi-engine/src
export CLUSTER IMAGE_PREFIX KUSCIA_IMAGE OWNER

.PHONY: help
help: ## List targets and variables
	@echo "Targets:"
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "Variables:"
	@awk -F' \\?=|## *' '/^[A-Z_]+ \?=.*## /{printf "  %-16s %s\n", $$1, $$3}' $(MAKEFILE_LIST)
	@echo "Environment:"
	@awk '/^## [A-Z_, ]+  /{sub(/^## /, "  "); print}' $(MAKEFILE_LIST)

# --- tools --------------------------------------------------------------------

.PHONY: packages venv tools deps lock schema
packages: ## Install the Debian packages that the test bed needs (root)
	@testbed/cluster/packages.sh $(if $(filter current,$(CLUSTER)),--own-cluster)

$(VENV)/.done: | packages
	@echo "==> Python environment"
	@python3 -m venv --clear $(VENV)
	@$(VENV)/bin/pip install --quiet --no-deps --require-hashes --requirement $(LOCK)
	@touch $@

venv: $(VENV)/.done ## Create the Python environment

tools: venv ## Build Kubernetes, helm and other tools from source (once)
	@$(PY) -m testbed.cluster tools $(if $(filter current,$(CLUSTER)),helm helm3 versitygw)

deps: venv tools ## All of the above

COMPILE := uv pip compile --quiet --generate-hashes --no-emit-index-url --python-version 3.11

lock: venv ## Compile the lock files again
	cd hooks && $(COMPILE) -o requirements.txt requirements.in
	cd testbed/kuscia-sim && $(COMPILE) -o requirements.txt requirements.in
	cd testbed/psi-engine && $(COMPILE) --override overrides.txt -o requirements.txt requirements.in
	cd release && $(COMPILE) -o requirements.txt requirements.in
	$(COMPILE) --override testbed/psi-engine/overrides.txt -o $(LOCK) requirements-dev.in
	cd docs/site && $(COMPILE) -o requirements.txt requirements.in

schema: venv ## Generate all files that follow from values.schema.yaml
	@$(PY) -m schema

# --- demo and local cluster ---------------------------------------------------

.PHONY: demo-plan demo demo-down cluster-up cluster-down cluster-status kubeconfig images sim
demo-plan: ## Print what `make demo` is going to install, build and use
	@if command -v python3 >/dev/null; then python3 -m testbed.demo.plan $(VENV); \
	else echo "make demo is going to install Debian packages first: python3 not found"; fi

demo: ## The whole guide: cluster, images, three releases, data, PSI job
	@$(MAKE) -s demo-plan
	@$(MAKE) -s venv
	@$(PY) -m testbed.demo up

demo-down: venv ## Remove the demo and its cluster
	@$(PY) -m testbed.demo down

cluster-up: tools ## Start the local Kubernetes (safe to repeat)
	@$(PY) -m testbed.cluster up --name $(CLUSTER)

cluster-down: venv ## Stop it and remove everything it created
	@$(PY) -m testbed.cluster down --name $(CLUSTER)

cluster-status: venv ## Show its components and nodes
	@$(PY) -m testbed.cluster status --name $(CLUSTER)

kubeconfig: ## Print the path of its kubeconfig
	@$(if $(wildcard $(VENV)/.done),,$(MAKE) -s venv >&2;) $(PY) -m testbed.cluster kubeconfig --name $(CLUSTER)

images: tools ## Build the images
	@$(PY) -m testbed.images build

sim: venv ## Run a stand-in Kuscia in the foreground
	@KUSCIA_SIM_HOME=$${KUSCIA_SIM_HOME:-$(CONFIG).home} exec $(PY) -m kuscia_sim start -c $(CONFIG)

# --- checks -------------------------------------------------------------------

# End-to-end tests mostly wait: groups that share nothing run side by side.
SIDE_BY_SIDE := --numprocesses 4

# Set by test-all: where a run writes its report.
report =

.PHONY: lint words unit exhaustive interruptions fuzz-sample test-docs test-testbed e2e e2e-all e2e-older test test-all pytest
words: venv ## Check user-facing text against the word list in style/
	@$(PY) style/check_words.py

lint: deps words ## Static checks: ruff, mypy, import-linter, yamllint, shellcheck, word list, helm lint
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	yamllint --strict .
	shellcheck .ci/run bin/kubectl-kuscia $$(git ls-files '*.sh')
	helm lint --strict --quiet charts/kuscia
	@for v in values/*.yaml; do helm lint --strict --quiet charts/kuscia --values $$v || exit 1; done

# Helm runs hundreds of times and needs little memory. Its garbage collector would take a third of the time.
GO_TOOLS := GOGC=off GOMEMLIMIT=1GiB
UNIT := not cluster and not long and not exhaustive and not interruptions and not fuzz and not release

# The schema takes two thirds of the time of the suites: `make exhaustive` runs them with it.
unit: deps ## Unit and chart tests of the product (under 90 s)
	$(GO_TOOLS) helm-unittest --strict --skip-schema-validation charts/kuscia
	$(GO_TOOLS) pytest --quiet --numprocesses 4 -m "$(UNIT)" --ignore tests/docs tests $(call report,unit)

exhaustive: deps ## Unit and chart tests with every case of their tables
	$(GO_TOOLS) helm-unittest --strict charts/kuscia
	$(GO_TOOLS) pytest --quiet --numprocesses 2 -m exhaustive tests $(call report,exhaustive)

interruptions: deps ## Interrupt each step at each of its writes
	pytest --quiet --numprocesses 2 -m interruptions tests $(call report,interruptions)

fuzz-sample: deps ## Render 200 generated values files; an API server checks the objects
	pytest --quiet -m fuzz tests $(call report,fuzz)

test-docs: deps ## Tests of the pages: commands, links, errors, values, both languages
	pytest --quiet --numprocesses 2 -m "$(UNIT)" tests/docs $(call report,docs)

test-testbed: deps ## Tests of the test bed that need no cluster
	pytest --quiet --numprocesses 2 -m "not cluster and not long" testbed $(call report,testbed)

e2e: deps ## End-to-end tests: the demo and the quicker variants
	@$(PY) -m testbed.demo up
	pytest -v -m "cluster and not long" $(SIDE_BY_SIDE) tests testbed

e2e-all: deps ## All end-to-end tests
	@$(PY) -m testbed.demo up
	pytest -v -m "cluster or long" $(SIDE_BY_SIDE) tests testbed $(call report,e2e)

OLDER := kuscia-older
e2e-older: deps ## The demo and the quicker end-to-end tests on Kubernetes 1.26
	@$(PY) -m testbed.cluster up --name $(OLDER) --kubernetes 1.26
	@CLUSTER=$(OLDER) $(PY) -m testbed.demo up
	CLUSTER=$(OLDER) pytest -v -m "cluster and not long" $(SIDE_BY_SIDE) tests $(call report,e2e-older)
	@$(PY) -m testbed.cluster down --name $(OLDER)

test: lint docs unit exhaustive interruptions fuzz-sample test-docs test-testbed e2e ## What CI runs

test-all: lint docs unit exhaustive interruptions fuzz-sample test-docs test-testbed release-dry-run e2e-all e2e-older ## test, and the long end-to-end tests; reports in build/reports
test-all: report = --report $(REPORTS)/$(1).md

# --- releases -------------------------------------------------------------------

.PHONY: changes release-dry-run
changes: venv ## Print the changelog section of the next release
	@$(PY) -m towncrier build --draft --version "$$($(PY) -m release version)" --date unreleased

release-dry-run: deps ## Build, compare and check what a release publishes, and install it
	@$(PY) -m release check
	@$(PY) -m release artifacts --owner $(OWNER)
	@$(PY) -m testbed.images release --owner $(OWNER)
	@$(PY) -m testbed.cluster up --name $(CLUSTER)
	pytest -v -m release tests/e2e $(call report,release)

# --- documentation site -------------------------------------------------------

MKDOCS := NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/mkdocs

.PHONY: docs docs-serve
$(DOCS_VENV)/.done:
	@python3 -m venv --clear $(DOCS_VENV)
	@$(DOCS_VENV)/bin/pip install --quiet --no-deps --require-hashes --requirement $(DOCS_LOCK)
	@touch $@

docs: $(DOCS_VENV)/.done ## Build the documentation site in build/site; fails on a dead link
	@$(MKDOCS) --quiet build

docs-serve: $(DOCS_VENV)/.done ## Serve the documentation site, and build it again on changes
	@$(MKDOCS) serve

.PHONY: bench
bench: deps ## Measure the steps (under 15 minutes); results in bench/
	@$(PY) -m bench --cluster $(CLUSTER) $(FIGURES)

.PHONY: fuzz
fuzz: deps ## Render N generated values files (an hour for 20000); result in tests/fuzz/last-run.md
	@$(PY) -m tests.fuzz --files $(N) --seed $(SEED) --report tests/fuzz/last-run.md

pytest: deps ## Run TESTS alone
	pytest $(TESTS)
