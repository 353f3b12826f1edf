# `make` alone lists the targets. A fresh Debian needs python3, python3-venv and make.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
SEED ?= 0
MINUTES ?= 10
RUN_READY := $(VENV)/.run-ready
DEV_READY := $(VENV)/.dev-ready
TOOLS_READY := $(VENV)/.tools-ready
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
COMPILE := $(BIN)/pip-compile --quiet --generate-hashes --allow-unsafe --strip-extras --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options

.DEFAULT_GOAL := help
.PHONY: help setup run test test-s3 test-watch test-year check sim soak teeth fuzz lies nemesis nemesis-sweep nemesis-retention demo bench scale screenshots docs image format lock clean
.DELETE_ON_ERROR:

help:  ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | \
	while IFS='|' read -r name text; do printf '%-14s %s\n' "$$name" "$$text"; done

setup: $(RUN_READY) $(DEV_READY)  ## install everything into .venv

run: $(RUN_READY)  ## start a server with three directory regions (ARGS="--port 9000")
	$(BIN)/holdfast serve --data holdfast-data $(ARGS)

test: $(DEV_READY) $(TOOLS_READY)  ## format, lint, types and the tests but those of test-s3: what CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not s3 and not watch and not year" $(ARGS)

test-s3: $(DEV_READY) $(TOOLS_READY)  ## three real S3 regions (Ceph), and what breaks them, under load
	$(BIN)/pytest -m s3 tests/s3 $(ARGS)

test-watch: $(DEV_READY) $(TOOLS_READY)  ## a real Prometheus and Alertmanager watch a server lose a region
	@sh dev/tools.sh prometheus prometheus-alertmanager
	$(BIN)/pytest -m watch tests/watch $(ARGS)

test-year: $(DEV_READY)  ## a year of days is archived, swept, held, let go by rules, damaged and mended
	$(BIN)/pytest -m year tests/archive $(ARGS)

check: $(DEV_READY)  ## the quick part of `make test`
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -n 2 --dist loadfile -m "not slow and not s3 and not watch and not year" $(ARGS)

sim: $(DEV_READY)  ## replay one simulated world, with its trace (SEED=n, ARGS="words")
	PYTHONPATH=src:. $(BIN)/python -m tests.sim replay $(SEED) $(ARGS)

soak: $(DEV_READY)  ## search for a simulated world that breaks a promise (MINUTES=n)
	PYTHONPATH=src:. $(BIN)/python -m tests.sim soak $(MINUTES)

teeth: $(DEV_READY)  ## leave out one rule after the other: how many seeds until it is noticed
	PYTHONPATH=src:. $(BIN)/python -m tests.sim teeth

fuzz: $(DEV_READY)  ## mutated bytes into every parser of proofs and statements (MINUTES=n)
	PYTHONPATH=src:. $(BIN)/python -m tests.proof.fuzz $(MINUTES)

lies: $(DEV_READY)  ## one answer of a store is a lie: does anything go that must stay? (MINUTES=n)
	PYTHONPATH=src:. $(BIN)/python -m tests.retention.lies $(MINUTES)

nemesis: $(DEV_READY) $(TOOLS_READY)  ## break real servers for two minutes, judge what they said (SEED=n)
	PYTHONPATH=src:. $(BIN)/python -m tests.nemesis $(SEED)

nemesis-sweep: $(DEV_READY)  ## kill real processes that sweep, at one removal after the other
	@sh dev/tools.sh faketime
	PYTHONPATH=src:. $(BIN)/python -m tests.nemesis.sweeping --server

nemesis-retention: $(DEV_READY)  ## kill real processes that let classes go, and have holds race them
	PYTHONPATH=src:. $(BIN)/python -m tests.nemesis.expiring

demo: $(RUN_READY)  ## import real events, lose a region, kill the server, prove nothing is lost
	$(BIN)/python dev/demo.py $(ARGS)

bench: $(DEV_READY)  ## measure, also against others, and write docs/BENCH.md (ARGS="PART ...")
	@sh dev/tools.sh postgresql nats-server rsyslog rsyslog-relp strace
	$(BIN)/python -m bench $(ARGS)

scale: $(DEV_READY)  ## measure how cost grows, and write docs/SCALE.md (20 minutes)
	$(BIN)/python -m bench.scale $(ARGS)
	$(BIN)/python -m bench.scale_page

screenshots: $(DEV_READY)  ## write docs/screens/*.png: the console's pages, light and dark
	@sh dev/tools.sh chromium fonts-inter fonts-jetbrains-mono
	PYTHONPATH=src:. $(BIN)/python -m tests.ui.screenshots

docs: $(DEV_READY)  ## build the documentation as a site in build/site, any broken link an error
	NO_MKDOCS_2_WARNING=1 PYTHONPATH=src:. $(BIN)/mkdocs build --strict

image:  ## build deploy/Dockerfile on a base of debootstrap's, and try it (as root)
	@sh dev/tools.sh debootstrap buildah podman runc openssl
	dev/image.sh build/image $(ARGS)

format: $(DEV_READY)  ## format the code and mend what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: $(DEV_READY)  ## pin the newest allowed versions, with hashes, in requirements/*.lock
	$(COMPILE) --upgrade --extra server --extra alerts --extra traces --extra dask --extra lake --output-file requirements/run.lock \
		pyproject.toml requirements/build.in
	$(COMPILE) --upgrade --constraint requirements/run.lock \
		--output-file requirements/dev.lock requirements/dev.in

clean:  ## remove what was installed and built; data stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis build dist

# Hashes are checked for everything that is fetched; this folder itself needs nothing more then.
$(RUN_READY): requirements/run.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later, please")'
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(INSTALL) --require-hashes --requirement requirements/run.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV_READY): requirements/dev.lock $(RUN_READY)
	$(INSTALL) --require-hashes --requirement requirements/dev.lock
	@touch $@

# Programs of the system that some tests run; without them those tests are skipped by name.
$(TOOLS_READY): dev/tools.sh $(DEV_READY)
	@sh dev/tools.sh strace zstd nodejs nats-server rsyslog rsyslog-relp chromium
	@sh dev/tools.sh ceph-mon ceph-osd radosgw ceph-common curl iproute2
	@touch $@
