"""What models write into a gap: from their last hidden state (notebook 00), and from each in turn (notebook 06)."""

from collections.abc import Mapping, Sequence

import torch
from transformers import BertForMaskedLM, PreTrainedTokenizerBase

from ...errors import CourseError
from ...language import N_, _
from .reading import Reading

Guesses = list[list[tuple[str, float]]]  # per [MASK], or per hidden state: (token, probability), best first
# What the questions of data_samples/cloze.jsonl ask.
KINDS = (N_("half a word"), N_("a pair"), N_("a measure word"), N_("an opposite"))
KINDS += (N_("grammar"), N_("knowledge of the world"))


@torch.no_grad()
def mask_guesses(model: BertForMaskedLM, tokenizer: PreTrainedTokenizerBase, text: str, top: int = 5) -> Guesses:
    """What a model would write in every ``[MASK]`` of a text (notebook 00).

    Every place is filled on its own: the candidates of the second ``[MASK]`` do not know which one
    is chosen for the first.

    Args:
        text: at least one ``[MASK]``; what lies beyond the model's longest input is cut off, and has none.
        top: how many candidates.

    Returns:
        For every ``[MASK]``, in reading order, ``top`` pairs (token, probability), best first.

    Raises:
        CourseError: no ``[MASK]`` in the text, or one beyond the model's longest input.
    """
    longest = model.config.max_position_embeddings
    encoded = tokenizer(text, return_tensors="pt", truncation=True, max_length=longest).to(model.device)
    asked = encoded["input_ids"][0] == tokenizer.mask_token_id  # [tokens]
    if int(asked.sum()) < max(1, text.count(tokenizer.mask_token)):
        raise _no_gap(text, tokenizer)
    shares = model(**encoded).logits[0, asked].float().softmax(-1)  # [masks, vocabulary]
    best = shares.topk(top)
    return [
        list(zip(tokenizer.convert_ids_to_tokens(ids), probabilities, strict=True))
        for ids, probabilities in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def layer_guesses(
    model: BertForMaskedLM, reading: Reading, tokenizer: PreTrainedTokenizerBase, top: int = 4
) -> Guesses:
    """What the MLM head would write into the first ``[MASK]`` if it sat on each hidden state in turn.

    The head was trained on the last state alone ("logit lens"): what it makes of the others shows how far
    along they are, not what the model believes there.

    Returns:
        For each state, from the embeddings' output on, ``top`` pairs (token, probability), best first.

    Raises:
        CourseError: no ``[MASK]`` in the sentence, or none in what the model reads of it.
    """
    if tokenizer.mask_token_id not in reading.sentence.ids:
        raise _no_gap(reading.sentence.text, tokenizer)
    place = reading.sentence.ids.index(tokenizer.mask_token_id)
    with torch.no_grad():
        states = reading.hidden[:, place].to(model.device)  # [layers + 1, width]
        best = model.cls(states).float().softmax(-1).topk(top)
    return [
        list(zip(tokenizer.convert_ids_to_tokens(ids), shares, strict=True))
        for ids, shares in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


def _no_gap(text: str, tokenizer: PreTrainedTokenizerBase) -> CourseError:
    named = {"mask": tokenizer.mask_token, "text": text}
    if tokenizer.mask_token in text:
        return CourseError("{text!r}: a {mask} lies beyond what the model reads", fix="shorten the text", **named)
    return CourseError("no {mask} in {text!r}", fix="write {mask} for each character to guess", **named)


def right_guesses(answers: Sequence[str], guesses: Sequence[Guesses]) -> tuple[int, int]:
    """How often the first guess is right, and how often any of them (notebook 00).

    Args:
        answers: the right token of each text with one ``[MASK]``.
        guesses: what :func:`mask_guesses` returns for each of the texts.
    """
    said = [[token for token, _ in candidates] for (candidates,) in guesses]
    first = sum(answer == tokens[0] for answer, tokens in zip(answers, said, strict=True))
    return first, sum(answer in tokens for answer, tokens in zip(answers, said, strict=True))


def question_kind(question: Mapping[str, str]) -> str:
    """What a cloze question asks, in the language that is set (notebook 00)."""
    return _(question["kind"])
