"""Is an answer the right one, and if not, how far off is it? The right one is never shown."""

from collections.abc import Iterable, Mapping, Set
from itertools import islice
from numbers import Number

import numpy as np
import torch

MOST = 2_000  # entries that are read of an answer
SHOWN = 140  # characters of a value in a message
DIGITS = 4  # of a number in a message
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")


def plain(value: object) -> object:
    """A value as numbers, texts, arrays, lists, tuples, sets and dicts; None where there is none.

    Tensors become arrays, whatever else can be gone through becomes a list.

    Raises:
        TypeError: something else.
    """
    if value is None or value is Ellipsis:
        return None
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.dtype in (torch.bfloat16, torch.float16) else value).numpy()
    if isinstance(value, np.ndarray | np.generic):
        return value if value.ndim and value.dtype.kind in "biuf" else plain(value.tolist())
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(one) for key, one in islice(value.items(), MOST)}
    if isinstance(value, Set) and not isinstance(value, type({}.keys())):
        return {_hashable(plain(one)) for one in islice(value, MOST)}
    if isinstance(value, tuple):
        return tuple(plain(one) for one in value[:MOST])
    if isinstance(value, Iterable):
        return [plain(one) for one in islice(value, MOST)]
    raise TypeError(f"{type(value).__name__} is no number, text, list or tensor")


def difference(right: object, answer: object, tolerance: float) -> str:
    """How an answer differs from the right one, both plain; empty where it does not."""
    if answer is None:
        return "" if right is None else "nothing is returned"
    if isinstance(right, bool):
        return _of_truths(right, answer)
    if isinstance(right, Number):
        return _of_numbers(float(right), answer, tolerance)
    if isinstance(right, str):
        return "" if answer == right else "not the right text" if isinstance(answer, str) else _no("a text")
    if isinstance(right, np.ndarray):
        return _of_arrays(right, answer, tolerance)
    if isinstance(right, set):
        return _of_sets(right, answer)
    return (_of_dicts if isinstance(right, dict) else _of_lists)(right, answer, tolerance)


def finite(value: object) -> bool:
    """Whether a plain value holds no number that is nan or infinite."""
    if isinstance(value, dict | list | tuple | set):
        return all(map(finite, value.values() if isinstance(value, dict) else value))
    return bool(np.isfinite(value).all()) if isinstance(value, float | np.ndarray) else True


def show(value: object) -> str:
    """A value on one line: small ones in full, large arrays by their shape, long lists cut off."""
    if isinstance(value, torch.Tensor | np.ndarray):
        shape = f"[{', '.join(map(str, value.shape))}]"
        value = plain(value)
        if not isinstance(value, np.ndarray):
            return show(value)
        text = " ".join(np.array2string(value, precision=DIGITS, suppress_small=True, separator=", ").split())
        text = text.replace("[ ", "[").replace(" ]", "]").replace(" ,", ",")
        return text if value.size <= 12 and len(text) <= SHOWN else f"numbers of shape {shape}"
    if isinstance(value, float):
        return f"{value + 0.0:.{DIGITS}g}"  # no minus before a 0
    if isinstance(value, list | tuple):
        inner = ", ".join(map(show, value))
        text = f"({inner})" if isinstance(value, tuple) else f"[{inner}]"
    elif isinstance(value, Mapping):
        text = "{" + ", ".join(f"{key!r}: {show(one)}" for key, one in value.items()) + "}"
    elif isinstance(value, set) and value:
        text = "{" + ", ".join(map(show, sorted(value, key=str))) + "}"
    else:
        text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]} …"


def _no(wanted: str) -> str:
    return f"{wanted} is asked for"


def _hashable(value: object) -> object:
    """A plain value that can stand in a set: a list becomes a tuple, what else cannot becomes its text."""
    if isinstance(value, list | tuple):
        return tuple(map(_hashable, value))
    return repr(value) if isinstance(value, set | dict | np.ndarray) else value


def _of_truths(right: bool, answer: object) -> str:
    if not isinstance(answer, bool):
        return _no("True or False")
    return "" if answer == right else f"{answer} is wrong"


def _of_numbers(right: float, answer: object, tolerance: float) -> str:
    if isinstance(answer, np.ndarray | list | tuple) and np.size(answer) == 1:
        return "one number is asked for, without brackets"
    if not isinstance(answer, Number):
        return _no("one number")
    if not np.isfinite(answer):
        return "" if answer == right else f"{answer} is no number to work with"
    off = answer - right
    if abs(off) <= max(tolerance * abs(right), 1e-9):
        return ""
    if right and answer and right * answer < 0:
        return "the sign is wrong"
    side = "too high" if off > 0 else "too low"
    if not right or abs(answer) < 1e-9 * abs(right):
        return side
    ratio = max(answer / right, right / answer)
    if 0 < right <= 1 and abs(answer - 100 * right) <= 1e-3 * answer:
        return "too high, by a factor of 100: is it in per cent?"
    return f"{side}, by a factor of {ratio:.3g}" if ratio >= 1.5 else f"{side}, by {100 * abs(off / right):.2g}%"


