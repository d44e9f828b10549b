# What people type. `make run` and `make test` are all that a fresh machine with Python, make, a C compiler and Go needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
LOCK := requirements.lock
UV := uv==0.13.8

# Images often forbid bytecode. Each start would compile the whole service and its libraries anew: 3 s and more.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-again check coverage controlplane realnode lint types floors test-fast test-gpu image test-image nightly pictures bench bench-replay lock clean system

# The whole service on a simulated cluster, in accelerated time: prints an address to open.
run: $(STAMP)
	@exec $(BIN)/allot serve --demo-sign-in

# Everything: format, lint, types, import floors, and all tests with warnings as errors.
test: check

# Tests on a real control plane wait for it most of their time, and one replays a trace for minutes: a third worker works
# meanwhile.
check: lint types floors controlplane realnode
	$(BIN)/pytest -n 3 --dist loadfile -q

# The real control plane of the tests, built once with Go: five minutes, then seconds. Where it
# cannot be built its tests are left out, and nothing else is kept back.
controlplane: $(STAMP)
	@if command -v go >/dev/null; then $(BIN)/allot dev cluster build || \
		echo "The tests against the real control plane are left out."; fi

# The kubelet of the tests' real node, where one can run (root on Linux): four minutes once, then seconds.
realnode: $(STAMP)
	@$(BIN)/python -m tests.realnode.programs

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@if command -v gofmt >/dev/null; then gofmt -d tests/controlplane/kubelets; test -z "$$(gofmt -l tests/controlplane/kubelets)"; fi
	@if command -v go >/dev/null; then scripts/vet-go tests/controlplane ./kubelets; fi

types: $(STAMP)
	$(BIN)/mypy --num-workers 2

floors: $(STAMP)
	$(BIN)/lint-imports

# What failed in the last run, alone and one at a time: tells a defect of the code from one of a test's timing.
test-again: $(STAMP)
	$(BIN)/pytest -q --last-failed --last-failed-no-failures none

# What needs no Kubernetes: some four minutes on two cores, on which four at a time leave less idle than three or two.
test-fast: lint types floors
	$(BIN)/pytest -n 4 --dist loadfile -q -m "not controlplane"

# The NVML conformance suite on the real library: needs an NVIDIA GPU and its driver.
test-gpu: $(STAMP)
	ALLOT_REAL_NVML=1 $(BIN)/pytest -q tests/nvml

# The image of the Containerfile, by docker, podman or buildah; with IMAGE_PYTHON=… on another base.
image:
	PYTHON=$(IMAGE_PYTHON) scripts/build-image

# The same Containerfile on a base of Debian's packages, pulled from no registry, and the image on the real node: two to
# three minutes, 2 GiB of disk and 3 GiB of memory. As root on Debian, with buildah and mmdebstrap.
test-image: $(STAMP) realnode controlplane
	@mkdir -p var
	scripts/build-image --stand-in $(CURDIR)/var/image.tar
	ALLOT_IMAGE_ARCHIVE=$(CURDIR)/var/image.tar $(BIN)/pytest -q -n0 tests/realnode/test_image.py

# Branches of the decision that its own tests take: every one of them; what is not taken is listed.
coverage: $(STAMP)
	$(BIN)/coverage run --branch --source=scheduler/decision -m pytest -q tests/decision
	$(BIN)/coverage report --skip-covered --show-missing --fail-under=100

# What takes too long for every change: a thousand kill -9 of the service on the real control plane (a quarter of an hour), ten
# thousand steps of the books beside a model, and two thousand tamperings with a database.
nightly: controlplane coverage
	$(BIN)/python -m benchmarks.kills
	ALLOT_LEDGER_STEPS=10000 ALLOT_TAMPERINGS=2000 $(BIN)/pytest -q --timeout=0 tests/adapters/sql/test_ledger_machine.py \
		tests/adapters/sql/test_verification.py -k "not postgresql"
	HYPOTHESIS_PROFILE=searching $(BIN)/pytest -q --timeout=0 tests/decision tests/ledger tests/metering tests/finance \
		tests/simulation tests/lives tests/lifecycle/test_unclean_ends.py tests/e2e/test_crash_points.py tests/e2e/test_first_idle.py

# The pictures of the docs, of the embedded default two minutes after its start.
pictures: $(STAMP)
	$(BIN)/python -m tests.browser.pictures

# Benchmarks print what they measured with the machine and the commit, and store it under benchmarks/results.
bench: $(STAMP)
	$(BIN)/python -m benchmarks

# One of them: bench-pack, bench-decide, and so on; docs/benchmarks.md is written anew.
bench-%: $(STAMP)
	$(BIN)/python -m benchmarks $*
	@$(BIN)/python -m benchmarks.page

# A month of a company in virtual time, and what it took; `python -m benchmarks.replay --days 365` is the year.
bench-replay: $(STAMP)
	$(BIN)/python -m benchmarks.replay

# PostgreSQL, Chromium and a C compiler for the tests, from Debian (as root; elsewhere it says what to install).
system:
	scripts/install-system-packages

lock: $(STAMP)
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --extra dev -q --no-annotate --no-header \
		--no-emit-index-url -o $(LOCK) pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes -q --no-annotate --no-header \
		--no-emit-index-url --constraint $(LOCK) -o requirements-runtime.lock pyproject.toml

# The lock is installed with hashes checked; uv, itself from the lock's index, does it in seconds.
$(STAMP): $(LOCK) pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV): a minute, this once (and when the lock changes) ..."
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check $(UV)
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r $(LOCK)
	@VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps --editable .
	@touch $(STAMP)

clean:
	rm -rf $(VENV) var .pytest_cache .mypy_cache .ruff_cache
