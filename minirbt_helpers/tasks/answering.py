"""Answering questions by a span of the passage: windows, spans, scores (notebook 05).

Source: the SQuAD set-up of Devlin et al., "BERT" (2019): two scores per token, where an answer begins
and where it ends; long passages go in overlapping windows, and a window without the answer points at [CLS].
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from ..workspace import quiet_datasets
from .metrics import exact_match, f1_score, mean_score

Logits = np.ndarray | Sequence[np.ndarray | Tensor]
LONGEST = 64  # most tokens of an answer, unless a longer one was taught
CANDIDATES = 20  # spans kept of every window
SHORTEST_WINDOW = 16  # tokens: a question, its passage and their overlap need some room


@dataclass(frozen=True)
class Answer:
    """A span of a passage.

    Attributes:
        text: the span.
        start: its first character's place in the passage.
        score: sum of the two logits; comparable within one question only.
        margin: ``score`` less the score of "no answer" ([CLS] twice, in the window most sure of an
            answer); below 0 the model would rather not answer.
    """

    text: str
    start: int
    score: float
    margin: float


def windows(rows: Dataset, tokenizer: PreTrainedTokenizerBase, length: int) -> Dataset:
    """Cut every question with its passage into windows of at most ``length`` tokens.

    Neighbouring windows overlap by a quarter of the length. A question of more tokens than half of it is cut.

    Args:
        rows: questions, as :func:`~minirbt_helpers.tasks.formats.read_questions` yields them.
        tokenizer: a fast BERT tokenizer.
        length: most tokens of a window.

    Returns:
        A row per window: ``input_ids``, ``token_type_ids``, ``attention_mask``; ``row``, the question's
        number; ``offsets``, for every token its characters in the passage, or (-1, -1) where it is none
        of the passage's; ``start_positions`` and ``end_positions``, first and last token of the first
        answer that has a place, or 0 ([CLS]) where it is not wholly in this window.
    """

    def cut(batch: dict, numbers: list[int]) -> dict:
        encoded = tokenizer(
            _cut_questions(batch["question"], tokenizer, length // 2),
            batch["context"],
            truncation="only_second",
            max_length=length,
            stride=length // 4,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        origin = encoded.pop("overflow_to_sample_mapping")
        offsets = [
            [place if part == 1 else (-1, -1) for place, part in zip(places, encoded.sequence_ids(window), strict=True)]
            for window, places in enumerate(encoded.pop("offset_mapping"))
        ]
        spans = [token_span(places, batch["answers"][row]) for places, row in zip(offsets, origin, strict=True)]
        positions = {
            "start_positions": [first for first, _ in spans],
            "end_positions": [last for _, last in spans],
        }
        return {**encoded, "row": [numbers[row] for row in origin], "offsets": offsets, **positions}

    with quiet_datasets():
        return rows.map(cut, batched=True, with_indices=True, remove_columns=rows.column_names)


def _cut_questions(questions: list[str], tokenizer: PreTrainedTokenizerBase, limit: int) -> list[str]:
    """Questions without the characters of their tokens beyond a limit."""
    settings = {"add_special_tokens": False, "return_offsets_mapping": True}
    places = tokenizer(questions, truncation=True, max_length=limit + 1, **settings)["offset_mapping"]
    return [
        question[: tokens[limit][0]] if len(tokens) > limit else question
        for question, tokens in zip(questions, places, strict=True)
    ]


def token_span(offsets: Sequence[tuple[int, int]], answers: dict[str, list]) -> tuple[int, int]:
    """First and last token of an answer in a window; (0, 0) where it has no place there.

    Args:
        offsets: of every token, as :func:`windows` gives them.
        answers: ``text`` and ``answer_start``, two lists; blanks at an answer's ends have no token, and do not count.
    """
    placed = (
        (start + len(text) - len(text.lstrip()), start + len(text.rstrip()))
        for text, start in zip(answers["text"], answers["answer_start"], strict=True)
        if start >= 0 and text.strip()
    )
    begin, end = next(placed, (0, 0))
    if begin == end:
        return 0, 0
    inside = [place for place, (first, last) in enumerate(offsets) if first >= 0 and first < end and last > begin]
    whole = inside and offsets[inside[0]][0] <= begin and offsets[inside[-1]][1] >= end
    return (inside[0], inside[-1]) if whole else (0, 0)


def best_answers(
    start_logits: Logits,
    end_logits: Logits,
    cut: Dataset,
    passages: Sequence[str],
    top: int = 1,
    longest: int = LONGEST,
) -> list[list[Answer]]:
    """The best spans of every question, over all its windows.

    Args:
        start_logits, end_logits: [windows, tokens], padded on the right with anything; or for every window an array
            or tensor [tokens], of whatever length.
        cut: the windows, as :func:`windows` makes them.
        passages: of every question.
        top: how many spans.
        longest: most tokens of one.

    Returns:
        For every question at most ``top`` answers, best first; none if its passage has no tokens.
    """
    spans: list[dict[tuple[int, int], float]] = [{} for _ in passages]  # of every question: place to score
    nothing = [float("inf")] * len(passages)
    for row, offsets, starts, ends in zip(cut["row"], cut["offsets"], start_logits, end_logits, strict=True):
        nothing[row] = min(nothing[row], float(starts[0] + ends[0]))
        for place, score in _spans(torch.as_tensor(starts), torch.as_tensor(ends), offsets, longest):
            spans[row][place] = max(score, spans[row].get(place, score))
    return [
        [
            Answer(passage[begin:end], begin, score, score - null)
            for (begin, end), score in sorted(found.items(), key=lambda item: -item[1])[:top]
        ]
        for passage, found, null in zip(passages, spans, nothing, strict=True)
    ]


def longest_answer(cut: Dataset) -> int:
    """How many tokens the longest answer has that is taught in some windows, but at least :data:`LONGEST`."""
    sizes = (last - first + 1 for first, last in zip(cut["start_positions"], cut["end_positions"], strict=True))
    return max(LONGEST, max(sizes, default=0))


def _spans(
    starts: Tensor, ends: Tensor, offsets: Sequence[tuple[int, int]], longest: int
) -> Iterator[tuple[tuple[int, int], float]]:
    """The best spans of one window: place in the passage (first character, end) and score."""
    inside = [token for token, (first, _) in enumerate(offsets) if first >= 0]
    if not inside:
        return
    part = slice(inside[0], inside[-1] + 1)
    scores = starts[part, None] + ends[None, part]  # [first token, last token]
    allowed = torch.ones_like(scores, dtype=torch.bool).triu().tril(longest - 1)
    best = scores.masked_fill(~allowed, -torch.inf).flatten().topk(min(CANDIDATES, int(allowed.sum())))
    for place, score in zip(best.indices.tolist(), best.values.tolist(), strict=True):
        first, last = divmod(place, len(scores))
        yield (offsets[inside[first]][0], offsets[inside[last]][1]), score


def span_scores(answers: Iterable[str], rows: Dataset) -> dict[str, float]:
    """EM and F1 of one answer per question, each from 0 to 1: the means over all questions that have an answer."""
    return {name: mean_score(scores) for name, scores in span_rows(answers, rows).items()}


def span_rows(answers: Iterable[str], rows: Dataset) -> dict[str, list[float]]:
    """EM and F1 of one answer per question, question by question; nan where the question has no answer."""
    pairs = [(answer, truth["text"]) for answer, truth in zip(answers, rows["answers"], strict=True)]
    return {
        "em": [exact_match(answer, truths) if truths else math.nan for answer, truths in pairs],
        "f1": [f1_score(answer, truths) if truths else math.nan for answer, truths in pairs],
    }
