# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The front door; 'make help' lists what it opens. What builds mutex.ko itself is Kbuild.

# The kernel to build for: the running one, unless KDIR names a build tree.
KDIR ?=
# Parameters for 'make load', such as ARGS="max_connections=100000", and for 'make bench': ARGS=--quick.
ARGS ?=
PREFIX ?= /usr/local
DESTDIR ?=
# The module that 'make install' takes.
MODULE ?= out/module/host/mutex.ko

release = $(if $(KDIR),$(shell sed -n 's/^\#define UTS_RELEASE "\(.*\)"$$/\1/p' $(KDIR)/include/generated/utsrelease.h),$(shell uname -r))
share = $(DESTDIR)$(PREFIX)/share
modules = $(DESTDIR)/lib/modules/$(release)
as_root = $(if $(filter 0,$(shell id -u)),,sudo)
# Into a DESTDIR of one's own nobody has to be root.
installer = $(if $(DESTDIR),,$(as_root))

.PHONY: all module tools load unload install demo fleet test newest debug race fuzz bench vm clean help
.NOTPARALLEL:

all: module tools ## mutex.ko for the running kernel (or KDIR=...), and the tools

module: ## only mutex.ko
	@scripts/host-module $(KDIR)

tools: ## only the tools
	@scripts/tools

load: module ## build and load the module (ARGS="max_connections=100000")
	$(as_root) insmod out/module/host/mutex.ko $(ARGS)

unload: ## remove the module from the running kernel
	$(as_root) rmmod mutex

install: all ## install the module for the next boots, the tools, their manual and completions into PREFIX (/usr/local)
	$(installer) install -D -m 644 $(MODULE) $(modules)/updates/mutex.ko
	$(if $(DESTDIR),,$(as_root) depmod $(release))
	$(installer) install -D -t $(DESTDIR)$(PREFIX)/bin out/tools/*
	$(installer) install -D -m 644 -t $(DESTDIR)$(PREFIX)/include include/mutex.h
	$(installer) install -D -m 644 -t $(share)/mutex/schema userspace/mutex-stats/schema/*.json
	$(installer) install -D -m 644 -t $(share)/mutex/mutexd userspace/mutexd/mutexd.toml userspace/mutexd/contrib/dashboard.json userspace/mutexd/contrib/alerts.yml userspace/mutexd/contrib/mutexd.logrotate
	sed 's|/usr/local/bin|$(PREFIX)/bin|' userspace/mutexd/contrib/mutexd.service | $(installer) install -D -m 644 /dev/stdin $(DESTDIR)/lib/systemd/system/mutexd.service
	$(installer) sh -c 'umask 022; exec out/tools/mutexctl man -o $(share)/man/man1'
	out/tools/mutexctl completions bash | $(installer) install -D -m 644 /dev/stdin $(share)/bash-completion/completions/mutexctl
	out/tools/mutexctl completions zsh | $(installer) install -D -m 644 /dev/stdin $(share)/zsh/site-functions/_mutexctl
	out/tools/mutexctl completions fish | $(installer) install -D -m 644 /dev/stdin $(share)/fish/vendor_completions.d/mutexctl.fish

demo: ## everything once in a virtual machine: build, load, real traffic, export, audit
	@scripts/demo

fleet: ## three hosts in a virtual machine, one Prometheus, one NATS: what they know together, and what it costs
	@examples/fleet/run

test: ## every test of the project
	@scripts/test

newest: ## whether it works on the newest kernels that Debian has now: build, load, real traffic, audit, unload
	@scripts/newest $(ARGS)

debug: ## all scenarios on kernels that look for bugs, one with two processors (hours on two cores)
	@scripts/test debug-all debug-smp

race: ## data races between two processors, on a kernel that finds them (half an hour on two cores, and as long for the kernel)
	@scripts/test race

fuzz: ## parsers and decoders, fed by a fuzzer for five minutes; goes on where the last one stopped
	@tests/fuzz/run --seconds 60 $(ARGS)

bench: ## what it costs, beside everybody else (25 minutes; ARGS=--quick takes five)
	@tests/bench/run $(ARGS)

vm: ## a shell in a virtual machine with the module loaded
	@scripts/prepare
	@scripts/vm --shell

clean: ## remove what was built here (prepared kernels stay in the cache)
	rm -rf out

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile
