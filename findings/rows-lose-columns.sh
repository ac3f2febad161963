#!/usr/bin/env bash
# Packages: datasets==5.2.0
# Guess: Dataset.from_list makes the union of all keys, and None where a row lacks one, as pandas does.
# What happens: only the keys of the first row count. What other rows have besides is dropped without a word, such as
#   the label of a table whose first row has none.
# What to do: Give every row every key, or name the features.
# Expected output:
#   [{'text': '雨'}, {'text': '雪'}]
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check datasets==5.2.0
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
from datasets import Dataset

rows = Dataset.from_list([{"text": "雨"}, {"text": "雪", "label": 1}]).to_list()
print(rows)
assert rows == [{"text": "雨"}, {"text": "雪"}]
PY
