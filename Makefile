# The commands of this repository; `make` alone lists them.
# A fresh machine needs git, make and python3-venv (3.11 or newer), nothing else.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

PYTHON ?= python3
PY     := .venv/bin/python
PYTEST := $(PY) -m pytest
READY  := .venv/.ready
VENDOR := book/assets/vendor/embed.js
AXE    := tests/vendor/axe.min.js
BOOK   := _build/.book

# hundreds of processes are started here: each would compile all that it imports again
unexport PYTHONDONTWRITEBYTECODE

# with the folders, whose dates tell that a file was removed (book/. because "book" is a target)
BOOK_SOURCES := _config.yml _toc.yml CHANGELOG.md $(wildcard tools/*.py tools/live/*.* tools/live/standin/numpy/*.py) \
                $(shell find gfpmodel -name '*.py') $(shell find book/. -not -path '*/vendor*' -not -path '*/.[!/]*' -not -path book/./assets)

# what runs a second time, with the engine's functions as they stand: those that test a rule, not those that replay a recording
INTERPRETED := tests/mm tests/rcu tests/locking tests/sim/test_loop.py tests/sim/test_kfree.py tests/sim/test_statistics.py tests/sim/test_rng.py \
               tests/sim/test_sweeps.py::test_pages_and_objects_in_are_out_or_live tests/evidence/test_raw_rows.py tests/test_cli_mm.py
# the files with tests in a browser: no other stage has them, and theirs reads no other file
PAGES := $(shell grep -rl --include='*.py' 'mark\.pages' tests)
# every process of pytest imports nbval's plugin, and so Jupyter's client, unless it is told not to
PLAIN   := -p no:nbval -n auto
PACKAGE := tests $(PAGES:%=--ignore=%) $(PLAIN) --dist loadfile
ENGINE  := $(INTERPRETED) -m 'not bulk' $(PLAIN) --dist loadfile

.PHONY: help engine book test coverage lab meeting wheel bench record grids lint clean distclean setup chromium

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.* ## \(.*\)/make \1#\2/p' $(firstword $(MAKEFILE_LIST)) | \
	    while IFS='#' read -r target text; do printf '%-15s %s\n' "$$target" "$$text"; done

book: $(BOOK) ## build the book into _build/html, with the model that runs in its pages; any warning is an error
	@echo
	@echo 'The book is built. Open it with a browser (no server needed), or put the folder on any web server:'
	@echo '_build/html/index.html'

test: engine $(BOOK) $(AXE) chromium ## run every test: the package, the chapters, the built pages in Chromium
	@mkdir -p _build/reports; status=0; \
	echo '== package and tools, the engine compiled'; \
	MPLBACKEND=Agg $(PYTEST) -q $(PACKAGE) --durations=15 --junitxml=_build/reports/package.xml || status=1; \
	echo '== the engine, interpreted'; \
	NUMBA_DISABLE_JIT=1 MPLBACKEND=Agg $(PYTEST) -q $(ENGINE) --durations=15 --junitxml=_build/reports/engine.xml || status=1; \
	echo '== chapters: every cell run again, every output compared'; \
	$(PYTEST) -q book --nbval -n auto --dist loadfile \
	    --durations=15 --junitxml=_build/reports/chapters.xml || status=1; \
	echo '== pages of the built book'; \
	$(PYTEST) -q $(PAGES) $(PLAIN) --dist loadgroup --durations=15 --junitxml=_build/reports/pages.xml || status=1; \
	exit $$status

# a command of its own, because to trace each line takes as long again as to run it
coverage: engine ## run the tests of the package, traced, and print the lines and branches that none of them runs
	@MPLBACKEND=Agg $(PYTEST) -q $(PACKAGE) --cov --cov-report= && \
	NUMBA_DISABLE_JIT=1 MPLBACKEND=Agg $(PYTEST) -q $(ENGINE) --cov --cov-append --cov-report=term

lab: $(READY) ## open the chapters in JupyterLab on 127.0.0.1, with live widgets
	@$(PY) -m gfpmodel.mm.build >/dev/null 2>&1 &
	@.venv/bin/jupyter lab book --no-browser --ip 127.0.0.1 $$([ "$$(id -u)" != 0 ] || echo --allow-root)

meeting: $(READY) ## serve one page on 127.0.0.1: pick a case, see the answer, take it into a mail or a notebook
	@$(PY) -m gfpmodel.mm.build >/dev/null 2>&1 &
	@$(PY) -m gfpmodel.meeting --no-browser --ip 127.0.0.1 $$([ "$$(id -u)" != 0 ] || echo --allow-root)

wheel: $(READY) ## make the wheels in dist: pure, and with the compiled engine for x86-64 and for aarch64
	@$(PY) tools/make_wheel.py

bench: engine ## measure start-up, the book's pages, the model in them, live widgets, the meeting's page, engine, chain, simulator and trace reader; tables here, JSON in _build, start and engine in bench/RECORD.md
	@$(PY) bench/bench_start.py
	@$(PY) bench/bench_engine.py --json _build/bench-engine.json
	@$(PY) bench/bench_rcu.py --json _build/bench-rcu.json
	@$(PY) bench/bench_sim.py --json _build/bench-sim.json
	@$(PY) bench/bench_ftrace.py --json _build/bench-ftrace.json
	@$(PY) bench/bench_live.py
	@$(PY) bench/bench_pages.py
	@$(PY) bench/bench_awake.py
	@$(PY) bench/bench_meeting.py
	@$(PY) bench/record.py

record: engine ## run the notebooks and store their outputs
	@$(PY) tools/nbrecord.py

grids: engine ## remake the result grids that the book ships, where the source changed
	@$(PY) tools/make_grids.py

lint: $(READY) ## ruff and mypy
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

clean: ## remove what was built, keep .venv and the fetched JavaScript
	rm -rf _build dist .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -r {} +

distclean: clean ## remove .venv and the fetched JavaScript too
	rm -rf .venv book/assets/vendor tests/vendor tools/live/vendor

engine: $(READY) ## compile the engine, once for all clones of the same source on a machine
	@$(PY) -m gfpmodel.mm.build mm sim mm@v6.18 & other=$$!; $(PY) -m gfpmodel.mm.build rcu io evidence io@v6.18 sim@v6.18 && wait $$other

setup: $(READY) $(VENDOR) $(AXE)

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo '$(PYTHON) is older than 3.11; name a newer one: make PYTHON=python3.x'; exit 1; }
	@echo 'setting up .venv (a minute or two)'
	@$(PYTHON) -m venv .venv
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENDOR) $(AXE): tools/fetch_js.py | $(READY)
	@$(PY) tools/fetch_js.py
	@touch $@

# --all, because a warm build with -W does not see the warnings of pages that it does not read again; what the pages have
# of the engine (tools/live waits for it) is compiled meanwhile
$(BOOK): $(BOOK_SOURCES) $(READY) $(VENDOR)
	@rm -rf _build/html
	@for room in mm rcu; do $(PY) -m gfpmodel.mm.build $$room >/dev/null 2>&1 & done; \
	.venv/bin/jupyter-book build --all -q -W -n --keep-going .
	@touch $@

# only root can install it; without it the page tests are skipped and say so
chromium:
	@if [ ! -x /usr/bin/chromium ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo 'installing chromium for the page tests'; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null; \
	fi || echo 'chromium could not be installed'
	@[ -x /usr/bin/chromium ] || \
	    echo 'left out: the tests of pages (there is no /usr/bin/chromium; as root: apt-get install chromium)'
