#!/usr/bin/env bash
# Packages: datasets==5.2.0 pyarrow==26.0.1
# Guess: in JSON lines a string is a string: only CSV readers have to guess at types.
# What happens: a column whose strings all look like dates becomes timestamps; the texts are gone, the time zone with
#   them. One row with any other text in it, and all stay strings.
# What to do: Name the features: features=Features({'text': Value('string')}).
# Expected output:
#   all dates: datetime.datetime(2024, 5, 1, 0, 0)
#   one text:  '2024-05-01'
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check datasets==5.2.0 pyarrow==26.0.1
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
import json

from datasets import disable_progress_bars, load_dataset

disable_progress_bars()


def first(*texts):
    with open(f"{len(texts)}.jsonl", "w", encoding="utf-8") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
    return load_dataset("json", data_files=f"{len(texts)}.jsonl", split="train", cache_dir="cache")["text"][0]


dates, mixed = first("2024-05-01", "2024-05-02"), first("2024-05-01", "2024-05-02", "雨天")
print("all dates:", repr(dates))
print("one text: ", repr(mixed))
assert not isinstance(dates, str) and mixed == "2024-05-01"
PY
