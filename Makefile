# make run      environment if missing, the main job, then the servers with a table of addresses; Ctrl-C stops all
# make retrain  the main job alone: simulated data that ends today → a judged version of each domain
#               with DOMAINS="adclicks capacity" these two plays are of those domains alone
# make test     what CI runs;  make nightly  what is too long for CI;  make check  ruff and types;  make bench  figures
# make worldcup  a forecast of the web site of the World Cup 1998 (needs its data in ../shared)
.DEFAULT_GOAL := help
, := ,
PYTHON ?= python3
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)

VENV := .venv
READY := $(VENV)/.headgate-ready
BIN := $(VENV)/bin
SPARK := pyspark==4.0.5
CHOSEN := $(foreach domain,$(subst $(,), ,$(DOMAINS)),--domain $(domain))

help:
	@sed -n 's/^# //p' Makefile

$(READY): requirements.lock pyproject.toml
	@sh infra/environment.sh $(PYTHON) $(VENV)
	@touch $(READY)

env: $(READY)

run: $(READY)
	@$(BIN)/headgate demo --serve $(CHOSEN)

retrain: $(READY)
	@$(BIN)/headgate demo $(CHOSEN)

test: $(READY)
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder -m "not nightly"

# Spark is an extra that only these tests need, with Java 17.
nightly: $(READY)
	@$(BIN)/python -c 'import pyspark' 2>/dev/null || \
	  uv pip install --quiet --python $(BIN)/python $(SPARK) 2>/dev/null || $(BIN)/python -m pip install --quiet $(SPARK)
	@$(BIN)/python -m pytest -m nightly

check: $(READY)
	@$(BIN)/ruff check && $(BIN)/ruff format --check && $(BIN)/mypy

bench: $(READY)
	@for script in $$(ls benchmarks/*.py); do echo "== $$script"; $(BIN)/python $$script || exit 1; done

worldcup: $(READY)
	@$(BIN)/python benchmarks/worldcup.py

clean:
	rm -rf state

.PHONY: help env run retrain test nightly check bench worldcup clean
