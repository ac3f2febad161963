#!/usr/bin/env bash
# Packages: datasets==5.2.0
# Guess: class_encode_column numbers whole-number labels in the order of the numbers: 2, 9, 10 become 0, 1, 2.
# What happens: the numbers become texts first and are sorted as such: 10 is before 2. A score list or a weight per
#   class made in the order of the numbers is out of step.
# What to do: cast_column with a ClassLabel whose names are written out.
# Expected output:
#   ['10', '2', '9'] [0, 1, 0, 2]
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check datasets==5.2.0
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
from datasets import Dataset, disable_progress_bars

disable_progress_bars()
table = Dataset.from_dict({"label": [10, 2, 10, 9]}).class_encode_column("label")
print(table.features["label"].names, table["label"][:])
assert table.features["label"].names == ["10", "2", "9"] and table["label"][:] == [0, 1, 0, 2]
PY
