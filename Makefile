# Every target makes what it needs, from a bare python3 (3.11 or newer) on.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Compiled at once: where Python may not write beside what it imports, each start of each process would do it again.
ROOMS := group features training workflow reporting serving pipelines notebooks tests
DEMO_ARGS ?=
BENCH_ARGS ?=

.PHONY: help setup demo test test-quick check format lock bench-simulated bench-features bench-credit bench-scale-out bench-training bench-serving bench-monitoring clean

help:            ## what can be made
	@grep -hE '^[a-z-]+: .*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 18

setup: $(READY)  ## .venv with the locked packages and the jinkong command

$(READY): requirements.lock bootstrap.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Jinkong needs Python 3.11 or newer; $$($(PYTHON) --version) is '$(PYTHON)'. Try: make PYTHON=python3.11"; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r bootstrap.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --compile-bytecode --require-hashes requirements.lock bootstrap.lock
	VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q $(ROOMS)
	touch $@

demo: $(READY)   ## the simulated group, from raw data to ten scores over HTTP; DEMO_ARGS="--keep" leaves the server up
	$(BIN)/jinkong demo $(DEMO_ARGS)

test: $(READY)   ## every test
	$(BIN)/python -m pytest

test-quick: $(READY)  ## the tests that take seconds
	$(BIN)/python -m pytest -m "not long"

check: $(READY)  ## lint, format, types, dependency direction
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)  ## rewrite the code as `make check` wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench-simulated: $(READY)  ## transactions a second of the simulated group at medium, as JSON
	$(BIN)/python -m tests.bench.simulated

bench-features: $(READY)  ## joins, online reads, windows, identity and pushes, mostly against Feast's own, as JSON; BENCH_ARGS="--only online"
	$(BIN)/python -m tests.bench.features $(BENCH_ARGS)

bench-credit: $(READY)  ## the credit model against the oracle on nine simulated groups, as JSON; BENCH_ARGS="--size medium --seeds 1"
	$(BIN)/python -m tests.bench.credit $(BENCH_ARGS)

bench-scale-out: $(READY)  ## the large group to features by partition, seconds and peak memory, as JSON; BENCH_ARGS="--size medium"
	$(BIN)/python -m tests.bench.scale_out $(BENCH_ARGS)

bench-training: $(READY)  ## models on real and simulated data against other ways, and reasons, as JSON; BENCH_ARGS="--only uci"
	$(BIN)/python -m tests.bench.training $(BENCH_ARGS)

bench-serving: $(READY)  ## scores over HTTP against a constant route and MLflow's server, as JSON; BENCH_ARGS="--stores redis"
	$(BIN)/python -m tests.bench.serving $(BENCH_ARGS)

bench-monitoring: $(READY)  ## drift of millions of rows against Evidently's, planted shifts found, weeks at rest, as JSON; BENCH_ARGS="--only planted"
	$(BIN)/python -m tests.bench.monitoring $(BENCH_ARGS)

lock: $(READY)   ## renew requirements.lock and bootstrap.lock
	$(BIN)/uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet -o requirements.lock
	$(BIN)/uv pip compile bootstrap.in --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" --quiet -o bootstrap.lock

clean:           ## remove .venv, caches and what the demo wrote
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis var
