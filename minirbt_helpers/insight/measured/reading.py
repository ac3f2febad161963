"""Runs a model on a sentence and keeps its attention and hidden states, token by token (notebook 06)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from ...errors import CourseError
from ...hub import vocabulary_size
from ...language import _
from ...models import load_model, tokenizer_beside
from ...text import Segmenter, word_spans

LONGEST = 512  # tokens, [CLS] and [SEP] among them
SENTENCE_ENDS = "。！？；!?;"


@dataclass(frozen=True)
class Sentence:
    """A text as a model reads it.

    Attributes:
        text: as given.
        ids: token ids, [CLS] first and [SEP] last.
        labels: what to write beside each token: the text's own characters, also where the vocabulary lacks them.
        words: the positions of each word's tokens, in order; [CLS] and [SEP] are words of their own.
        notes: what the reader should be told: cut, unknown characters.
    """

    text: str
    ids: tuple[int, ...]
    labels: tuple[str, ...]
    words: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        text: str,
        tokenizer: PreTrainedTokenizerBase,
        segmenter: Segmenter | None = None,
        longest: int = LONGEST,
    ) -> "Sentence":
        """Cut a text into tokens and words.

        Args:
            text: one sentence; it may hold ``[MASK]``, each a word of its own.
            tokenizer: a fast BERT tokenizer.
            segmenter: finds the words; None: each token is a word.
            longest: tokens that fit; what lies beyond is cut, and a note says so.

        Raises:
            CourseError: nothing but whitespace.
        """
        encoded = tokenizer(text, return_offsets_mapping=True, verbose=False)
        ids, spans = encoded["input_ids"], encoded["offset_mapping"]
        if len(ids) == 2:
            raise CourseError("an empty sentence ({text!r})", fix="write at least one character", text=text)
        notes = []
        if len(ids) > longest:
            cut = _("cut: the sentence has {count} tokens, the first {read} and [SEP] are read")
            notes.append(cut.format(count=len(ids), read=longest - 1))
            ids, spans = [*ids[: longest - 1], ids[-1]], [*spans[: longest - 1], spans[-1]]
        inner = [text[start:end] for start, end in spans[1:-1]]
        unknown = [label for label, number in zip(inner, ids[1:-1], strict=True) if number == tokenizer.unk_token_id]
        if unknown:
            said = _("not in the vocabulary, read as {unknown}: {characters}")
            notes.append(said.format(unknown=tokenizer.unk_token, characters=" ".join(dict.fromkeys(unknown))))
        labels = (tokenizer.cls_token, *inner, tokenizer.sep_token)
        words = _words(text, spans[1:-1], _segment(text, tokenizer.mask_token, segmenter))
        return cls(text, tuple(ids), labels, ((0,), *words, (len(ids) - 1,)), tuple(notes))


@dataclass(frozen=True)
class Reading:
    """What one model did with one sentence.

    Attributes:
        name: of the model; one that begins with a key of the palette gives the colour.
        sentence: what it read.
        attention: shares, [layers, heads, queries, keys]; over the keys they add up to 1.
        hidden: the embeddings' output, then each layer's, [layers + 1, tokens, width].
        notes: what the reader should be told about the model.
    """

    name: str
    sentence: Sentence
    attention: Tensor
    hidden: Tensor
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: BertForMaskedLM | str | Path, sentence: Sentence, name: str = "model") -> "Reading":
        """What a model does with one sentence; see :func:`readings`."""
        return readings(model, [sentence], name)[0]


def sentences(
    lines: Sequence[str], tokenizer: PreTrainedTokenizerBase, segmenter: Segmenter, fewest: int = 8, most: int = 64
) -> list[Sentence]:
    """The sentences of some paragraphs, each cut at its end marks; those shorter or longer (in tokens) are left out."""
    parts = [part for line in lines for part in re.findall(rf"[^{SENTENCE_ENDS}]+[{SENTENCE_ENDS}]+", line)]
    parsed = (Sentence.of(part, tokenizer, segmenter) for part in parts)
    return [sentence for sentence in parsed if fewest <= len(sentence.ids) <= most]


@torch.no_grad()
def readings(
    model: BertForMaskedLM | str | Path, sentences: Sequence[Sentence], name: str = "model", batch: int = 32
) -> list[Reading]:
    """Let a model read sentences, padded to batches; the padding is gone from what comes back.

    Args:
        model: the model, or its folder or hub id. One that computes attention in a way that hands none out
            (SDPA) is switched to eager attention for the reading, and a note says so.
        sentences: from :meth:`Sentence.of`, with the model's own tokenizer.
        name: of the model.
        batch: sentences at once.

    Raises:
        CourseError: token ids that the model does not have, or more tokens than it has positions.
    """
    model = load_model(model, attn_implementation="eager") if isinstance(model, str | Path) else model
    _check_fit(model, sentences, name)
    found: list[Reading] = []
    with eager_attention(model) as switched:
        said = _("read with eager attention, as {other} hands no attention out").format(other=switched)
        notes = (said,) if switched else ()
        for start in range(0, len(sentences), batch):
            chunk = sentences[start : start + batch]
            output = model.bert(**_padded(chunk, model), output_attentions=True, output_hidden_states=True)
            attention = torch.stack(output.attentions, 1).cpu()  # [batch, layers, heads, tokens, tokens]
            hidden = torch.stack(output.hidden_states, 1).cpu()  # [batch, layers + 1, tokens, width]
            for row, sentence in enumerate(chunk):
                size = len(sentence.ids)
                shares, states = attention[row, :, :, :size, :size], hidden[row, :, :size]
                found.append(Reading(name, sentence, shares.clone(), states.clone(), notes))
    return found


@contextmanager
def eager_attention(model: BertForMaskedLM) -> Iterator[str]:
    """A model in eval mode whose attention can be looked at; afterwards it is as it was.

    Yields:
        The implementation it was switched from; empty where nothing had to be switched.
    """
    before, training = model.config._attn_implementation, model.training
    switched = "" if before == "eager" else before
    model.eval()
    if switched:
        model.set_attn_implementation("eager")
    try:
        yield switched
    finally:
        model.train(training)
        if switched:
            model.set_attn_implementation(before)


def check_tokenizers(models: Mapping[str, BertForMaskedLM | str | Path], tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse models that do not read with this tokenizer: their tokens could not be laid side by side.

    Raises:
        CourseError: a model with another number of entries, or one beside which another tokenizer lies.
    """
    for name, model in models.items():
        folder = model if isinstance(model, str | Path) else model.config.name_or_path
        own = tokenizer_beside(folder)
        wanted = vocabulary_size(tokenizer)
        entries = vocabulary_size(own) if own else wanted if isinstance(model, str | Path) else model.config.vocab_size
        if entries != wanted or (own and own.get_vocab() != tokenizer.get_vocab()):
            raise CourseError(
                "{name} reads with another tokenizer ({entries} entries, this one has {wanted})",
                where=folder or "",
                fix="only models of one tokenizer can be laid side by side, token by token",
                name=name,
                entries=entries,
                wanted=wanted,
            )


