# make quickstart   from an empty machine to a backtest on the simulated market
# make reports      the workflows of the reports, DATA=DIR the provider; MODELS="market_model0 ...": those and what they read
# make workflows    workflows/*.yaml from their table, qlib_ext/workflows/table
# make test         install, lint, type check, test
# make test-real    the same tests with the real data of ../shared/market
# make test-slow    the tests that take minutes: runs killed twenty times

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MARKET := .data/market
REAL := .data/real
STOCKS := 300
MODELS := 'market_*'

.PHONY: install quickstart reports workflows test test-real test-slow lint

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

quickstart: install
	$(BIN)/qlib-ext market --out $(MARKET) --stocks $(STOCKS) --days 750 --seed 0 --overwrite
	QLIB_DATA=$(MARKET) $(BIN)/qrun workflows/csi300_astgnn.yaml
	@$(BIN)/qlib-ext compare csi300_astgnn

reports: install
	@test -n "$(DATA)" || { echo "name the provider's folder: make reports DATA=DIR"; exit 2; }
	$(BIN)/qlib-ext run $(MODELS) --data $(DATA)

workflows: install
	$(BIN)/qlib-ext init workflows --overwrite

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint
	$(BIN)/pytest -n 2 --dist loadfile

test-real: install
	test -d $(REAL) || $(BIN)/python ../shared/market/build_provider.py --out $(REAL)
	QLIB_EXT_REAL=$(REAL) $(BIN)/pytest -m real

test-slow: install
	QLIB_EXT_SLOW=1 $(BIN)/pytest -m slow