def _of_arrays(right: np.ndarray, answer: object, tolerance: float) -> str:
    try:
        answer = np.asarray(answer, float)
    except (TypeError, ValueError):
        return _no("a table of numbers")
    if answer.shape != right.shape:
        return f"the shape is {list(answer.shape)}, and {list(right.shape)} is asked for"
    if not np.isfinite(answer[np.isfinite(right)]).all():
        return "some of the numbers are nan or infinite"
    if not right.size:
        return ""
    right = right.astype(float)
    whole = np.nanmax(np.abs(np.where(np.isfinite(right), right, 0)), initial=0)
    off = np.where(right == answer, 0, np.abs(answer - right))
    wrong = ~(off <= max(tolerance * whole, 1e-9))
    if not wrong.any():
        return ""
    return _scaled(right, answer) or f"{int(wrong.sum())} of {right.size} numbers differ"


def _scaled(right: np.ndarray, answer: np.ndarray) -> str:
    """Whether all numbers are wrong by the same factor."""
    square = float((right * right).sum())
    factor = float((answer * right).sum()) / square if np.isfinite(square) and square else 0.0
    if right.size < 2 or not factor or np.abs(answer - factor * right).max() > 1e-3 * abs(factor) * np.abs(right).max():
        return ""
    if abs(factor + 1) < 1e-3:
        return "every number has the wrong sign"
    size = f"{factor:.3g} times as large as it should be"
    return f"every number is {size if factor > 0 else size + ': mind the sign'}"


def _of_sets(right: set, answer: object) -> str:
    if not isinstance(answer, set | list | tuple | np.ndarray):
        return _no("a set")
    found = set(map(_hashable, answer.tolist() if isinstance(answer, np.ndarray) else answer))
    more, fewer = found - right, right - found
    parts = [f"{len(more)} too many ({show(sorted(more, key=str))})"] if more else []
    return " and ".join(parts + [f"{len(fewer)} missing"] * bool(fewer))


def _of_dicts(right: dict, answer: object, tolerance: float) -> str:
    if not isinstance(answer, dict):
        return _no("a dict")
    if names := _of_sets(set(right), set(answer)):
        return f"of the keys {names}"
    for key, value in right.items():
        if off := difference(value, answer[key], tolerance):
            return f"at {key!r}: {off}"
    return ""


def _of_lists(right: list | tuple, answer: object, tolerance: float) -> str:
    if isinstance(answer, set | dict):
        return "the order counts: a list is asked for"
    if not isinstance(answer, list | tuple | np.ndarray):
        return _no(f"a {_noun(right)}")
    answer = plain(answer.tolist()) if isinstance(answer, np.ndarray) else answer
    counted = _counted(right, answer)
    for place, (one, other) in enumerate(zip(right, answer, strict=False)):
        if off := difference(one, other, tolerance):
            return _located(place, one, other, off) + f"; besides, {counted}" * bool(counted)
    return counted


def _located(place: int, right: object, answer: object, off: str) -> str:
    """What is wrong with the entry at a place of a list, places counted from 0."""
    if isinstance(right, list | tuple | np.ndarray) and isinstance(answer, list | tuple | np.ndarray):
        which = f"{ORDINALS[place]} {_noun(right)}" if place < len(ORDINALS) else f"{_noun(right)} {place + 1}"
        return f"{which}{',' if off.startswith('place') else ':'} {off}"
    exact = any(isinstance(right, kind) and isinstance(answer, kind) for kind in (int, str))
    return f"place {place}: {show(answer)} is not right" if exact else f"place {place}, {show(answer)}: {off}"


def _noun(value: object) -> str:
    """What a reader calls an entry."""
    if isinstance(value, np.ndarray):
        return "tensor"
    if isinstance(value, tuple):
        return "pair" if len(value) == 2 else "tuple"
    return "list" if isinstance(value, list) else "entry"


def _counted(right: list | tuple, answer: list | tuple) -> str:
    """How many entries there are too many or too few; empty where there are none."""
    more, noun = len(answer) - len(right), _noun(next(iter(right), None))
    nouns = noun if abs(more) == 1 else {"entry": "entries"}.get(noun, f"{noun}s")
    return f"{abs(more)} {nouns} too {'many' if more > 0 else 'few'}" if more else ""
