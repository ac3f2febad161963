#!/usr/bin/env bash
# Packages: papermill==2.7.0 ipykernel==7.4.0
# Guess: -p and -y read the same numbers, and the option that comes last wins.
# What happens: -y 'rate: 4e-4' is text (YAML wants 4.0e-4), -p rate 4e-4 a float; -p takes nan for a number and 1_000
#   for 1000; -r wins over -p wherever it stands.
# Expected output:
#   y: str '4e-4'
#   p: float 0.0004
#   p nan: float nan
#   p 1_000: int 1000
#   r, then p: str '1'
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check papermill==2.7.0 ipykernel==7.4.0
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
import json
import subprocess
import sys
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

cells = [new_code_cell("x = 0", metadata={"tags": ["parameters"]}), new_code_cell("print(type(x).__name__, repr(x))")]
kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
nbformat.write(new_notebook(cells=cells, metadata=kernel), "in.ipynb")


def run(*options):
    papermill = [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb", "--no-progress-bar"]
    subprocess.run([*papermill, *options], check=True, capture_output=True)
    return json.loads(Path("out.ipynb").read_text(encoding="utf-8"))["cells"][-1]["outputs"][0]["text"][0].strip()


seen = {
    "y": run("-y", "x: 4e-4"), "p": run("-p", "x", "4e-4"), "p nan": run("-p", "x", "nan"),
    "p 1_000": run("-p", "x", "1_000"), "r, then p": run("-r", "x", "1", "-p", "x", "2"),
}
for name, value in seen.items():
    print(f"{name}: {value}")
assert list(seen.values()) == ["str '4e-4'", "float 0.0004", "float nan", "int 1000", "str '1'"]
PY
