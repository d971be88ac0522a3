# The two commands of this project: `make build-and-train` and `make test`. README.md explains both.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
REQUIRED_MIB ?= 4096

.PHONY: setup build-and-train test check format clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "make setup: Python 3.11 or newer is needed; name one with PYTHON=/path/to/python" >&2; exit 1; }
	@free=$$(df -Pm . | awk 'NR == 2 { print $$4 }'); test "$$free" -ge $(REQUIRED_MIB) || \
	  { echo "make setup: $(REQUIRED_MIB) MiB of free disk are needed here, $$free MiB are left" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

build-and-train: setup
	@$(BIN)/python -m flows.build_and_train $(ARGS)

test: setup
	$(BIN)/python -m pytest $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV)
