# The two commands of this project: `make build-and-train` and `make test`. README.md explains both.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# What an environment with the CPU build of torch takes, with room for the build; the CUDA build
# takes about 8 GiB: set REQUIRED_MIB to be told before and not by pip.
REQUIRED_MIB ?= 4096
MLFLOW_PORT ?= 5000
PREFECT_PORT ?= 4200

.DELETE_ON_ERROR:
.PHONY: setup build-and-train services services-stop mlflow-ui test check format clean

setup: $(READY)

# An environment without the mark was interrupted half-way: it is made again.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "make setup: Python 3.11 or newer is needed; name one with PYTHON=/path/to/python" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "make setup: $(PYTHON) has no venv module; install it (Debian: python3-venv)" >&2; exit 1; }
	@free=$$(df -Pm . | awk 'NR == 2 { print $$4 }'); \
	  test -e $(READY) || test "$$free" -ge $(REQUIRED_MIB) || \
	  { echo "make setup: $(REQUIRED_MIB) MiB of free disk are needed here, $$free MiB are left" >&2; exit 1; }
	@test -e $(READY) || rm -rf $(VENV)
	@test -e $(READY) || $(PYTHON) -m venv $(VENV)
	@echo "make setup: installing the pinned dependencies into $(VENV) (a few minutes the first time)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile \
	  --constraint constraints.txt --editable '.[dev]'
# pip would compile on one core. A few packages hold templates that are no Python: they stay as is.
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $(READY)

# The supervisor ends all that the run started, Prefect's own server too, however the run ends.
build-and-train: setup
	@exec $(BIN)/python -m flows.supervisor $$PPID $(BIN)/python -m flows.build_and_train $(ARGS)

services: setup
	@$(BIN)/python -m flows.services start --prefect_port $(PREFECT_PORT) --mlflow_port $(MLFLOW_PORT)
	@echo "now, in any shell here with $(BIN) on the path: prefect deployment run build-and-train --watch"

services-stop: setup
	@$(BIN)/python -m flows.services stop

mlflow-ui: setup
	@echo "MLflow UI: http://127.0.0.1:$(MLFLOW_PORT) (end it with Ctrl-C)"
	@$(BIN)/mlflow ui --port $(MLFLOW_PORT) \
	  --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///$(CURDIR)/mlflow.db}"

# No more than four at once: the tests that wait most are one chain, and memory has an end.
# In the order of the files, not the longest file first: the tests that wait most come first so.
test: setup
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --no-loadscope-reorder $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV)
