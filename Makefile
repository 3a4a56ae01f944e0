# On a fresh machine: `make tour`. Every target first installs what it needs into .venv;
# `make tour PYTHON=python3.13` chooses the interpreter it is made with, and
# `make lab LAB_OPTIONS="--no-browser"` hands options to JupyterLab.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

# notebooks run in their own folder, where a relative path would lead elsewhere
ifdef AXONLAB_DATA
export AXONLAB_DATA := $(shell cd "$(AXONLAB_DATA)" && pwd)
endif

.PHONY: lab tour notebooks thumbnails test check bench models membranes neurites samples clean

lab: $(INSTALLED)
	$(BIN)/jupyter lab $(LAB_OPTIONS) notebooks/00_tour.ipynb

tour: $(INSTALLED)
	mkdir -p runs/tour
	$(BIN)/papermill notebooks/00_tour.ipynb runs/tour/00_tour.ipynb
	@ls -l runs/tour

# every notebook as it comes, one after the other
notebooks: $(INSTALLED)
	mkdir -p runs/executed
	for path in notebooks/*.ipynb; do \
	    $(BIN)/papermill $$path runs/executed/$${path##*/} || exit 1; \
	done

# the pictures of the README, from notebooks run in JupyterLab in Chromium
thumbnails: $(INSTALLED)
	$(BIN)/python tests/browser/thumbnails.py

test: $(INSTALLED)
	$(BIN)/python -m pytest

check: $(INSTALLED)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/nbstripout --verify notebooks/*.ipynb

bench: $(INSTALLED)
	$(BIN)/python tests/benchmarks/bench_fibres.py
	$(BIN)/python tests/benchmarks/bench_segment.py
	$(BIN)/python tests/benchmarks/bench_window.py
	$(BIN)/python tests/benchmarks/bench_propose.py
	$(BIN)/python tests/benchmarks/bench_label.py
	$(BIN)/python tests/benchmarks/bench_train.py
	$(BIN)/python tests/benchmarks/bench_correct.py
	$(BIN)/python tests/benchmarks/bench_explore.py
	$(BIN)/python tests/benchmarks/bench_slide.py
	$(BIN)/python tests/benchmarks/bench_membranes.py
	$(BIN)/python tests/benchmarks/bench_neurites.py

# retrains the models that come with axonlab: some hours each on two cores, but every epoch is kept;
# sem goes on from sem-without-rat8, which stays behind
models: $(INSTALLED)
	mkdir -p runs/train
	for name in sem-without-rat8 sem tem; do \
	    $(BIN)/papermill notebooks/02_train.ipynb runs/train/$$name.ipynb \
	        -f axonlab/weights/$$name.yaml || exit 1; \
	done
	for name in sem tem; do \
	    cp runs/train/$$name/model.safetensors axonlab/weights/$$name.safetensors || exit 1; \
	done

# retrains the networks of 06_membranes: an hour on two cores; needs the stacks in AXONLAB_DATA
membranes: $(INSTALLED)
	mkdir -p runs
	$(BIN)/papermill notebooks/06_membranes.ipynb runs/membranes-long.ipynb \
	    -f data_samples/membranes/long.yaml
	cp runs/membranes-long/scores.json data_samples/membranes/scores.json

# retrains the networks of 07_neurites: some hours on two cores; needs fib25 in AXONLAB_DATA
neurites: $(INSTALLED)
	mkdir -p runs
	for name in fib25 fib25-30nm; do \
	    $(BIN)/papermill notebooks/07_neurites.ipynb runs/$$name.ipynb \
	        -f data_samples/neurites/$$name.yaml && \
	    cp runs/neurites-$$name/scores.json data_samples/neurites/$$name.json || exit 1; \
	done
	cp runs/neurites-fib25/affinities/model.safetensors axonlab/weights/volumes/fib25.safetensors

# draws the bundled phantoms anew
samples: $(INSTALLED)
	$(BIN)/python data_samples/make_phantoms.py

clean:
	rm -rf .venv dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip again only when pyproject.toml has changed
$(INSTALLED): pyproject.toml
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { \
	    echo "$(PYTHON) is older than Python 3.11: choose another, make PYTHON=python3.12"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@
