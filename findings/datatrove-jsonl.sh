#!/usr/bin/env bash
# Packages: datatrove==0.10.1
# Guess: datatrove reads JSON lines, its own format of exchange, as it is installed.
# What happens: its reader of JSON lines asks for orjson, which the plain package does not bring: the first document
#   ends in an ImportError. CSV is read.
# What to do: pip install 'datatrove[io]'.
# Expected output:
#   csv: 1 document
#   jsonl: ImportError
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check datatrove==0.10.1
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
import json
from pathlib import Path

from datatrove.pipeline.readers import JsonlReader
from datatrove.pipeline.readers.csv import CsvReader

Path("csv").mkdir(), Path("jsonl").mkdir()
Path("csv/a.csv").write_text("id,text\n1,rain\n", encoding="utf-8")
Path("jsonl/a.jsonl").write_text(json.dumps({"id": "1", "text": "rain"}) + "\n", encoding="utf-8")
read = len(list(CsvReader("csv", glob_pattern="*.csv").run()))
print("csv:", read, "document")
try:
    list(JsonlReader("jsonl").run())
    raised = "read"
except ImportError as problem:
    raised = type(problem).__name__
print("jsonl:", raised)
assert read == 1 and raised == "ImportError"
PY
