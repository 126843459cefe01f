# Every target installs the environment that it needs in .venv, once. `make clean-venv` removes it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PACKAGING := pyproject.toml constraints.txt

WEIGHTS ?=
ASSETS ?=
AFW ?=
LONDON ?=
DATASET ?=
BASELINES ?=
VIDEOS ?=
BENCHMARK_MODEL ?=
RENDERS ?= renders
RUN ?= runs/atpn
COUNT ?= 12000
WORKERS ?= 1
SOURCE ?= 0
SAMPLES ?= 800000
BOARD ?= both
INPUTS ?= 10000
SEED ?= 0
MODELS ?=
TFLITE_VENV := .venv-tflite

.DEFAULT_GOAL := help
.PHONY: help setup docs models wheel export export-tflite export-onnx export-coreml demo render train train-smoke evaluate test test-slow test-all fuzz lint bench bench-phone check-arm64 check-tflite-runtime android-check web web-serve web-check clean-venv

help: ## List the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 24

# One stamp file per extra. Each installs the project in editable mode.
$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: $(BIN)/python $(PACKAGING)
	$(PIP) --editable .
	@touch $@

$(VENV)/.train $(VENV)/.export $(VENV)/.coreml $(VENV)/.bench $(VENV)/.docs $(VENV)/.dev: $(VENV)/.%: $(BIN)/python $(PACKAGING)
	$(PIP) --editable ".[$*]"
	@touch $@

setup: $(VENV)/.dev ## Install everything: training, export, benchmarks, tests

models: $(VENV)/.export ## Write edge_runtime/models from the shipped weights, checked against PyTorch
	$(BIN)/python -m export models

wheel: $(BIN)/python ## Build the runtime's wheel, with its models: dist/atpn-VERSION-py3-none-any.whl
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .

export-tflite: $(VENV)/.export ## Write dist/*.tflite of the shipped networks, or of WEIGHTS, checked against PyTorch
	$(BIN)/python -m export tflite $(if $(WEIGHTS),--weights $(WEIGHTS))
	$(BIN)/python -m export detector --files tflite-fp32 tflite-int8

export-onnx: $(VENV)/.export ## Write dist/*.onnx, likewise
	$(BIN)/python -m export onnx $(if $(WEIGHTS),--weights $(WEIGHTS))
	$(BIN)/python -m export detector --files onnx-fp32

export-coreml: $(VENV)/.export $(VENV)/.coreml ## Write dist/*.mlpackage, likewise
	$(BIN)/python -m export coreml $(if $(WEIGHTS),--weights $(WEIGHTS))

export: $(VENV)/.export $(VENV)/.coreml ## Write every format in every precision (AFW=folder: measure on real faces, too)
	$(BIN)/python -m export all $(if $(WEIGHTS),--weights $(WEIGHTS)) $(if $(AFW),--afw $(AFW))
	$(BIN)/python -m export detector

demo: $(VENV)/.runtime ## Track faces in SOURCE (video, image, or camera number): dist/demo.mp4
	@mkdir -p dist
	$(BIN)/python -m edge_runtime.webcam --source $(SOURCE) --headless --save dist/demo.mp4 --jsonl dist/demo.jsonl

render: $(VENV)/.train ## Render labeled faces (ASSETS=folder, COUNT=number, WORKERS=processes) into renders/
	$(BIN)/python -m atpn render --out $(RENDERS)/train --count $(COUNT) --seed 1 --split train --workers $(WORKERS) $(if $(ASSETS),--assets $(ASSETS))
	$(BIN)/python -m atpn render --out $(RENDERS)/heldout --count 900 --seed 1001 --split held-out --workers $(WORKERS) $(if $(ASSETS),--assets $(ASSETS))

train: $(VENV)/.train ## Train the three stages on renders/train
	$(BIN)/python -m atpn train all --data $(RENDERS)/train --out $(RUN) --samples $(SAMPLES)

train-smoke: $(VENV)/.train ## Render, train, and evaluate on the procedural head, in minutes
	$(BIN)/python -m atpn render --out $(RENDERS)/smoke/train --count 600 --seed 1
	$(BIN)/python -m atpn render --out $(RENDERS)/smoke/heldout --count 120 --seed 1001
	for stage in landmarks tracking pose; do \
		$(BIN)/python -m atpn train $$stage --data $(RENDERS)/smoke/train --out runs/smoke --samples 4000 || exit 1; \
	done
	$(BIN)/python -m atpn evaluate --weights runs/smoke/pose.safetensors --data $(RENDERS)/smoke/heldout

evaluate: $(VENV)/.train ## Evaluate WEIGHTS, or the shipped ATPN, on renders/heldout
	$(BIN)/python -m atpn evaluate --weights $(or $(WEIGHTS),atpn/weights/atpn.safetensors) --data $(RENDERS)/heldout

