# Everything starts here: `make results/table1.csv` on a fresh machine, `make test` for the checks.
VENV ?= .venv
PYTHON ?= python3
CORES ?= all
SNAKEMAKE_FLAGS ?=

STAMP := $(VENV)/.installed
TOOLS := $(VENV)/.tools-installed
# An environment's programs, and the package installed in it, name their folders in full; the stamp tells which. In a copied
# or moved checkout they are another's, and all is installed anew.
HERE := { pwd -P; (cd $(VENV) && pwd -P); }
ELSEWHERE := $(shell test -s $(STAMP) && ! $(HERE) | cmp -s - $(STAMP) && echo yes)
NATIVE := CMakeLists.txt pyproject.toml $(wildcard xlmd/_cuda/*.[ch]* xlmd/_cuda/*.p*)
# An operating system's lock, which dies with its owner, instead of Snakemake's, which a killed run leaves behind.
LOCK := flock --nonblock --conflict-exit-code 75 .snakemake.lock
BUSY := { status=$$?; test $$status = 75 && echo "another make is running here" >&2; exit $$status; }
# The target stands first: a flag such as --configfile takes all that follows it.
SNAKEMAKE = $(LOCK) env PATH="$(abspath $(VENV))/bin:$$PATH" \
	snakemake $(1) --nolock --cores $(CORES) $(SNAKEMAKE_FLAGS) || $(BUSY)

RIVALS := $(foreach table,1 2 4 10,results/table$(table).csv)

# A name as one word of the shell's.
QUOTED = '$(subst ','\'',$(1))'

# make takes a goal with = in it for an assignment: results/runs/…M=2… would be the goal of nobody.
ASSIGNED := $(foreach name,$(filter results/%,$(.VARIABLES)),$(call QUOTED,$(name)=$(value $(name))))
ifneq ($(ASSIGNED),)
.DEFAULT_GOAL := assigned
$(MAKECMDGOALS): | assigned
endif

.PHONY: assigned help setup test style test-slurm docs wheel all rivals report gpu fuzz fuzz-cuda fuzz-output-layer sanitize clean-results FORCE

help: ## this list
	@grep -hE '^[a-z/%.-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | column -t -s '|'
	@echo "results/FILE          any result by name, for example results/table1.csv"

setup: $(STAMP) ## the virtual environment with exact versions, and the native library

$(STAMP): requirements.lock $(NATIVE) $(if $(ELSEWHERE),FORCE)
	@test -x $(VENV)/bin/python || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON) is not Python 3.11 or newer; name one that is: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
	$(if $(ELSEWHERE),@echo "this checkout was copied or moved: installing anew" >&2)
	@! test -s $@ || (cd $(VENV) && pwd -P) | grep -qxFf - $@ || rm -rf $(VENV)
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	PATH="$(abspath $(VENV))/bin:$$PATH" $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		--no-build-isolation --no-deps --editable .
	@$(HERE) > $@

$(TOOLS): requirements-tools.lock $(STAMP)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

all: setup ## every table and figure that the workflow can make
	@$(call SNAKEMAKE,all)

rivals: setup ## Tables 1, 2, 4 and 10 with every other system measured too, from English into German
	@$(call SNAKEMAKE,$(RIVALS) --configfile config/rivals.yaml)

report: all ## all of it as one HTML page, results/report.html
	@$(call SNAKEMAKE,all --report results/report.html)

results/%: setup FORCE
	@$(call SNAKEMAKE,$(call QUOTED,$@))

assigned: setup
	@$(call SNAKEMAKE,$(ASSIGNED))

test: setup ## style, workflow checks, unit tests and a micro run of the whole workflow
	PATH="$(abspath $(VENV))/bin:$$PATH" tests/check

style: setup ## style and types alone, as the commit hooks check them
	PATH="$(abspath $(VENV))/bin:$$PATH" tests/style

docs: setup $(TOOLS) ## the documentation as a site, site/index.html
	PATH="$(abspath $(VENV))/bin:$$PATH" NO_MKDOCS_2_WARNING=1 mkdocs build --strict

wheel: setup $(TOOLS) ## a source archive and a wheel for pip, in dist/
	PATH="$(abspath $(VENV))/bin:$$PATH" .ci/wheel dist

test-slurm: setup ## a micro run on a Slurm of this one machine; needs root and Debian's slurmctld, slurmd, slurm-client, munge
	PATH="$(abspath $(VENV))/bin:$$PATH" tests/slurm

# Not `setup`: it is the torch of the machine, which fits its GPU, that is wanted. GPU_PYTHON has it and what xlmd needs.
gpu: ## everything that a GPU checks and measures, with the machine's own torch (GPU_PYTHON=…, PARTS="tests ctc …")
	$(or $(GPU_PYTHON),$(PYTHON)) -m benchmarks.gpu $(PARTS)

fuzz: setup ## random CTC problems against the float64 reference (N=100000, SEED=…)
	PATH="$(abspath $(VENV))/bin:$$PATH" python tests/fuzz_ctc.py -n $(or $(N),100000) $(if $(SEED),--seed $(SEED))

fuzz-cuda: setup ## the CUDA kernels on emulated threads, no GPU needed (N=2000, SEED=…, VARIANT=plain, fma, address or thread)
	cd tests && PATH="$(abspath $(VENV))/bin:$$PATH" python -m cuda_emulation --variant $(or $(VARIANT),plain) \
		-n $(or $(N),2000) --seed $(or $(SEED),1)

fuzz-output-layer: setup ## random output layers against torch's argmax (N=10000)
	PATH="$(abspath $(VENV))/bin:$$PATH" python tests/fuzz_output_layer.py -n $(or $(N),10000)

sanitize: setup ## the C++ part under the address and undefined-behaviour sanitizers (N=2000)
	PATH="$(abspath $(VENV))/bin:$$PATH" N=$(or $(N),2000) tests/sanitize_ctc

clean-results: ## delete everything that the workflow made
	@$(LOCK) rm -rf results .snakemake || $(BUSY)

FORCE:
