#!/usr/bin/env bash
# Packages: transformers==5.23.0 tokenizers==0.23.3
# Guess: truncation is an argument of a call: what is saved is the tokenizer, not the last call.
# What happens: tokenizer.json keeps the truncation of the last call before saving. The library tokenizers then cuts
#   every text without a word; after a call for questions (only_second) it raises for a single text.
# What to do: no_truncation() and no_padding() on the backend before saving.
# Expected output:
#   after truncation=True, max_length=6: 6 tokens of 42
#   after only_second: Exception
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check transformers==5.23.0 tokenizers==0.23.3
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
from tokenizers import Tokenizer
from transformers import BertTokenizer

with open("vocab.txt", "w", encoding="utf-8") as file:
    file.write("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "好"]))
tokenizer, text = BertTokenizer.from_pretrained("."), "好" * 40

tokenizer(text, truncation=True, max_length=6)
tokenizer.save_pretrained("saved")
length = len(Tokenizer.from_file("saved/tokenizer.json").encode(text).ids)
print(f"after truncation=True, max_length=6: {length} tokens of 42")

tokenizer("好", text, truncation="only_second", max_length=8)
tokenizer.save_pretrained("saved")
try:
    Tokenizer.from_file("saved/tokenizer.json").encode(text)
    raised = "no error"
except Exception as problem:
    raised = type(problem).__name__
print("after only_second:", raised)
assert length == 6 and raised == "Exception"
PY