# One process of one thread per core, at most 4: each needs a gigabyte of memory.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal

test: $(VENV)/.dev ## Run linter, type checker, import contracts, and quick tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(PYTEST) -m "not slow"

test-slow: $(VENV)/.dev ## Run the slow tests: conversions, longer training, emulators
	$(PYTEST) -m slow

test-all: test test-slow ## Run all tests

fuzz: $(VENV)/.dev ## Try INPUTS damaged files, requests, and network outputs; keep what shows a fault in dist/fuzz
	@mkdir -p dist/fuzz
	$(BIN)/python -m tests.fuzz --inputs $(INPUTS) --seed $(SEED) --save dist/fuzz --json dist/fuzz/report.json

docs: $(VENV)/.docs ## Build the documentation into dist/site; broken links are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

lint: $(VENV)/.dev ## Format, fix what can be fixed, and check types and imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Each writes dist/bench/NAME.json. BASELINES, AFW, LONDON, DATASET, VIDEOS, and ASSETS are optional folders.
HELD_OUT = $(wildcard $(RENDERS)/heldout)
bench: $(VENV)/.bench export-tflite export-onnx ## Run all benchmarks: dist/bench/report.html (BASELINES, AFW, LONDON, DATASET, VIDEOS, ASSETS=folders)
	$(BIN)/python -m benchmarks latency
	$(BIN)/python -m benchmarks roofline
	$(BIN)/python -m benchmarks profile
	$(BIN)/python -m benchmarks accuracy $(if $(HELD_OUT),--data $(HELD_OUT)) $(if $(AFW),--afw $(AFW)) $(if $(DATASET),--dataset $(DATASET))
	$(BIN)/python -m benchmarks stability $(if $(ASSETS),--assets $(ASSETS)) $(if $(VIDEOS),--videos $(VIDEOS))
	$(BIN)/python -m benchmarks detector $(if $(HELD_OUT),--data $(HELD_OUT)) $(if $(BASELINES),--baselines $(BASELINES)) $(if $(AFW),--afw $(AFW)) $(if $(VIDEOS),--videos $(VIDEOS)) $(if $(ASSETS),--assets $(ASSETS))
	$(BIN)/python -m benchmarks baselines $(if $(BASELINES),--baselines $(BASELINES)) $(if $(AFW),--afw $(AFW)) $(if $(and $(AFW),$(LONDON)),--london $(LONDON)) $(if $(VIDEOS),--videos $(VIDEOS))
	$(BIN)/python -m benchmarks report

bench-phone: $(VENV)/.bench export-tflite ## Time dist/*.tflite on a phone (BENCHMARK_MODEL=file)
	$(BIN)/python -m benchmarks phone --benchmark-model $(BENCHMARK_MODEL)

check-arm64: $(VENV)/.runtime ## Check the plain install on emulated Raspberry Pis (BOARD=pi4, pi5, both)
	$(BIN)/python -m platform_checks arm64 --board $(BOARD)

# Editable install without LiteRT, which the runtime would prefer.
$(TFLITE_VENV)/.tflite: pyproject.toml constraints-tflite.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "tflite-runtime has wheels up to Python 3.11, this project needs 3.11: run with PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv --clear $(TFLITE_VENV)
	$(TFLITE_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-tflite.txt --editable ".[tflite,runtime-tests]"
	$(TFLITE_VENV)/bin/python -m pip uninstall --quiet --yes ai-edge-litert
	@touch $@

check-tflite-runtime: $(VENV)/.runtime $(TFLITE_VENV)/.tflite ## Check tests and outputs with the older tflite-runtime against LiteRT
	$(TFLITE_VENV)/bin/python -m pytest -rs -p no:cacheprovider tests/edge_runtime
	$(BIN)/python -m platform_checks outputs --images 200 --out $(TFLITE_VENV)/litert.npz
	$(TFLITE_VENV)/bin/python -m platform_checks outputs --images 200 --reference $(TFLITE_VENV)/litert.npz --out $(TFLITE_VENV)/tflite.npz
	$(BIN)/python -m platform_checks compare --reference $(TFLITE_VENV)/litert.npz --other $(TFLITE_VENV)/tflite.npz

android-check: ## Compile the Android demo, test its core against the golden vectors, lint its API level
	android_demo/check.sh core app

web: ## Build the browser demo for any static server: dist/web (MODELS=further .tflite files)
	web_demo/check.sh packages
	node web_demo/build.mjs dist/web $(MODELS)

web-serve: web ## Serve the browser demo on localhost
	node web_demo/serve.mjs dist/web

web-check: $(VENV)/.runtime ## Check the browser demo: types, lint, tests against the golden vectors, the page in Chromium
	web_demo/check.sh

clean-venv: ## Remove the environments
	rm -rf $(VENV) $(TFLITE_VENV)
