# make quickstart   from an empty machine to a backtest on the simulated market
# make reports      the workflows of the reports, DATA=DIR the provider; MODELS="market_model0 ...": those and what they read
# make workflows    workflows/*.yaml from their table, qlib_ext/workflows/table
# make docs         the site of docs/, into build/site
# make test         install, lint, type check, test
# make test-real    the same tests with the real data of ../shared/market
# make test-slow    the tests that take minutes: runs killed twenty times
# make gpu-site     what `make gpu` needs beside torch, .gpu/site.tar.xz, for Python 3.12 on Linux x86-64; here
# make gpu-polars   what networks of stocks need there beside it, .gpu/polars.tar.xz; here
# make gpu          tests and benchmarks on a GPU, in eight minutes; on the machine that has it, without network;
#                   GPU_OUT=DIR the folder of the results
# make gpu-truth    trainings of benchmarks.truth on a GPU, in nine minutes; likewise
# make gpu-rsr      those of benchmarks.rsr_paper; likewise

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MARKET := .data/market
REAL := .data/real
STOCKS := 300
MODELS := 'market_*'
GPU := .gpu
GPU_OUT := $(GPU)/results
GPU_MOST_KB := 26000
GPU_PLATFORMS := $(foreach n,1 2014 _2_17 _2_24 _2_27 _2_28,--platform manylinux$(n)_x86_64)

.PHONY: install quickstart reports workflows docs test test-real test-slow lint gpu-site gpu-polars gpu gpu-truth gpu-rsr

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

docs: install
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

test-real: install
	test -d $(REAL) || $(BIN)/python ../shared/market/build_provider.py --out $(REAL)
	QLIB_EXT_REAL=$(REAL) $(BIN)/pytest -m real

test-slow: install
	QLIB_EXT_SLOW=1 $(BIN)/pytest -m slow

gpu-site:
	rm -rf $(GPU)/build
	$(PYTHON) -m pip wheel --quiet --no-deps --wheel-dir $(GPU)/build gym==0.26.2 .
	$(PYTHON) -m pip install --quiet --no-deps --no-compile --only-binary=:all: --python-version 3.12 \
		--implementation cp $(GPU_PLATFORMS) --platform any --target $(GPU)/build/site \
		--requirement benchmarks/gpu/wheels.txt $(GPU)/build/*.whl
	XZ_OPT=-9 tar -cJf $(GPU)/site.tar.xz -C $(GPU)/build/site .
	rm -r $(GPU)/build
	@kilobytes=$$(du -k $(GPU)/site.tar.xz | cut -f1); \
		echo "$(GPU)/site.tar.xz: $$kilobytes kB of at most $(GPU_MOST_KB)"; test $$kilobytes -le $(GPU_MOST_KB)

gpu-polars:
	rm -rf $(GPU)/build
	$(PYTHON) -m pip install --quiet --no-deps --no-compile --only-binary=:all: --python-version 3.12 \
		--implementation cp $(GPU_PLATFORMS) --target $(GPU)/build \
		--requirement benchmarks/gpu/polars.txt
	tar -cJf $(GPU)/polars.tar.xz -C $(GPU)/build .
	rm -r $(GPU)/build

gpu: $(GPU)/site
	PYTHONPATH=.:$(GPU)/site $(PYTHON) -m benchmarks.gpu --out $(GPU_OUT)

gpu-truth: $(GPU)/site
	OMP_NUM_THREADS=2 PYTHONPATH=.:$(GPU)/site $(PYTHON) -m benchmarks.gpu.truth --out $(GPU_OUT)

gpu-rsr:
	PYTHONPATH=. $(PYTHON) -m benchmarks.gpu.rsr --out $(GPU_OUT)

$(GPU)/site: $(GPU)/site.tar.xz
	mkdir -p $@
	tar -xJf $< -C $@
	test ! -f $(GPU)/polars.tar.xz || tar -xJf $(GPU)/polars.tar.xz -C $@
