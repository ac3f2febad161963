#!/usr/bin/env bash
# Packages: torch==2.13.0 numpy==2.4.6
# Guess: with one seed the first ten of twenty random numbers are the ten that one gets alone: for randn as for rand.
# What happens: so it is for rand. Of randn's twenty numbers none of the first ten is among the ten: below 16 numbers
#   it draws in another way, and of 17 the first 16 differ from those of 20, too. So a layer that is made wider starts
#   from other weights throughout.
# What to do: Draw the largest table once, and cut it.
# Expected output:
#   rand:  10 of 10 the same
#   randn: 0 of 10 the same, 16 of 17 and of 20: False
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 venv/bin/python -E -W ignore - <<'PY' || { echo "not as described above: this finding is out of date" >&2; exit 1; }
import torch


def draw(kind, size):
    torch.manual_seed(0)
    return kind(size)


same = [int((draw(kind, 20)[:10] == draw(kind, 10)).sum()) for kind in (torch.rand, torch.randn)]
longer = torch.equal(draw(torch.randn, 17)[:16], draw(torch.randn, 20)[:16])
print(f"rand:  {same[0]} of 10 the same")
print(f"randn: {same[1]} of 10 the same, 16 of 17 and of 20: {longer}")
assert same == [10, 0] and not longer
PY
