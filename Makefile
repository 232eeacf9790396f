# For a machine without ROS 2; with ROS 2 installed, `colcon build` is all there is to it (docs/install.md).
.DEFAULT_GOAL := help
.PHONY: help setup run test lint format browser lock clean
BIN := .venv/bin

help:  ## show this
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## */  make \1\t/' | expand -t 18

setup:  ## prepare .venv: pinned packages, ROS 2, messages (PYTHON=... chooses the Python)
	@$(or $(PYTHON),python3) tools/setup_env.py

run: setup  ## the simulated ant follows its waypoints (ARGS=... for `mbmf up`)
	@$(BIN)/mbmf up ant_sim $(ARGS)

test: lint browser  ## check style and types, run all tests (ARGS=... for pytest)
	$(BIN)/python -m pytest $(ARGS)

lint: setup  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

format: setup  ## mend the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

browser:  ## install Debian's Chromium for the browser test, where that is possible
	@bash tools/browser.sh

lock:  ## resolve pyproject.toml's dependencies anew into requirements.lock
	@bash tools/lock.sh

clean:  ## remove what setup and builds made
	rm -rf .venv build install log .pytest_cache .ruff_cache .hypothesis *.egg-info
