# SPDX-License-Identifier: MIT OR Apache-2.0
# The commands. Each installs what it lacks first (tools/setup), and does the work by cargo or a script in tools/.
SHELL := /bin/sh
export PATH := $(PATH):$(or $(CARGO_HOME),$(HOME)/.cargo)/bin
.DEFAULT_GOAL := help
.PHONY: help run run-linux test-linux test test-all firmware bench debug fuzz coverage lint-manifests reproducible clean

CPUS ?= 4
TIME ?= 60
TIMEOUT ?= 120

help: ## Show the commands
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 18

run: firmware ## Boot the whole chain on QEMU and run the BL33 tests (CPUS=4)
	@tools/run-qemu --cpus $(CPUS) --timeout $(TIMEOUT)

run-linux: ## Boot Debian's Linux with pKVM to a shell on this terminal; leaving the shell powers off
	@tools/setup linux
	@tools/run-linux --cpus $(CPUS)

test-linux: ## Boot the same without a terminal and run the test module's cases
	@tools/setup linux
	@tools/test-linux --cpus $(CPUS)

test: ## Check everything that takes minutes; ends with N passed, N failed
	@tools/setup test
	@tools/test

test-all: ## The same, with soaks, fuzzing, 1, 4 and 8 CPUs
	@tools/setup test-all
	@tools/test --all

firmware: ## Build target/firmware/hematite.bin (BL32) and flash.bin (HEMATITE_PROVISIONING_KEY=file)
	@tools/setup run
	@tools/firmware

bench: ## Count the instructions of each operation, beside the floor and Hafnium
	@tools/setup bench
	@tools/bench

debug: firmware ## Boot and wait for a debugger
	@tools/setup debug
	@echo 'attach from another terminal:'
	@echo '  gdb-multiarch -ex "target remote :1234" target/spmc/aarch64-unknown-none-softfloat/release/hematite'
	@tools/run-qemu --cpus $(CPUS) --timeout 86400 --gdb --show all

fuzz: ## Fuzz each target for TIME seconds (60)
	@tools/setup fuzz
	@FUZZ_TIME=$(TIME) tools/test fuzzing

coverage: ## Measure which lines the host tests run; fails below 90 % of a crate
	@tools/setup coverage
	@tools/coverage

lint-manifests: ## Check the partitions' manifests
	@tools/setup run
	@tools/test manifests

reproducible: firmware ## Build in another folder and compare the images
	@tools/reproducible

clean: ## Remove what was built here (the cache of TF-A stays)
	@rm -rf target fuzz/target
