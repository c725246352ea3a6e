# `make run` serves, `make test` tests; both install into .venv first, once.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: run demo bench test check format lock clean
.DELETE_ON_ERROR:

run: .venv/run.done
	@exec $(BIN)/gunicorn

demo: .venv/run.done
	@$(BIN)/python scripts/demo.py

# `make bench BENCH="--only bars --quick"`: some sections only, with few images.
bench: .venv/run.done
	$(BIN)/python bench/run.py $(BENCH)

test: check node_modules/.done
	$(BIN)/pytest -n 2 --dist worksteal -m "not alone"
	$(BIN)/pytest -m alone

check: .venv/dev.done
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports --config pyproject.toml

format: .venv/dev.done
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The lock files: exact versions for every platform, compiled from the .in files. The container installs those of
# requirements.txt with hashes; requirements.txt has none, because pip would then require them of the other files, too.
COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --quiet --no-header --no-emit-index-url
lock: .venv/dev.done
	$(COMPILE) requirements.in -o requirements.txt
	$(COMPILE) -c requirements.txt requirements-dev.in -o requirements-dev.txt
	$(COMPILE) --generate-hashes --no-annotate requirements.txt -o requirements-container.txt

# newman, which runs the Postman collection. Without npm, that test is skipped.
node_modules/.done: package.json package-lock.json
	if command -v npm >/dev/null; then npm ci --no-audit --no-fund --silent; fi
	mkdir -p node_modules && touch $@

clean:
	rm -rf .venv .venv-bench bench/.cache node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info < (3, 11) and sys.exit("SKUlight needs Python 3.11 or newer, and \
	$(PYTHON) is " + sys.version.split()[0] + ". Name another one: make run PYTHON=python3.12")'
	@$(PYTHON) -m venv .venv

INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -r $< && touch $@

.venv/run.done: requirements.txt | .venv/bin/python
	@echo "Installing Flask, pandas, Pillow and what they need into .venv (requirements.txt); this takes a minute, once."
	@$(INSTALL)

.venv/dev.done: requirements-dev.txt | .venv/run.done
	@echo "Installing the tools for tests and checks into .venv (requirements-dev.txt), once."
	@$(INSTALL)
