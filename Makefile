# Each target makes what it needs from a fresh checkout; `make` alone lists them.
#
#   PYTHON=python3.12        the interpreter the environment is made with (3.10 to 3.13)
#   TORCH_SPEC=torch==2.13.0 which torch; TORCH_INDEX=https://download.pytorch.org/whl/cpu for a small one
#   OUT=out                  where demo and benchmarks write

PYTHON      ?= python3
VENV        ?= .venv
TORCH_SPEC  ?= torch==2.13.0
TORCH_INDEX ?=
OUT         ?= out
DEMO_SEED   ?= 2000008
REVIEW_VENV ?= .venv-review
CASE        ?= $(OUT)/demo/phantom
THREADS     ?= $(shell nproc 2>/dev/null || echo 2)
PYTEST_ARGS ?= -q -m "not slow"

PY       := $(VENV)/bin/python
HIDESEEK := $(VENV)/bin/hideseek
REVIEW_PY    := $(REVIEW_VENV)/bin/python
REVIEW_STAMP := $(REVIEW_VENV)/.hideseek-environment
STAMP    := $(VENV)/.hideseek-environment
PACKAGE  := hideseek_backend
SOURCES  := $(PACKAGE)/src $(PACKAGE)/tests

# BLAS and OpenMP would otherwise start a thread per core in every one of several processes.
export OMP_NUM_THREADS ?= $(THREADS)
# Qt and VTK draw without a screen.
export QT_QPA_PLATFORM ?= offscreen
export VTK_DEFAULT_OPENGL_WINDOW ?= vtkEGLRenderWindow

.DEFAULT_GOAL := help
.PHONY: help wire environment demo review review-environment test test-browser lint types test-backend test-slicer test-slow test-newest-slicer-core bench bench-quality bench-real bench-folds train-bundled check-rendering clean

help:
	@echo "make demo           phantom CT -> lesions, tables and report; scores itself; Slicer scene"
	@echo "make review         the demo's phantom in the browser (CASE=folder for another)"
	@echo "make test           lint, types and every test"
	@echo "make wire           copies the backend's wire to the Slicer side"
	@echo "make lint           ruff and mypy"
	@echo "make test-slow      tests that take minutes or need servers"
	@echo "make bench          speed: reference protocol against fast"
	@echo "make bench-quality  accuracy: our settings, the paper's and its baselines"
	@echo "make bench-real     real vertebrae, as they are and with inserted lesions (REAL=folder of cases)"
	@echo "make bench-folds    the same by folds of the patients (OLDER=model that has seen none of them)"
	@echo "make train-bundled  trains the bundled model anew (hours; resumable)"

environment: $(STAMP)

$(STAMP): $(PACKAGE)/pyproject.toml Testing/requirements.txt
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || \
	  { echo "error: Python 3.10 to 3.13 is needed; run make PYTHON=python3.12 (after rm -r $(VENV))" >&2; exit 2; }
	$(PY) -m pip install --quiet $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) '$(TORCH_SPEC)'
	$(PY) -m pip install --quiet '$(TORCH_SPEC)' -e '$(PACKAGE)[dev]'
	$(PY) -m pip install --quiet -r Testing/requirements.txt
	@touch $(STAMP)

check-rendering:
	@if command -v dpkg-query >/dev/null; then \
	  for p in libegl1 libgl1-mesa-dri; do \
	    dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'install ok' || \
	      echo "note: $$p is missing, so pictures of Slicer's views are skipped: apt-get install $$p"; \
	  done; \
	fi

