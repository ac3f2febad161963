"""Marks that BERT's Chinese vocabulary lacks, and how much of a text becomes [UNK] for it (notebook 02)."""

from typing import TYPE_CHECKING

from .language import _

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

# In modern prose nearly all of [UNK]; beside each, what the published vocabulary has in its place, one for one.
STAND_INS = {"“": "「", "”": "」", "‘": "'", "’": "'", "—": "-", "…": "⋯"}
SETTING = "known_marks"  # in tokenizer_config.json: transformers builds BERT's normalizer anew, whatever was saved


def replaceable_marks(tokenizer: "PreTrainedTokenizerBase") -> dict[str, str]:
    """The marks that a vocabulary lacks and could write as another that it has."""
    known = tokenizer.get_vocab()
    return {mark: other for mark, other in STAND_INS.items() if mark not in known and other in known}


def write_known_marks(tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedTokenizerBase":
    """Make a tokenizer read the marks that its vocabulary lacks as those that it has, in place.

    A mark stays one character at its place: offsets are kept, and an answer is cut from the passage as it is written.
    The setting is saved with the tokenizer; :func:`restore_known_marks` brings it back.
    """
    from tokenizers.normalizers import Replace, Sequence

    tokenizer.init_kwargs[SETTING] = True
    if found := replaceable_marks(tokenizer):
        library = tokenizer.backend_tokenizer
        library.normalizer = Sequence([*(Replace(*pair) for pair in found.items()), library.normalizer])
    return tokenizer


def restore_known_marks(tokenizer: "PreTrainedTokenizerBase") -> "PreTrainedTokenizerBase":
    """What a loaded tokenizer was saved with: :func:`write_known_marks` if that had been called."""
    return write_known_marks(tokenizer) if tokenizer.init_kwargs.get(SETTING) else tokenizer


def tell_unknown(rows: "Dataset", tokenizer: "PreTrainedTokenizerBase") -> str:
    """How many tokens of some rows (``input_ids``) are [UNK], and what may be done; "" where none is."""
    import pyarrow.compute as pc

    ids = [pc.list_flatten(piece) for piece in rows.with_format(None).data.column("input_ids").chunks]
    unknown = sum(pc.sum(pc.equal(piece, tokenizer.unk_token_id)).as_py() or 0 for piece in ids)
    if not unknown:
        return ""
    count = sum(map(len, ids))
    told = _("[UNK]: {unknown:,} of {count:,} tokens ({share:.2%})")
    told = told.format(unknown=unknown, count=count, share=unknown / count)
    marks = " ".join(replaceable_marks(tokenizer)) if not tokenizer.init_kwargs.get(SETTING) else ""
    lacking = _("{told}; the vocabulary lacks {marks}: --known-marks writes them as it has them")
    return lacking.format(told=told, marks=marks) if marks else told
