# dicouch. `make help` lists the targets.

SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
DICOUCH := $(VENV)/bin/dicouch
EMBEDDED := scripts/embedded
OHIF := scripts/ohif
LOGIC := scripts/logic
# Tests that run at a time: much of a test is waiting, for a server to start or a client that is slow.
TESTERS := $(shell echo $$(( $$(nproc) < 4 ? $$(nproc) + 1 : 4 )))
ESLINT := tests/js
# The embedded database is installed only where no CouchDB is named or found.
CHOSEN := $(filter-out embedded,$(COUCHDB_URL))$(if $(filter embedded,$(COUCHDB_URL)),,$(shell command -v couchdb /opt/couchdb/bin/couchdb))
DATABASE := $(if $(CHOSEN),,node-embedded)

# ---------------------------------------------------------------------------------------------------------------
# What one does with it
# ---------------------------------------------------------------------------------------------------------------

.PHONY: help
help: ## list the targets
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 22

.PHONY: run
run: $(VENV)/.run $(DATABASE) ## set everything up and serve DICOMweb on http://127.0.0.1:5985/dicom-web
	@exec $(DICOUCH) run

.PHONY: load
load: $(VENV)/.run ## upload a folder to a running server: make load DIR=folder [URL=...] [WORKERS=4] [REPORT=file.csv] [LINK=1]
	@test -n "$(DIR)" || { echo "load: name a folder: make load DIR=folder" >&2; exit 2; }
	@exec $(DICOUCH) load "$(DIR)" $(if $(URL),--url "$(URL)") $(if $(WORKERS),--workers "$(WORKERS)") \
	  $(if $(REPORT),--report "$(REPORT)") $(if $(LINK),--link)

.PHONY: demo
demo: $(VENV)/.demo $(DATABASE) node-ohif ## load example studies and show them in OHIF, in a running server or one that it starts
	@exec $(DICOUCH) demo $(if $(URL),--url "$(URL)")

.PHONY: storescp
storescp: $(VENV)/.run $(DATABASE) ## take part in DIMSE on port 11112 (PEERS=file.toml says who may, BIND=host:port where)
	@exec $(DICOUCH) storescp $(if $(PEERS),--peers "$(PEERS)") $(if $(BIND),--bind "$(BIND)") $(ARGS)

.PHONY: offline
offline: $(VENV)/.python node-logic ## serve the page that takes a patient along and searches without the server (PORT=5986)
	@node $(LOGIC)/pack.js build/offline
	@echo "The page is at http://localhost:$(or $(PORT),5986)/; Ctrl-C ends it."
	@exec $(PY) -m http.server $(or $(PORT),5986) --bind 127.0.0.1 --directory build/offline

.PHONY: push-views
push-views: $(VENV)/.run $(DATABASE) ## deploy the design documents to the database (ARGS=--dry-run shows the difference)
	@exec $(DICOUCH) push-views $(ARGS)

# ---------------------------------------------------------------------------------------------------------------
# Working on it
# ---------------------------------------------------------------------------------------------------------------

.PHONY: test
test: ## set everything up and run all tests (ARGS="-k name" selects)
	@$(MAKE) --jobs=4 $(VENV)/.test node-embedded node-eslint node-logic
	@$(MAKE) --jobs=2 node-ohif $(VENV)/.collected
	@exec $(PY) -m pytest --numprocesses $(TESTERS) --dist loadscope --no-loadscope-reorder $(ARGS)

.PHONY: lint
lint: $(VENV)/.test node-eslint ## check style, types and imports (ARGS="mypy imports" selects)
	@exec $(PY) -m tests.lint $(ARGS)

.PHONY: bench
bench: $(VENV)/.test node-embedded ## measure beside bare CouchDB and Orthanc (ARGS="stow wado"; ARGS=--help lists parts and sizes)
	@exec $(DICOUCH) bench $(ARGS)

