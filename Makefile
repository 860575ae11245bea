# What one does with this folder. `make` alone lists it.
PYTHON := py-env/bin/python
# Two more than there are processors: many tests wait for something.
PROCESSES ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)

# The tests start hundreds of processes: without the compiled code that lies in __pycache__, each compiles all anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help run demo test test-slow test-machine again lint format bench chaos fuzz docs screenshots system template pins clean

help: ## List what there is to make
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

run: ## Start everything (the same as ./launch.sh)
	./launch.sh

demo: ## Package a small mod end to end
	./launch.sh demo

test: py-env system ## Run the tests, all but the slow ones
	$(PYTHON) -m pytest -n $(PROCESSES) -m "not slow and not machine" $(ARGS)

test-slow: py-env system ## Run the slow tests: fresh installations, all processes, big archives
	$(PYTHON) -m pytest -n auto -m slow $(ARGS)

test-machine: py-env ## Install on a Debian of its own with systemd, as docs/operating.md says (root; debootstrap, systemd-container)
	$(PYTHON) -m pytest -n 0 -m machine tests/machine $(ARGS)

again: py-env ## Run what failed last once more, one by one
	$(PYTHON) -m pytest -n 1 --last-failed --last-failed-no-failures none $(ARGS)

lint: py-env ## Check style and types
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy

format: py-env ## Bring the code into shape
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

# make answers 2 for whatever goes wrong in these three; `py-env/bin/python -m benchmarks|chaos|fuzz` answer 3 where something is to
# be installed, and 1 for what they found.
bench: system ## Measure the figures that the server must reach, beside their peers, in at most 10 minutes
	@./launch.sh environment requirements-dev.txt requirements-bench.txt
	$(PYTHON) -m benchmarks $(ARGS)

docs: ## Build docs/ into var/site, all links checked (MkDocs: requirements-docs.txt)
	./launch.sh environment requirements-docs.txt
	$(PYTHON) -m scripts.docs_links
	NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --clean

fuzz: py-env system ## Send the server what nobody would send on purpose, at most 10 minutes; crashes go to var/fuzz
	$(PYTHON) -m fuzz

chaos: py-env system ## Kill, cut and fill a whole deployment under load, and count what is lost: 10 minutes, as root
	$(PYTHON) -m chaos $(ARGS)

screenshots: py-env system ## Take docs/images anew
	$(PYTHON) -m scripts.screenshots

system: ## Install what tests need from the system, where this user may
	scripts/system-packages.sh

template: py-env ## Write conf/settings.py.dist and docs/settings.md anew from knossos/settings.py
	$(PYTHON) -m scripts.settings_template
	$(PYTHON) -m scripts.settings_reference

pins: py-env ## Write constraints.txt anew from what is installed
	scripts/pin.sh

clean: ## Remove the virtual environment and all caches (not var/)
	rm -rf py-env .pytest_cache .mypy_cache .ruff_cache .hypothesis

.PHONY: py-env
py-env:
	@./launch.sh environment requirements-dev.txt
