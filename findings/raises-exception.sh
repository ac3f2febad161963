#!/usr/bin/env bash
# Packages: nbclient==0.11.0 nbformat==5.11.1 ipykernel==7.4.0
# Guess: a cell tagged raises-exception is a test: when it raises nothing, running the notebook fails, as
#   pytest.raises does.
# What happens: the run goes through. The tag allows an error and does not ask for one, so a cell that is there to
#   show a refusal shows nothing on the day the refusal is gone.
# What to do: Assert the error inside the cell.
# Expected output:
#   ['accepted']
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check nbclient==0.11.0 nbformat==5.11.1 ipykernel==7.4.0
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

cell = new_code_cell("print('accepted')", metadata={"tags": ["raises-exception"]})
NotebookClient(new_notebook(cells=[cell]), kernel_name="python3").execute()
seen = [output["text"].strip() for output in cell.outputs]
print(seen)
assert seen == ["accepted"]
PY
