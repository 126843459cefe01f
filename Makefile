# Every target makes the environment it needs in .venv, once. `make clean-venv` starts over.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PACKAGING := pyproject.toml constraints.txt

WEIGHTS ?= atpn/weights/atpn.safetensors
ASSETS ?=
AFW ?=
DATASET ?=
PEERS ?=
VIDEOS ?=
BENCHMARK_MODEL ?=
RENDERS ?= renders
RUN ?= runs/atpn
COUNT ?= 12000
SOURCE ?= 0
SAMPLES ?= 800000
BOARD ?= both
TFLITE_VENV := .venv-tflite

.DEFAULT_GOAL := help
.PHONY: help setup docs export export-tflite export-onnx export-coreml demo render train train-smoke evaluate test test-slow test-all lint bench bench-phone check-arm64 check-tflite-runtime android-check clean-venv

help: ## This list
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 24

# One stamp per extra. Each installs the project in place, so that the sources here are what runs.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(BIN)/python $(PACKAGING)
	$(PIP) --editable .
	@touch $@

$(VENV)/.train $(VENV)/.export $(VENV)/.coreml $(VENV)/.bench $(VENV)/.docs $(VENV)/.dev: $(VENV)/.%: $(BIN)/python $(PACKAGING)
	$(PIP) --editable ".[$*]"
	@touch $@

setup: $(VENV)/.dev ## Everything: training, export, benchmarks, tests

export-tflite: $(VENV)/.export ## Write dist/*.tflite, checked against PyTorch
	$(BIN)/python -m export tflite --weights $(WEIGHTS)
	$(BIN)/python -m export detector --files tflite-fp32 tflite-int8

export-onnx: $(VENV)/.export ## Write dist/*.onnx, checked against PyTorch
	$(BIN)/python -m export onnx --weights $(WEIGHTS)
	$(BIN)/python -m export detector --files onnx-fp32

export-coreml: $(VENV)/.export $(VENV)/.coreml ## Write dist/*.mlpackage, checked against PyTorch
	$(BIN)/python -m export coreml --weights $(WEIGHTS)

export: $(VENV)/.export $(VENV)/.coreml ## Write every format in every precision (AFW=folder measures on real faces, too)
	$(BIN)/python -m export all --weights $(WEIGHTS) $(if $(AFW),--afw $(AFW))
	$(BIN)/python -m export detector

demo: $(VENV)/.runtime export-tflite ## Track the face in SOURCE (a video, an image, a camera's number): dist/demo.mp4
	$(BIN)/python -m edge_runtime.webcam --source $(SOURCE) --headless --save dist/demo.mp4 --jsonl dist/demo.jsonl

render: $(VENV)/.train ## Render labelled faces (ASSETS=folder, COUNT=number) into renders/
	$(BIN)/python -m atpn render --out $(RENDERS)/train --count $(COUNT) --seed 1 --split train $(if $(ASSETS),--assets $(ASSETS))
	$(BIN)/python -m atpn render --out $(RENDERS)/heldout --count 900 --seed 1001 --split held-out $(if $(ASSETS),--assets $(ASSETS))

train: $(VENV)/.train ## Train the three stages on renders/train
	$(BIN)/python -m atpn train all --data $(RENDERS)/train --out $(RUN) --samples $(SAMPLES)

train-smoke: $(VENV)/.train ## The whole way on the procedural head, in minutes: render, train, evaluate
	$(BIN)/python -m atpn render --out $(RENDERS)/smoke/train --count 600 --seed 1
	$(BIN)/python -m atpn render --out $(RENDERS)/smoke/heldout --count 120 --seed 1001
	for stage in landmarks tracking pose; do \
		$(BIN)/python -m atpn train $$stage --data $(RENDERS)/smoke/train --out runs/smoke --samples 4000 || exit 1; \
	done
	$(BIN)/python -m atpn evaluate --weights runs/smoke/pose.safetensors --data $(RENDERS)/smoke/heldout

