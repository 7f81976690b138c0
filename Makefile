# livetask: everything a newcomer needs is `make run` and `make test`.

PYTHON ?= python3
PORT ?= 8400
export PORT
unexport PYTHONDONTWRITEBYTECODE # hundreds of processes are started: compiled modules are kept

BIN := .venv/bin
TESTS ?= tests
PYTEST_ARGS ?=
WORKERS ?= 6
# on a machine that is busy with something else a test may fail for that: it tries again, and is told of; but never
# where it has found output that is not exact (tests/oracle/verdict.py)
SIDE_BY_SIDE = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --reruns 2
# what is held to a time is measured again, at most twice
ALONE = $(BIN)/python -m pytest -q --reruns 2 --reruns-delay 2
SETUP := bootstrap.py pages.mjs pyproject.toml package.json package-lock.json

.DEFAULT_GOAL := help
.PHONY: help run run-web run-worker run-redis demo test test-nobrowser check lint audit fmt cov bench bench-quick bench-parts chaos lock dist clean set-up

help: ## list these targets
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/\1|\2/p' Makefile | while IFS='|' read -r name text; do \
		printf '  make %-15s %s\n' "$$name" "$$text"; done

# ---- running

run: .venv/run.stamp ## set everything up and start it: Valkey, a worker, the dashboard (PORT=8400)
	@exec $(BIN)/python run.py all --stop-with-parent

run-web: .venv/run.stamp ## only the web server, on LIVETASK_REDIS_URL
	@exec $(BIN)/python run.py web --stop-with-parent

run-worker: .venv/run.stamp ## only a Celery worker with the demo tasks, on LIVETASK_REDIS_URL
	@exec $(BIN)/python run.py worker --stop-with-parent

run-redis: .venv/run.stamp ## only the embedded Valkey; prints its address
	@exec $(BIN)/python run.py redis --stop-with-parent

demo: .venv/run.stamp ## start eight demo tasks at once in what `make run` started
	@$(BIN)/python -m livetask.demo start

# ---- testing

test: .venv/dev.stamp ## set everything up and run all tests, a real browser included
	@$(BIN)/python -m tests.real.browser
	@$(ALONE) -m alone $(PYTEST_ARGS) $(TESTS) || [ $$? = 5 ]
	@LIVETASK_TEST_BROWSER_REQUIRED=1 $(SIDE_BY_SIDE) -m 'not alone' $(PYTEST_ARGS) $(TESTS)

test-nobrowser: .venv/dev.stamp ## the tests that need no browser
	@$(ALONE) -m 'alone and not browser' $(PYTEST_ARGS) $(TESTS) || [ $$? = 5 ]
	@$(SIDE_BY_SIDE) -m 'not alone and not browser' $(PYTEST_ARGS) $(TESTS)

check: .venv/dev.stamp ## what CI checks: format, lint, types, JavaScript, tests
	@$(BIN)/ruff format --check .
	@$(MAKE) --no-print-directory lint
	@$(MAKE) --no-print-directory test

lint: .venv/dev.stamp ## lint and check the types of the Python and the JavaScript
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/python bootstrap.py tsc --noEmit -p .

audit: .venv/dev.stamp ## ask the indexes for known weaknesses of the locked packages, and bandit about the code
	@test -x .livetask/audit/bin/pip-audit || { $(PYTHON) -m venv .livetask/audit && .livetask/audit/bin/pip -q install pip-audit bandit; }
	@.livetask/audit/bin/bandit -q -ll -s B104,B310 -r livetask
	@.livetask/audit/bin/pip-audit -r requirements/run.txt --require-hashes --disable-pip
	@npm audit

fmt: .venv/dev.stamp ## format the Python and mend what the linter can mend
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

cov: .venv/dev.stamp ## run all tests and show what they do not reach
	@mkdir -p .livetask/coverage && rm -f .livetask/coverage/*
	@LIVETASK_TEST_ORDERLY=1 LIVETASK_TEST_COLD=1 $(BIN)/coverage run -m pytest $(PYTEST_ARGS) $(TESTS)
	@$(BIN)/coverage combine -q && $(BIN)/coverage report

bench: .venv/dev.stamp ## measure append, fan-out, replay and crowds beside other ways, into docs/benchmarks.md (half an hour)
	@$(BIN)/python -m tests.bench --write docs/benchmarks.md

bench-quick: .venv/dev.stamp ## the same, one short round of less, printed only (under two minutes)
	@$(BIN)/python -m tests.bench --quick

bench-parts: .venv/dev.stamp ## the measurements that have a command of their own, one after the other (a quarter of an hour)
	@$(BIN)/python -m tests.bench.parts $(BENCH_PARTS)

chaos: .venv/dev.stamp ## break everything at random, then simulate (CHAOS_ARGS="--seconds 60 --seed 7", MODEL_ARGS="--steps 10000")
	@$(BIN)/python -m tests.oracle.chaos $(CHAOS_ARGS)
	@$(BIN)/python -m tests.models $(MODEL_ARGS)

# ---- keeping

lock: ## lock the newest allowed versions of all packages anew
	@$(PYTHON) bootstrap.py lock

dist: .venv/dev.stamp ## build the wheel, pages included, into dist/
	@$(BIN)/python bootstrap.py dist

clean: ## remove all that was made here, the data of `make run` too
	@rm -rf .venv node_modules static/built dist .livetask .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

set-up: .venv/dev.stamp

.venv/run.stamp: requirements/run.txt $(SETUP)
	@$(PYTHON) bootstrap.py run

.venv/dev.stamp: requirements/dev.txt $(SETUP)
	@$(PYTHON) bootstrap.py dev
