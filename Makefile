# Everything runs in .venv, which is made and filled by itself, once, and again when what it should hold changes.
# Another Python: make test PYTHON=/path/to/python3.12

VENV := .venv
BIN := $(VENV)/bin
TF_CPP_MIN_LOG_LEVEL ?= 3
KERAS_BACKEND ?= tensorflow
export TF_CPP_MIN_LOG_LEVEL KERAS_BACKEND

# The first Python that starts, has a version that setup.cfg allows, and can make an environment.
CHECK := import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))
CANDIDATES := python3.13 python3.12 python3.11 python3.10 python3 python
PYTHON ?= $(firstword $(foreach python,$(CANDIDATES),$(shell $(python) -c '$(CHECK)' >/dev/null 2>&1 && echo $(python))))

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
.PHONY: help demo web test lint docs package clean links

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

demo: $(VENV)/.demo  ## the whole path on embedded sample data: fine-tune, convert, run, one table
	@$(BIN)/python -m eelbert_tf demo

# What `make web` serves, build/web, is complete: copied to any web server it works there.
PORT ?= 8000
READY := eelbert_tf/saving/presets/uno_en_sst2/model.tflite
web: build/web/node_modules  ## a page that classifies as you type; MODEL=F.tflite EXAMPLES=F.json for your own
	@cp tflite/kits/web/*.html tflite/kits/web/*.css tflite/kits/web/*.js build/web/
	@$(if $(or $(EXAMPLES),$(if $(MODEL),,ready)),cp "$(or $(EXAMPLES),tflite/kits/web/examples.json)",rm -f) build/web/examples.json
	@cp "$(or $(MODEL),$(READY))" build/web/model.tflite
	@echo "Open http://localhost:$(PORT)/ (Ctrl-C ends)" >&2
	@$(PYTHON) -m http.server --bind 127.0.0.1 --directory build/web $(PORT)

build/web/node_modules: tflite/kits/web/package.json tflite/kits/web/package-lock.json
	@command -v npm >/dev/null || { echo "The page needs npm once, for LiteRT.js (Debian, Ubuntu: apt-get install npm)" >&2; exit 1; }
	@mkdir -p build/web && cp $^ build/web/
	@npm ci --prefix build/web --ignore-scripts --no-audit --no-fund --loglevel=error >&2
	@touch $@

# Each file of tests runs in one process; more than four processes need much memory. Models are small: threads would
# only wait for one another.
test: export OMP_NUM_THREADS ?= 1
test: export TF_NUM_INTRAOP_THREADS ?= 1
test: export TF_NUM_INTEROP_THREADS ?= 1
test: $(VENV)/.test  ## every test, on all cores
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.lint links  ## ruff, mypy and import-linter
	@$(BIN)/python -m ruff check .
	@$(BIN)/python -m ruff format --check .
	@MYPYPATH=$(VENV)/typed $(BIN)/python -m mypy -p eelbert_tf -p tests
	@cd $(VENV)/typed && PYTHONPATH=. ../bin/lint-imports --no-logo --cache-dir ../../.grimp_cache ../../pyproject.toml >../imports.log || { cat ../imports.log; exit 1; }

# The pages of docs/, the README and the docstrings as one site without anything from elsewhere; warnings are errors.
docs: export NO_MKDOCS_2_WARNING = 1
docs: $(VENV)/.docs links  ## the documentation site, in build/docs
	@$(BIN)/python -m mkdocs --quiet build
	@echo "Open build/docs/index.html" >&2

# mypy, import-linter and the API reference read the folders under the names they are installed as.
links:
	@rm -rf $(VENV)/typed && mkdir -p $(VENV)/typed/eelbert_tf
	@ln -s "$(CURDIR)"/eelbert_tf/* "$(CURDIR)/training" "$(CURDIR)/tflite" $(VENV)/typed/eelbert_tf/
	@ln -s "$(CURDIR)/tests" $(VENV)/typed/

package:  ## both wheels and the sdist, in dist/, tried in empty environments
	@PYTHON="$(PYTHON)" .ci/package

clean:  ## remove .venv, caches and build folders
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find eelbert_tf training tflite tests -name __pycache__ -prune -exec rm -rf {} +

# A stamp for each set of extras, written last: what was interrupted is done again. With LOCKED=1 nothing is installed
# whose checksum is not in locked.txt.
UNLOCKED = $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[$*]'
CHECKED = $(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r locked.txt && \
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
$(VENV)/.%: setup.cfg constraints.txt
	@$(BIN)/python -c '$(CHECK)' >/dev/null 2>&1 && $(BIN)/python -m pip --version >/dev/null 2>&1 || $(MAKE) -s --no-print-directory venv
	@echo "Installing into $(VENV) what make $* needs: once, some minutes ..." >&2
	@$(if $(LOCKED),$(CHECKED),$(UNLOCKED))
	@touch $@

.PHONY: venv
venv:
	@python="$(PYTHON)"; "$$python" -c '$(CHECK)' >/dev/null 2>&1 || { \
	  echo "Found no Python 3.10 to 3.13 that starts and has its venv module. Tried: $${python:-$(CANDIDATES)}." >&2; \
	  echo "Install one (Debian, Ubuntu: apt-get install python3-venv) or name one: make PYTHON=/path/to/python3.12 ..." >&2; \
	  exit 1; }; \
	echo "Making $(VENV) with $$("$$python" -c 'import sys; print(sys.executable, sys.version.split()[0])')" >&2; \
	"$$python" -m venv --clear $(VENV)