wire:
	rm -rf HideSeekLib/wire && mkdir HideSeekLib/wire
	cp $(PACKAGE)/src/hideseek_backend/wire/*.py HideSeekLib/wire/

demo: $(STAMP) check-rendering
	$(HIDESEEK) phantom --out $(OUT)/demo/phantom --seed $(DEMO_SEED) --overwrite
	$(HIDESEEK) segment $(OUT)/demo/phantom/ct.nii.gz $(OUT)/demo/phantom/vertebrae.nii.gz \
	  --bodies $(OUT)/demo/phantom/bodies.nii.gz --labels verse --slices all \
	  --out $(OUT)/demo/result --overwrite
	$(HIDESEEK) evaluate $(OUT)/demo/result/lesions.nii.gz $(OUT)/demo/phantom/truth.nii.gz \
	  --bodies $(OUT)/demo/phantom/bodies.nii.gz --out $(OUT)/demo/score
	@if [ -f Testing/make_demo_scene.py ]; then \
	  $(PY) Testing/make_demo_scene.py --case $(OUT)/demo/result --ct $(OUT)/demo/phantom/ct.nii.gz \
	    --vertebrae $(OUT)/demo/phantom/vertebrae.nii.gz --out $(OUT)/demo/slicer; fi
	$(HIDESEEK) dicom make $(OUT)/demo/phantom/ct.nii.gz --out $(OUT)/demo/study --overwrite
	$(HIDESEEK) dicom export $(OUT)/demo/result --study $(OUT)/demo/study --out $(OUT)/demo/dicom --overwrite
	@echo
	@echo "Report   $(OUT)/demo/result/report.html"
	@echo "Lesions  $(OUT)/demo/result/lesions.seg.nrrd (opens in 3D Slicer) and lesions.nii.gz"
	@echo "Tables   $(OUT)/demo/result/candidates.csv, vertebrae.csv"
	@echo "Score    $(OUT)/demo/score"
	@echo "DICOM    $(OUT)/demo/study (CT), $(OUT)/demo/dicom (seg.dcm, sr.dcm, key images); to a PACS of yours:"
	@echo "         $(HIDESEEK) dicom send $(OUT)/demo/study --to dicom://TITLE@host:port"
	@echo "         $(HIDESEEK) dicom send $(OUT)/demo/dicom --to dicom://TITLE@host:port"
	@echo
	@echo "Next: make review   (this phantom in your browser)"

# An environment of its own: trame-slicer pins another slicer-core than the tests of the Slicer side.
review-environment: $(REVIEW_STAMP)

$(REVIEW_STAMP): Testing/browser/requirements.txt
	test -x $(REVIEW_PY) || $(PYTHON) -m venv $(REVIEW_VENV)
	$(REVIEW_PY) -m pip install --quiet -r Testing/browser/requirements.txt
	@touch $(REVIEW_STAMP)

review: $(STAMP) $(REVIEW_STAMP)
	@test -e $(CASE)/ct.nii.gz || [ "$(CASE)" != "$(OUT)/demo/phantom" ] || \
	  $(HIDESEEK) phantom --out $(CASE) --seed $(DEMO_SEED) --overwrite
	$(HIDESEEK) review $(CASE) --labels verse --out $(OUT)/review --python $(REVIEW_PY)

test-browser: $(STAMP) $(REVIEW_STAMP)
	HIDESEEK_WORKER_PYTHON=$(abspath $(PY)) $(REVIEW_PY) -m pytest -q -m slow $(BROWSER) Testing/browser

test: lint test-backend test-slicer

lint: $(STAMP) types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: $(STAMP)
	$(PY) -m mypy --config-file $(PACKAGE)/pyproject.toml $(PACKAGE)/src/hideseek_backend $(PACKAGE)/src/hideseek_lab
	$(PY) -m mypy --config-file mypy.ini

test-backend: $(STAMP)
	cd $(PACKAGE) && ../$(PY) -m pytest $(PYTEST_ARGS) tests

test-slicer: $(STAMP) check-rendering
	$(PY) -m pytest $(PYTEST_ARGS) Testing

# Exit code 5 of pytest: nothing is marked slow there.
test-slow: $(STAMP)
	cd $(PACKAGE) && { ../$(PY) -m pytest -q -m slow tests || [ $$? -eq 5 ]; }
	$(PY) -m pytest -q -m slow Testing || [ $$? -eq 5 ]

# Slicer's own code moves on: the scene tests on the newest slicer-core of PyPI as well.
NEWEST := $(VENV)-newest-slicer-core
test-newest-slicer-core: $(STAMP)
	test -x $(NEWEST)/bin/python || $(PYTHON) -m venv $(NEWEST)
	if $(NEWEST)/bin/python -m pip install --quiet --upgrade --pre slicer-core pytest pytest-timeout hypothesis nibabel; then \
	  $(NEWEST)/bin/python -m pip list 2>/dev/null | grep -i slicer; \
	  $(NEWEST)/bin/python -m pytest -q Testing/scene; \
	else echo "note: the newest slicer-core could not be installed; its scene tests are skipped"; fi

bench: $(STAMP)
	$(HIDESEEK) benchmark speed --json $(OUT)/bench/speed.json

HEALTHY := runs/healthy/model
$(HEALTHY): | $(STAMP)
	$(HIDESEEK) train --preset healthy --run runs/healthy --out $(HEALTHY)

bench-quality: $(STAMP) $(HEALTHY)
	$(HIDESEEK) benchmark quality --healthy-model $(HEALTHY) --reference-steps 24,24 --out $(OUT)/bench-quality --json $(OUT)/bench-quality/quality.json

REAL ?= real
OLDER ?= runs/older
bench-real: $(STAMP)
	$(HIDESEEK) benchmark real --data $(REAL) --kept $(OUT)/bench-real/slices --edits --sheet $(OUT)/bench-real/edits.png --json $(OUT)/bench-real/real.json

# Five models, each blind to a fifth of the patients, from weights that have seen none of them.
bench-folds: $(STAMP)
	$(HIDESEEK) benchmark real --data $(REAL) --folds runs/folds --start-from $(OLDER) --reference --json $(OUT)/bench-real/folds.json

train-bundled: $(STAMP)
	$(HIDESEEK) train --preset bundled --run runs/bundled --out runs/bundled/model
	@echo 'Compare with hideseek benchmark quality --model runs/bundled/model before replacing the bundled one.'

clean:
	rm -rf $(OUT) build dist .pytest_cache .mypy_cache .ruff_cache