.PHONY: clean
clean: ## remove what make installed; stored data stays
	@rm -rf $(VENV) $(EMBEDDED)/node_modules $(ESLINT)/node_modules $(OHIF)/node_modules $(LOGIC)/node_modules $(LOGIC)/dist build *.egg-info .pytest_cache .ruff_cache .hypothesis
	@find scripts shim tests -name __pycache__ -type d -exec rm -rf {} +

# ---------------------------------------------------------------------------------------------------------------
# Installing, once; again only when what names the packages changed
# ---------------------------------------------------------------------------------------------------------------

# $(call quietly,what,command): say what happens, show the command's own words only when it fails.
define quietly
	@echo "$(1) ..." >&2; log=$$(mktemp); $(2) >"$$log" 2>&1 \
	  || { code=$$?; cat "$$log" >&2; rm -f "$$log"; echo "$(1): failed" >&2; exit $$code; }; rm -f "$$log"
endef

$(VENV)/.python:
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) is missing: install Python 3.11 or newer" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "make: $$($(PYTHON) --version 2>&1) is too old: Python 3.11 or newer is needed (PYTHON=... names another)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "make: $(PYTHON) has no venv module: install the package python3-venv" >&2; exit 1; }
	$(call quietly,making $(VENV),$(PYTHON) -m venv $(VENV))
	@touch $@

$(VENV)/.run: setup.cfg pyproject.toml | $(VENV)/.python
	$(call quietly,installing the Python packages,$(PY) -m pip install --disable-pip-version-check -q -e .)
	@touch $@

$(VENV)/.demo: setup.cfg pyproject.toml | $(VENV)/.python
	$(call quietly,installing the Python packages and those of the demonstration,$(PY) -m pip install --disable-pip-version-check -q -e '.[demo]')
	@touch $@ $(VENV)/.run

$(VENV)/.test: setup.cfg pyproject.toml | $(VENV)/.python
	$(call quietly,installing the Python packages and those of the tests,$(PY) -m pip install --disable-pip-version-check -q -e '.[test]')
	@touch $@ $(VENV)/.run $(VENV)/.demo

# Once, beside what is downloaded: each process of the tests would compile two hundred modules of them.
$(VENV)/.collected: | $(VENV)/.test
	$(call quietly,compiling the tests,$(PY) -m pytest --collect-only -q)
	@touch $@

# $(call npm,folder): the packages of one package-lock.json, exactly, running none of their scripts.
define npm
	@command -v node >/dev/null || { echo "make: node is missing: install Node.js 20 or newer" >&2; exit 1; }
	@command -v npm >/dev/null || { echo "make: npm is missing: install npm, which comes with Node.js" >&2; exit 1; }
	@node -e 'process.exit(process.versions.node.split(".")[0] < 20 ? 1 : 0)' \
	  || { echo "make: node $$(node --version) is too old: Node.js 20 or newer is needed" >&2; exit 1; }
	$(call quietly,installing the node packages of $(1),cd $(1) && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
endef

.PHONY: node-embedded node-eslint node-logic node-ohif
node-embedded: $(EMBEDDED)/node_modules/.installed
node-eslint: $(ESLINT)/node_modules/.installed
node-logic: $(LOGIC)/node_modules/.installed
node-ohif: $(OHIF)/node_modules/.installed

$(EMBEDDED)/node_modules/.installed: $(EMBEDDED)/package-lock.json
	$(call npm,$(EMBEDDED))
	@touch $@

$(ESLINT)/node_modules/.installed: $(ESLINT)/package-lock.json
	$(call npm,$(ESLINT))
	@touch $@

$(LOGIC)/node_modules/.installed: $(LOGIC)/package-lock.json
	$(call npm,$(LOGIC))
	@touch $@

$(OHIF)/node_modules/.installed: $(OHIF)/package-lock.json | $(VENV)/.run
	$(call npm,$(OHIF))
	@$(PY) -m dicouch.scripts.viewer
	@touch $@