def _check_fit(model: BertForMaskedLM, sentences: Sequence[Sentence], name: str) -> None:
    for sentence in sentences:
        if max(sentence.ids) >= model.config.vocab_size:
            raise CourseError(
                "{name} lacks tokens of {text!r}",
                fix="parse it with the tokenizer that lies beside the model",
                name=name,
                text=sentence.text[:40],
            )
        if len(sentence.ids) > model.config.max_position_embeddings:
            raise CourseError(
                "{name} has {positions} positions, the sentence {tokens} tokens",
                fix="Sentence.of(..., longest=…) cuts it",
                name=name,
                positions=model.config.max_position_embeddings,
                tokens=len(sentence.ids),
            )


def _padded(sentences: Sequence[Sentence], model: BertForMaskedLM) -> dict[str, Tensor]:
    longest = max(len(sentence.ids) for sentence in sentences)
    ids = torch.zeros(len(sentences), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, sentence in enumerate(sentences):
        ids[row, : len(sentence.ids)] = torch.tensor(sentence.ids)
        mask[row, : len(sentence.ids)] = 1
    return {"input_ids": ids.to(model.device), "attention_mask": mask.to(model.device)}


def _segment(text: str, mask: str, segmenter: Segmenter | None) -> list[str]:
    if segmenter is None:
        return []
    parts = re.split(f"({re.escape(mask)})", text)
    cut = segmenter(parts[::2])  # between the masks
    return [word for number, words in enumerate(cut) for word in (words if number == 0 else [mask, *words])]


def _words(text: str, spans: Sequence[tuple[int, int]], words: Sequence[str]) -> list[tuple[int, ...]]:
    """The positions (with [CLS] as 0) of each word's tokens; a token belongs to the word it starts in."""
    owner = list(range(len(text))) if not words else [-1] * len(text)
    for number, (start, end) in enumerate(word_spans(text, words) if words else ()):
        owner[start:end] = [number] * (end - start)
    found: dict[int, list[int]] = {}
    for position, (start, _end) in enumerate(spans, 1):
        found.setdefault(owner[start], []).append(position)
    return [tuple(places) for places in found.values()]
