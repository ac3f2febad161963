#!/usr/bin/env bash
# Packages: tokenizers==0.23.3
# Guess: WordPiece training draws nothing at random: the same lines give the same vocabulary, number for number.
# What happens: the pieces that begin with ## get other numbers in every run, within one process, too; where two pairs
#   are equally frequent, the number decides which is merged, so the entries themselves may differ. A model goes
#   with the very file its tokenizer was saved to, not with one trained again on the same text.
# What to do: keep the file; number the entries by a rule of your own (data_samples/make_texts.py sorts them).
# Expected output (the last two numbers differ from run to run, and stay above 1):
#   characters: the same in 50 of 50 runs
#   numberings: 50; sets of entries: 2
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check tokenizers==0.23.3
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 venv/bin/python -E - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.trainers import WordPieceTrainer

LINES = ["a teacher and a student read the same sentence", "the student asks, the teacher answers", "both learn"]


def trained() -> dict[str, int]:
    """The vocabulary of one training."""
    tokenizer = Tokenizer(WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    trainer = WordPieceTrainer(vocab_size=60, special_tokens=["[UNK]"], show_progress=False)
    tokenizer.train_from_iterator(iter(LINES), trainer)
    return tokenizer.get_vocab()


runs = [trained() for _ in range(50)]
alphabets = {tuple(sorted((entry, n) for entry, n in run.items() if len(entry) == 1)) for run in runs}
numberings, entries = {tuple(sorted(run.items())) for run in runs}, {tuple(sorted(run)) for run in runs}
print("characters: the same in", "50 of 50 runs" if len(alphabets) == 1 else "some runs")
print(f"numberings: {len(numberings)}; sets of entries: {len(entries)}")
assert len(alphabets) == 1 and len(numberings) > 1 and len(entries) > 1
PY
