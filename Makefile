# On a fresh machine: `make tour`. Every target installs what it needs into .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: lab tour test check bench clean

lab: $(VENV)/installed
	$(BIN)/jupyter lab notebooks/00_tour.ipynb

# pip again only when pyproject.toml has changed
$(VENV)/installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@
