# Everything a contributor types. Needs Python 3.11 or later, make and the package registry.

# The first of these that runs and is new enough.
PYTHON ?= $(shell for one in python3 python3.13 python3.12 python3.11; do \
	$$one -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo $$one; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
WORKERS ?= 3

.PHONY: help install demo test proofs fuzz check bench screenshots clean

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(INSTALLED) ## Install into .venv, at the versions of constraints.txt

$(INSTALLED): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later is needed: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: install ## Tier 2,000 files on this machine, and prove that nothing was lost
	@$(BIN)/orchestrator demo

test: install ## Run the tests that take less than eight seconds each
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal -m "not long"

proofs: install ## Run the long ones: kills, outages, storms, hundreds of examples
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadgroup -m long

fuzz: install ## Run the property tests with examples that nobody has tried yet
	HYPOTHESIS_PROFILE=fuzz $(BIN)/python -m pytest -q -n $(WORKERS) \
		$$(grep -rlE '^@given' tests)

check: install ## Lint, format, types, import laws, policies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/orchestrator check policies

bench: install ## Print the measured ratios
	@for benchmark in benchmarks/[a-z]*.py; do \
		grep -q '__main__' $$benchmark || continue; \
		echo "== $$benchmark"; $(BIN)/python $$benchmark || exit 1; done

screenshots: install ## Take the pictures in docs/screenshots of a real installation (needs the distribution's chromium)
	$(BIN)/python -m docs.make_screenshots

clean: ## Remove what was built; keeps the state directory
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
