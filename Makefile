# Stable targets; each works from a fresh clone, takes ARGS=…, and leaves no process behind.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test lint format chaos receivers fuzz mutants bench soak lock lint-deploy sbom audit clean

install: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/python -m demo $(ARGS)

# In two processes: whole files are dealt out, and all of tests/chaos is for one of them. TEST_JOBS=0: in one, as `-s`
# and `--pdb` need it.
TEST_JOBS ?= 2
test: $(STAMP) lint
	$(BIN)/python -m pytest --numprocesses $(TEST_JOBS) --dist loadgroup --no-loadscope-reorder $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

chaos: $(STAMP)
	$(BIN)/python -m pytest tests/chaos -m chaos --chaos-long -s $(ARGS)

# Real servers, configured as their users do: those of the test run, and those that need packages of npm, PyPI or Go.
receivers: $(STAMP)
	$(BIN)/python -m pytest tests/receivers --receivers-all --timeout 600 -s $(ARGS)

# Every reader of what others write, for a while; see tests/fuzz. Without atheris, which has no wheel for some machines,
# hypothesis alone.
fuzz: $(STAMP)
	$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/python -m pip install --quiet --editable '.[fuzz]' || true
	$(BIN)/python -m tests.fuzz $(ARGS)

# Small changes to the modules that keep the promises, which the tests have to notice; see tests/mutants. All modules
# take hours; an interrupted run goes on where it stopped. ARGS='watermark lanes': these modules.
MUTANTS_STAMP := $(VENV)/.mutants
mutants: $(MUTANTS_STAMP)
	$(BIN)/python -m tests.mutants $(ARGS)

$(MUTANTS_STAMP): $(STAMP) tests/mutants/tools.lock
	$(BIN)/python -m pip install --quiet --require-hashes -r tests/mutants/tools.lock
	touch $(MUTANTS_STAMP)

bench: $(STAMP)
	$(BIN)/python -m bench $(ARGS)

# Two hours at half load with restarts and faults; see docs/soak.md. Only `--write-docs` needs the extra.
soak: $(STAMP)
	$(BIN)/python -c 'import matplotlib' 2>/dev/null || $(BIN)/python -m pip install --quiet --editable '.[plot]'
	$(BIN)/python -m bench.soak $(ARGS)

# Resolves for every Python from 3.10 and every platform; needs uv, which `pip install uv` brings. The second file is
# what the image holds, in the same versions; setuptools only builds it. The third is what `make lint-deploy` needs,
# the fourth what `make sbom` and `make audit` do, the fifth what `make mutants` needs beside the first, the sixth
# what the receivers in Python do.
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes --no-header \
	--no-emit-index-url --no-emit-find-links
lock:
	$(BIN)/python -m pip install --quiet uv
	$(COMPILE) --extra dev --extra msk --extra otel --output-file requirements.lock pyproject.toml
	echo 'setuptools>=77' | $(COMPILE) --extra msk --extra otel --constraint requirements.lock \
		--output-file requirements-image.lock pyproject.toml -
	$(COMPILE) --output-file deploy/lint.lock deploy/lint.in
	$(COMPILE) --output-file supply-chain/tools.lock supply-chain/tools.in
	$(COMPILE) --constraint requirements.lock --output-file tests/mutants/tools.lock tests/mutants/tools.in
	$(COMPILE) --output-file tests/receivers/requirements.lock tests/receivers/requirements.in

# Dockerfile, alert rules, systemd unit, chart and manifests, each by the tool for it; installs those tools in .cache.
lint-deploy:
	PYTHON=$(PYTHON) deploy/lint.sh $(ARGS)

# What is in the image, as CycloneDX: sbom.cdx.json, or ARGS=FILE.
sbom:
	PYTHON=$(PYTHON) supply-chain/run.sh sbom $(ARGS)

# Whether OSV knows a vulnerability of what we build with; says so where OSV cannot be reached.
audit:
	PYTHON=$(PYTHON) supply-chain/run.sh audit $(ARGS)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