evaluate: $(VENV)/.train ## Score WEIGHTS on renders/heldout
	$(BIN)/python -m atpn evaluate --weights $(WEIGHTS) --data $(RENDERS)/heldout

# One process per core, of one thread each, and few enough that each has its gigabyte of memory.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

test: $(VENV)/.dev ## Lint, types, import contracts, and the quick tests, on every core
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -m "not slow"

test-slow: $(VENV)/.dev ## The tests that `make test` leaves out: conversions, longer training, emulators
	$(PYTEST) -m slow

test-all: test test-slow ## Everything

docs: $(VENV)/.docs ## Build the documentation into dist/site; broken links are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: $(VENV)/.dev ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Each writes dist/bench/NAME.json. Peers, photographs, videos and renders are measured on where they are given.
HELD_OUT = $(wildcard $(RENDERS)/heldout)
bench: $(VENV)/.bench export-tflite export-onnx ## Measure everything: dist/bench/report.html (PEERS, AFW, DATASET, VIDEOS, ASSETS=folders)
	$(BIN)/python -m benchmarks latency
	$(BIN)/python -m benchmarks roofline
	$(BIN)/python -m benchmarks profile
	$(BIN)/python -m benchmarks accuracy $(if $(HELD_OUT),--data $(HELD_OUT)) $(if $(AFW),--afw $(AFW)) $(if $(DATASET),--dataset $(DATASET))
	$(BIN)/python -m benchmarks stability $(if $(ASSETS),--assets $(ASSETS)) $(if $(VIDEOS),--videos $(VIDEOS))
	$(BIN)/python -m benchmarks detector $(if $(HELD_OUT),--data $(HELD_OUT)) $(if $(PEERS),--peers $(PEERS)) $(if $(AFW),--afw $(AFW))
	$(BIN)/python -m benchmarks peers $(if $(PEERS),--peers $(PEERS)) $(if $(AFW),--afw $(AFW)) $(if $(VIDEOS),--videos $(VIDEOS))
	$(BIN)/python -m benchmarks report

bench-phone: $(VENV)/.bench export-tflite ## Time dist/*.tflite on a phone (BENCHMARK_MODEL=file)
	$(BIN)/python -m benchmarks phone --benchmark-model $(BENCHMARK_MODEL)

check-arm64: $(VENV)/.runtime ## Tests and outputs of the plain install on emulated Raspberry Pis (BOARD=pi4, pi5, both)
	$(BIN)/python -m benchmarks arm64 --board $(BOARD)

# The project's files are used in place; only what they need is installed, and not the engine that would be preferred.
$(TFLITE_VENV)/.tflite: pyproject.toml constraints-tflite.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "tflite-runtime has wheels up to Python 3.11, this project needs 3.11: run with PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv --clear $(TFLITE_VENV)
	$(TFLITE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-tflite.txt --editable ".[tflite,runtime-tests]"
	$(TFLITE_VENV)/bin/python -m pip uninstall --quiet --yes ai-edge-litert
	@touch $@

check-tflite-runtime: $(VENV)/.runtime $(TFLITE_VENV)/.tflite ## Tests and outputs on the older tflite-runtime, against LiteRT's
	$(TFLITE_VENV)/bin/python -m pytest -rs -p no:cacheprovider tests/edge_runtime
	$(BIN)/python -m benchmarks outputs --pictures 200 --out $(TFLITE_VENV)/litert.npz
	$(TFLITE_VENV)/bin/python -m benchmarks outputs --pictures 200 --past $(TFLITE_VENV)/litert.npz --out $(TFLITE_VENV)/tflite.npz
	$(BIN)/python -m benchmarks agree --ours $(TFLITE_VENV)/litert.npz --theirs $(TFLITE_VENV)/tflite.npz --may-refuse atpn_int8.tflite

android-check: ## Compile the Android demo, test its core against the golden vectors, lint its API level
	android_demo/check.sh core app

clean-venv: ## Remove the environments
	rm -rf $(VENV) $(TFLITE_VENV)
