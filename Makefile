# `make demo` and `make test` do all the set-up themselves, with nothing but Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
# Images that forbid compiled modules would make each process compile all of them at its start.
export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test setup serve check bench lock clean
.DELETE_ON_ERROR:

setup: .venv/.installed

.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "huike needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": name another with make PYTHON=python3.12")'
	@echo "== installing into .venv (about half a minute)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -q --no-compile --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
	@echo "== installed: .venv/bin/huike"

demo: setup
	@$(BIN)/python -m demo $(ARGS)

# Each process of the tests has engines of its own; one that is done takes tests from the others.
# There is one more than processors, up to four: some tests mostly wait for programs that they kill.
test: setup
	@echo "== tests, on real engines"
	@$(BIN)/python -m pytest --dist worksteal $(ARGS) \
	    -n $$($(BIN)/python -c 'import os; print(min(4, (os.cpu_count() or 1) + 1))')

check: setup
	@echo "== lint, types, schema"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/huike schema | diff -u schema.graphql - || { echo "schema.graphql is stale: huike schema > schema.graphql"; exit 1; }

serve: setup
	@$(BIN)/huike serve $(ARGS)

bench: setup
	@$(BIN)/python -m bench $(ARGS)

# Needs uv. The lock carries hashes only and names no registry.
lock:
	uv pip compile pyproject.toml --extra dev --generate-hashes --no-emit-index-url --no-header \
	    --universal --python-version 3.11 --upgrade -o requirements.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
