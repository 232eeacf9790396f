#!/usr/bin/env bash
# Resolves pyproject.toml's dependencies, all extras, for Python 3.10 to 3.13 on Linux, into requirements.lock.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=build/lock-tool
[ -x "$tool/bin/uv" ] || { python3 -m venv "$tool" && "$tool/bin/pip" --quiet install uv; }
resolved=$(mktemp)
trap 'rm -f "$resolved"' EXIT
"$tool/bin/uv" pip compile --quiet --universal --python-version 3.10 --all-extras --no-annotate --no-header \
    --no-python-downloads "$@" pyproject.toml -o "$resolved"
{
    echo "# Made by \`make lock\` from pyproject.toml: all extras, Python 3.10 to 3.13, Linux."
    echo "# Left out are the CUDA packages: a PyTorch built with CUDA pins its own, one built without needs none."
    grep -vE '^(nvidia-|cuda-|triton==)' "$resolved" | sed -E "s/ ; sys_platform == 'linux'$//; s/ and sys_platform == 'linux'$//"
} >requirements.lock
