#!/usr/bin/env bash
# Packages: datasets==5.2.0
# Guess: cast_column from one ClassLabel to another with the same names in another order keeps each row's label, and
#   changes the numbers.
# What happens: it keeps the numbers, and so every label becomes another one. (concatenate_datasets refuses two such
#   columns, so one casts.)
# What to do: align_labels_with_mapping changes the numbers and keeps the labels.
# Expected output:
#   before: ['negative', 'positive', 'positive']
#   after:  ['positive', 'negative', 'negative']
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check datasets==5.2.0
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
from datasets import ClassLabel, Dataset, Features, disable_progress_bars

disable_progress_bars()


def labels(table):
    return table.features["label"].int2str(table["label"][:])


table = Dataset.from_dict({"label": [0, 1, 1]}, features=Features({"label": ClassLabel(names=["negative", "positive"])}))
turned = table.cast_column("label", ClassLabel(names=["positive", "negative"]))
print("before:", labels(table))
print("after: ", labels(turned))
assert table["label"][:] == turned["label"][:] and labels(table) != labels(turned)
PY
