#!/usr/bin/env bash
# Packages: datasets==5.2.0
# Guess: a column of a CSV file with a text in it is text, as it stands there.
# What happens: NA and null become nothing, and with them gone 007 becomes 7.0: the column is numbers.
# What to do: keep_default_na=False, na_filter=False and features that say string.
# Expected output:
#   in the file: ['NA', '007', 'null']
#   read:        [None, 7.0, None]
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check datasets==5.2.0
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
from datasets import disable_progress_bars, load_dataset

disable_progress_bars()
texts = ["NA", "007", "null"]
with open("rows.csv", "w", encoding="utf-8") as file:
    file.write("\n".join(["text,label", *(f"{text},1" for text in texts)]))
read = load_dataset("csv", data_files="rows.csv", split="train", cache_dir="cache")["text"][:]
print("in the file:", texts)
print("read:       ", read)
assert read == [None, 7.0, None]
PY
