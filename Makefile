# make demo    serve the demo          make test    run the tests
# make test-lowest   run the tests with the lowest supported versions
# make lint    ruff and mypy           make docs    build the documentation into docs/_build
# make wheel   build dist/*.whl        make bench   measure what a check costs
# make bench-desk    measure the operators' list with 100,000 and a million tokens on PostgreSQL
# make cluster       test on clusters of databases that lose a server; CLUSTER=--short for three minutes, not five
# make screenshots   take the pictures of the documentation
# make messages      collect the texts and compile the translations
# make mutation      change api/, store/, tokens, policy and secret in small ways and count what the tests notice
#                    (an hour)
#
# Each makes .venv where it has to. PYTHON names the interpreter that makes it. PACKAGE=dist/NAME.whl lets the tests
# run on that wheel instead of the checkout.

PYTHON ?= python3
VENV := .venv
LOWEST := .venv-lowest
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Three processes keep two cores busy: a test often waits for a browser or a server.
PYTEST := pytest -n 3 --dist loadgroup

# Where the environment asks for no bytecode, each of these processes would compile every test.
test test-lowest: export PYTHONDONTWRITEBYTECODE =

.PHONY: demo test test-lowest lint docs wheel bench bench-desk screenshots messages mutation cluster clean

demo: $(VENV)/demo.installed
	@$(BIN)/python -m demo_app

test: $(VENV)/test.installed $(VENV)/browser.installed
ifdef PACKAGE
	@# Without these files the next run installs the checkout again.
	@rm -f $(patsubst %,$(VENV)/%.installed,demo test lint docs)
	$(PIP) install --quiet --no-deps --force-reinstall $(PACKAGE)
	ACCESS_TOKENS_TEST_WHEEL=true $(BIN)/$(PYTEST)
else
	$(BIN)/$(PYTEST)
endif

test-lowest: $(VENV)/browser.installed
	$(MAKE) VENV=$(LOWEST) $(LOWEST)/lowest.installed
	$(LOWEST)/bin/$(PYTEST)

lint: $(VENV)/lint.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(VENV)/docs.installed
	$(BIN)/sphinx-build --fail-on-warning --quiet -b html docs docs/_build/html

wheel: $(VENV)/pip.installed
	rm -rf dist
	$(PIP) wheel --quiet --no-deps --wheel-dir dist .

bench: $(VENV)/bench.installed
	$(BIN)/python -m benchmarks

bench-desk: $(VENV)/bench.installed
	$(BIN)/python -m benchmarks.desk

CLUSTER ?=
cluster: $(VENV)/bench.installed $(VENV)/cluster.installed
	$(BIN)/python -m benchmarks.cluster $(CLUSTER)

screenshots: $(VENV)/test.installed $(VENV)/browser.installed
	$(BIN)/python docs/pictures.py

TRANSLATIONS := flask_access_tokens/translations
messages: $(VENV)/messages.installed
	$(BIN)/pybabel --quiet extract --mapping-file pyproject.toml --output-file $(TRANSLATIONS)/access_tokens.pot \
	    --project flask-access-tokens --copyright-holder "the flask_access_tokens authors" --no-location \
	    --sort-output flask_access_tokens
	$(BIN)/pybabel --quiet update --input-file $(TRANSLATIONS)/access_tokens.pot --output-dir $(TRANSLATIONS) \
	    --domain access_tokens --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date
	$(BIN)/pybabel --quiet compile --directory $(TRANSLATIONS) --domain access_tokens

mutation: $(VENV)/mutation.installed
	rm -rf mutants
	$(BIN)/mutmut run
	$(BIN)/mutmut results
	@$(BIN)/mutmut export-cicd-stats >/dev/null
	@$(BIN)/python -c "import json; found = json.load(open('mutants/mutmut-cicd-stats.json')); \
	    noticed = found['killed'] + found['timeout']; \
	    print('Noticed: %d of %d changes, %.1f %%' % (noticed, found['total'], 100 * noticed / found['total']))"

clean:
	rm -rf $(VENV) $(LOWEST) dist docs/_build

# pip before 25.1 knows no dependency groups.
$(VENV)/pip.installed:
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --upgrade pip
	@touch $@

$(VENV)/%.installed: pyproject.toml | $(VENV)/pip.installed
	$(PIP) install --quiet --editable . --group $*
	@touch $@

# Chromium: the one that is there, else playwright's, else Debian's. Without any the tests of the page skip.
$(VENV)/browser.installed: | $(VENV)/test.installed
	@CHROMIUM_WORKS="$(BIN)/python tests/support/browser.py"; \
	$$CHROMIUM_WORKS 2>/dev/null \
	|| { $(BIN)/playwright install chromium && $$CHROMIUM_WORKS; } \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	     && apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends chromium-headless-shell \
	fonts-dejavu-core \
	     && $$CHROMIUM_WORKS; } \
	|| echo "No Chromium could be had: the tests that need one skip and say so."
	@touch $@

# The servers of the clusters, which "make cluster" starts itself.
$(VENV)/cluster.installed: | $(VENV)/bench.installed
	@CLUSTER_STARTS="$(BIN)/python -m benchmarks.cluster --check"; \
	$$CLUSTER_STARTS 2>/dev/null \
	|| { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	     && apt-get update --quiet && apt-get install --quiet --yes --no-install-recommends mariadb-server galera-4 \
	rsync postgresql pgbouncer; }; \
	$$CLUSTER_STARTS
	@touch $@
