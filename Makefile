# Needs Swift 6.3 and GNU make 3.81 or newer; the other packages are installed when they are missing.
#
#   make demo      pack two real fine-tunes, verify and unpack them, compare with the original, and make a page of pictures
#   make test      build and run all tests; those that need Python packages after make test-packages, which installs them
#   make check     what CI runs: format, no warnings, all tests, citations of the specification, examples of the documents
#   make documents run the examples of README.md and docs/, and compare what they print; compile the library's documentation
#   make today     the tests against today's libraries: torch, transformers, peft and others, 6 GB from PyPI
#   make faults    every system call of every command that writes fails once, or is the last one; needs a C compiler, Linux
#   make fuzz      libFuzzer on every reader, SECONDS in all (default 600), under AddressSanitizer; Linux
#   make differential  the tool beside the second reader, on random archives and changed ones; SEED, COUNT
#   make stress    readers, writers and killers on one archive for SECONDS
#   make linking   a package that depends on TMPackReading: what the linker brings along
#   make wheel     the Python package in dist/, with the library and the tool in it and as sources, and its tests in a fresh environment
#   make dist      for machines without Swift: a tarball, a Debian package, a Homebrew formula, in dist/
#   make dist-check these on bare Debian systems; needs root and debootstrap
#   make bench     run the benchmarks
#   make reproduce the experiment of the paper, on data that is not in this repository
#   make format    format the sources
#   make install   put the tool in $(PREFIX)/bin, with its manual page and completions
#   make clean     delete what was built

SWIFT ?= swift
PREFIX ?= /usr/local

# Python packages of the tests, where the machine lacks them; brew's libraries that are not linked into its prefix.
export PATH := $(CURDIR)/.build-python/bin:$(PATH)
ifneq ($(shell command -v brew),)
export PKG_CONFIG_PATH := $(shell brew --prefix openblas)/lib/pkgconfig:$(shell brew --prefix lapack)/lib/pkgconfig:$(PKG_CONFIG_PATH)
endif

SWIFT_FILES = Package.swift Sources Tests Benchmarks Fixtures
SHELL_FILES = $(shell grep -lE '^\#!.*[/ ](sh|bash)$$' scripts/* .ci/* Tests/C/* Tests/Dist/* Tests/Linking/* Benchmarks/* Deploy/*/* Tests/Today/* findings/* 2> /dev/null)
PYTHON_FILES = $(shell find Spec Tests Benchmarks Fixtures Python -name '*.py' 2> /dev/null) Spec/check-citations Tests/Documents/run Tests/Fuzz/run

.PHONY: all build test-packages demo test today faults faults-fast fuzz differential differential-fast stress wheel linking dist dist-check check lint citations documents bench reproduce format install clean
.NOTPARALLEL:

all: build

build:
	@scripts/install-dependencies
	$(SWIFT) build -c release --product tmpack

demo: build
	@scripts/demo .build/release/tmpack demo

test-packages:
	@scripts/install-dependencies tests

# Tests against other implementations are skipped where their packages are missing: see test-packages.
test:
	@scripts/install-dependencies
	$(SWIFT) build -c release --build-tests
	$(SWIFT) test -c release --skip-build

today: build
	Tests/Today/run .build/release/tmpack

faults: build
	python3 Tests/Faults/campaign.py .build/release/tmpack

faults-fast:
	@if [ "$$(uname)" = Linux ]; then python3 Tests/Faults/campaign.py .build/release/tmpack --fast; fi

SECONDS ?= 600
SEED ?= 1
COUNT ?= 200

fuzz: test-packages
	Tests/Fuzz/run $(SECONDS) --jobs $$(nproc)

differential: build test-packages
	python3 Tests/Differential/campaign.py .build/release/tmpack --seed $(SEED) --count $(COUNT)

differential-fast: build
	python3 Tests/Differential/campaign.py .build/release/tmpack --count 15 --mutations 10

stress: build
	python3 Tests/Stress/campaign.py .build/release/tmpack --seconds $(SECONDS)

# Package.swift turns warnings in this package, and not in others, into errors.
check: export TMPACK_STRICT = 1
check: test-packages lint test faults-fast differential-fast citations documents

lint:
	$(SWIFT) format lint --strict --recursive $(SWIFT_FILES)
	@for file in $(SHELL_FILES); do bash -n $$file || exit 1; done
	@python3 -c 'import ast, sys; [ast.parse(open(f).read(), f) for f in sys.argv[1:]]' $(PYTHON_FILES)

citations:
	python3 Spec/check-citations

documents: export PYTHONDONTWRITEBYTECODE = 1
documents: build
	python3 -m unittest discover --quiet --start-directory Tests/Documents
	Tests/Documents/run .build/release/tmpack
	Tests/Documents/check-symbols .build/release

# What comes with the reading half: needs a build of its own.
linking:
	Tests/Linking/check

wheel: test-packages
	scripts/build-wheel dist
	scripts/build-sdist dist
	TMPACK_BUILT=$(CURDIR)/.build/library/wheel scripts/check-sdist dist
	Tests/C/check .build/library/wheel
	scripts/test-wheel dist/tmpack-*.whl

dist:
	@scripts/install-dependencies
	scripts/make-dist dist

dist-check:
	Tests/Dist/check dist

bench:
	@test -x Benchmarks/run || { echo "there is no Benchmarks/run in this checkout" >&2; exit 1; }
	Benchmarks/run

reproduce: build
	python3 Benchmarks/reproduce.py

format:
	$(SWIFT) format format --in-place --recursive $(SWIFT_FILES)

# macOS has Swift's runtime; elsewhere the tool brings it along. That takes a build of its own.
install:
	@scripts/install-dependencies
	$(SWIFT) build -c release --product tmpack --scratch-path .build/install $(if $(filter Linux,$(shell uname)),--static-swift-stdlib)
	install -d "$(DESTDIR)$(PREFIX)/bin"
	install -s -m 755 .build/install/release/tmpack "$(DESTDIR)$(PREFIX)/bin/tmpack"
	install -d "$(DESTDIR)$(PREFIX)/share/man/man1" "$(DESTDIR)$(PREFIX)/share/bash-completion/completions" \
	  "$(DESTDIR)$(PREFIX)/share/zsh/site-functions" "$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d"
	.build/install/release/tmpack manual > "$(DESTDIR)$(PREFIX)/share/man/man1/tmpack.1"
	.build/install/release/tmpack completions bash > "$(DESTDIR)$(PREFIX)/share/bash-completion/completions/tmpack"
	.build/install/release/tmpack completions zsh > "$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_tmpack"
	.build/install/release/tmpack completions fish > "$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/tmpack.fish"

clean:
	rm -rf .build .build-python .build-today demo
