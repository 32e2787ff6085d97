# make run     build Roost and start it with a sample stack
# make test    install what the tests need and run all of them
# make help    the rest

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

CONFIG ?= release
SEEDS ?= 1000
ROOST := .build/$(CONFIG)/roost

# What building and running needs, and what the tests need besides. One package a word.
RUN_PACKAGES := git make ca-certificates g++ zlib1g-dev libxml2 libcurl4 libncurses6 libsqlite3-dev libcrypt-dev nodejs python3 libarchive-tools
TEST_PACKAGES := $(RUN_PACKAGES) nginx wrk curl openssl openssh-client openssh-server bind9-dnsutils systemd-container \
	mmdebstrap iproute2 nftables procps chromium python3-venv pebble nghttp2-client zsh fish postgresql \
	pdns-server pdns-backend-sqlite3 sqlite3
# From PyPI, into .build/venv, besides Tests/requirements.txt.
BENCH_PYTHON := cryptography==50.0.2 dbos==3.4.0

.PHONY: help run build release test bench lint format sim examples packages-run packages-test venv swift clean

help:
	@sed -n 's/^# \(make .*\)/  \1/p' Makefile
	@echo '  make build   build the program (CONFIG=debug for a quicker build)'
	@echo '  make sim     simulate hub and agents from SEEDS=1000 seeds'
	@echo '  make bench   run the benchmarks, with peers where they are installed'
	@echo '  make lint    check the format of the source;  make format puts it right'
	@echo '  make examples   write the embedded copy of examples/sample anew'

run: packages-run build
	$(ROOST) up --example

build: swift
	swift build -c $(CONFIG) --product roost

# The program as it is shipped: the standard library inside, symbols taken out.
release: swift
	swift build -c release --product roost --static-swift-stdlib
	strip .build/release/roost

test: packages-test venv swift
	@Tests/run

bench: packages-test venv swift
	@.build/venv/bin/python -m pip install --quiet --disable-pip-version-check $(BENCH_PYTHON)
	swift build -c release --product roost
	@for script in Benchmarks/*.sh Benchmarks/*.py; do \
		PATH=$$PWD/.build/venv/bin:$$PATH ROOST_BIN=$$PWD/.build/release/roost "$$script"; done

lint: swift
	swift format lint --strict --parallel --recursive Package.swift Sources Resources Tests

format: swift
	swift format --in-place --parallel --recursive Package.swift Sources Resources Tests

sim: swift
	swift build -c release --product roost-simulate
	.build/release/roost-simulate --seeds $(SEEDS)

examples:
	python3 examples/embed.py

clean:
	rm -rf .build

swift:
	@command -v swift > /dev/null || { \
		echo 'swift is not installed. Get Swift 6.2 or newer from https://www.swift.org/install/linux/ and put its' >&2; \
		echo 'usr/bin on PATH; on Debian 12: the tarball for Debian, unpacked to /opt/swift.' >&2; exit 1; }

# Only what is missing is installed, so that a second run needs neither root nor network.
define install
	@missing=$$(for name in $(1); do \
		dpkg-query -W -f='$${Status}' $$name 2> /dev/null | grep -q 'ok installed' || echo $$name; done); \
	if [ -n "$$missing" ]; then \
		as_root=; [ "$$(id -u)" = 0 ] || as_root=sudo; \
		echo "installing" $$missing; \
		$$as_root apt-get update -qq; \
		DEBIAN_FRONTEND=noninteractive $$as_root apt-get install -y -qq --no-install-recommends $$missing > /dev/null; \
	fi
endef

packages-run:
	$(call install,$(RUN_PACKAGES))

packages-test:
	$(call install,$(TEST_PACKAGES))

venv:
	@[ -x .build/venv/bin/python ] || /usr/bin/python3 -m venv .build/venv
	@.build/venv/bin/python -m pip install --quiet --disable-pip-version-check -r Tests/requirements.txt
