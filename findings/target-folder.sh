#!/usr/bin/env bash
# Packages: datasets==5.2.0, dill==0.4.1, pyarrow==26.0.1
# Guess: datasets works from any folder on sys.path, such as one on a mounted drive that `pip install --target` filled.
# What happens: it makes no dataset at all. Every dataset gets a fingerprint, for which dill pickles its table. dill
#   takes a module for a library by its path: below sys.prefix, or with "site-packages" in it. A module elsewhere is
#   somebody's own code, which goes into the pickle with all it refers to, and a class of pyarrow cannot.
# What to do: let the name of the folder say so (lib/site-packages), or install without --target.
# Expected output:
#   lib: PicklingError, Can't pickle <class 'MonthDayNano'>: it's not found as builtins.MonthDayNano
#   lib/site-packages: [1, 2, 3]
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check --target lib datasets==5.2.0 dill==0.4.1 pyarrow==26.0.1
mkdir other
ln -s ../lib other/site-packages
for folder in lib other/site-packages; do
  PYTHONPATH="$room/$folder" HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -W ignore - "$folder" <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
import pickle
import sys

from datasets import Dataset

folder = sys.argv[1].replace("other", "lib")
try:
    outcome = str(Dataset.from_dict({"a": [1, 2, 3]})["a"][:])
except pickle.PicklingError as problem:
    outcome = f"PicklingError, {problem}"
print(f"{folder}: {outcome}")
assert outcome == "[1, 2, 3]" if "site-packages" in folder else "MonthDayNano" in outcome
PY
done
