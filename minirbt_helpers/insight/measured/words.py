"""Which tokens make up a word, and what masking did to them (notebook 01)."""

from collections.abc import Iterator, Sequence

from ...errors import CourseError
from ...text.masking import IGNORED


def masking_states(ids: Sequence[int], masked: Sequence[int], labels: Sequence[int], mask_id: int) -> list[str]:
    """What masking did to each token of a block (notebook 01).

    Args:
        ids: the tokens before masking, [length].
        masked: the tokens a model sees, [length].
        labels: -100 where nothing is to be predicted, [length].
        mask_id: the id of [MASK].

    Returns:
        One of ``"kept"``, ``"mask"``, ``"random"``, ``"unchanged"`` per token.

    Raises:
        CourseError: the three differ in length.
    """
    if not len(ids) == len(masked) == len(labels):
        raise CourseError(
            "{tokens} tokens, {masked} masked ones and {labels} labels for one block",
            tokens=len(ids),
            masked=len(masked),
            labels=len(labels),
        )
    states = []
    for before, after, label in zip(map(int, ids), map(int, masked), map(int, labels), strict=True):
        if label == IGNORED:
            states.append("kept")
        else:
            states.append("mask" if after == mask_id else "unchanged" if after == before else "random")
    return states


def token_words(continues: Sequence[bool]) -> list[list[int]]:
    """The places of each word's tokens in a block; its first token, [CLS], is a word of its own (notebook 01)."""
    words: list[list[int]] = []
    for place, goes_on in enumerate(continues):
        if goes_on and place > 1:
            words[-1].append(place)
        else:
            words.append([place])
    return words


def spans(words: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Where each of some words that follow each other begins and ends, in characters."""
    done = 0
    for word in words:
        yield done, done + len(word)
        done += len(word)
