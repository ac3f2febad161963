"""A vocabulary without the entries that no text can give: smaller models with the same outputs (notebook 08)."""

import json
import tempfile
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import AutoTokenizer, BertForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase

from ..errors import CourseError
from ..hub import save_tokenizer
from ..marks import restore_known_marks

PIECE = "##"  # how an entry begins that continues a word
SURROGATES = range(0xD800, 0xE000)  # halves of characters, which no text holds
PLANES = (range(0x40000), range(0xE0000, 0xE1000))  # of Unicode, with characters in them; beyond is private use alone


def prune_vocabulary(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A BERT and its tokenizer without the entries that no text can give.

    BERT's tokenizer sets every ideograph apart, so no ideograph ever continues a word; of the 21,128 entries of the
    published vocabulary a third can never come out, nearly all of them ideographs with ``##``. For every text the
    outputs are the same to the last bit; those of an MLM head are over the entries that are left.

    Args:
        model: any BERT; it is not changed.
        tokenizer: its own.

    Raises:
        CourseError: a tokenizer of another kind than BERT's.
    """
    kept = reachable_entries(tokenizer)
    small = deepcopy(model)
    small.config.name_or_path = ""  # the tokenizer in that folder is no longer its own
    rows = torch.tensor(kept, device=model.device)
    words = small.get_input_embeddings()
    pad = kept.index(tokenizer.pad_token_id)
    small.set_input_embeddings(_embedding(words.weight.detach()[rows], pad))
    small.config.vocab_size, small.config.pad_token_id = len(kept), pad
    if isinstance(small, BertForMaskedLM):
        _prune_head(small, rows)
    return small.eval(), _renumbered(tokenizer, kept)


def reachable_entries(tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids of the special tokens and of every entry that a text can give, in order.

    An entry is left out only if it cannot come out: if it has a character that never comes out, or one that
    always stands alone beside others or after ``##``.

    Raises:
        CourseError: a tokenizer of another kind than BERT's.
    """
    inside, alone = _characters(tokenizer.backend_tokenizer, set("".join(tokenizer.get_vocab())))
    special = {*tokenizer.all_special_tokens, *tokenizer.added_tokens_encoder}

    def comes_out(entry: str) -> bool:
        continues = entry.startswith(PIECE) and len(entry) > len(PIECE)
        return inside.issuperset(entry.removeprefix(PIECE) if continues else entry) or entry in alone

    entries = tokenizer.get_vocab().items()
    return sorted(number for entry, number in entries if entry in special or comes_out(entry))


def _characters(library: Tokenizer, entries: set[str]) -> tuple[set[str], set[str]]:
    """The characters that stand inside words, once normalised, and those that stand alone.

    Every character of Unicode and of the entries is put between two letters: those that join stand in longer words.
    """
    parts = json.loads(library.to_str())
    normalizer = (parts["normalizer"] or {}).get("normalizers", [parts["normalizer"]])[-1]  # after marks.STAND_INS
    kinds = [(part or {}).get("type") for part in (normalizer, parts["pre_tokenizer"], parts["model"])]
    if kinds != ["BertNormalizer", "BertPreTokenizer", "WordPiece"]:
        raise CourseError("not a BERT tokenizer: {kinds}", fix="prune the vocabulary of a BERT", kinds=kinds)
    unicode = {chr(code) for plane in PLANES for code in plane if code not in SURROGATES}
    every = library.normalizer.normalize_str(f"a{'a'.join(unicode | entries)}a")
    words = [word for word, _ in library.pre_tokenizer.pre_tokenize_str(every)]
    inside = {character for word in words if len(word) > 1 for character in word}
    return inside, {word for word in words if len(word) == 1}


def _embedding(weight: Tensor, pad: int) -> nn.Embedding:
    return nn.Embedding.from_pretrained(weight.clone(), freeze=False, padding_idx=pad)


def _prune_head(model: BertForMaskedLM, rows: Tensor) -> None:
    """Keep some rows of the decoder and its bias, tied as they were."""
    head, words = model.cls.predictions, model.get_input_embeddings()
    weight, bias, own = head.decoder.weight.detach()[rows], head.decoder.bias.detach()[rows], head.bias.detach()[rows]
    decoder = nn.Linear(weight.shape[1], len(rows), device=weight.device, dtype=weight.dtype)
    head.decoder, head.bias = decoder, nn.Parameter(own.clone())
    tied = torch.equal(weight, words.weight), torch.equal(bias, own)
    decoder.weight = words.weight if tied[0] else nn.Parameter(weight.clone())
    decoder.bias = head.bias if tied[1] else nn.Parameter(bias.clone())


def _renumbered(tokenizer: PreTrainedTokenizerBase, kept: Sequence[int]) -> PreTrainedTokenizerBase:
    """The tokenizer with the entries kept, numbered through."""
    new = {old: number for number, old in enumerate(kept)}
    with tempfile.TemporaryDirectory() as folder:
        save_tokenizer(tokenizer, folder)
        file = Path(folder) / "tokenizer.json"
        content = json.loads(file.read_text(encoding="utf-8"))
        entries = content["model"]["vocab"].items()
        content["model"]["vocab"] = {entry: new[old] for entry, old in entries if old in new}
        for token in content["added_tokens"]:
            token["id"] = new[token["id"]]
        _renumber_template(content["post_processor"], new)
        file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
        return restore_known_marks(AutoTokenizer.from_pretrained(folder))


def _renumber_template(template: dict, new: dict[int, int]) -> None:
    """The ids of [CLS] and [SEP] in either form of the library's post-processor."""
    for token in template.get("special_tokens", {}).values():  # TemplateProcessing
        token["ids"] = [new[old] for old in token["ids"]]
    for name in {"cls", "sep"} & template.keys():  # BertProcessing
        template[name][1] = new[template[name][1]]
