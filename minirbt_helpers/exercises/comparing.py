"""Is an answer the right one, and if not, how far off is it? The right one is never shown."""

from collections.abc import Iterable, Mapping, Set
from itertools import islice
from numbers import Number

import numpy as np
import torch

from ..language import N_, _

MOST = 2_000  # entries that are read of an answer
SHOWN = 140  # characters of a value in a message
DIGITS = 4  # of a number in a message
ORDINALS = (
    *(N_("first"), N_("second"), N_("third"), N_("fourth"), N_("fifth")),
    *(N_("sixth"), N_("seventh"), N_("eighth"), N_("ninth"), N_("tenth")),
)
PLURALS = {"tensor": N_("tensors"), "list": N_("lists"), "entry": N_("entries")}
PLURALS |= {"pair": N_("pairs"), "tuple": N_("tuples")}


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
        return "" if right is None else _("nothing is returned")
    if isinstance(right, bool):
        return _of_truths(right, answer)
    if isinstance(right, Number):
        return _of_numbers(float(right), answer, tolerance)
    if isinstance(right, str):
        return "" if answer == right else _("not the right text") if isinstance(answer, str) else _no(_("a text"))
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
    return _("{wanted} is asked for").format(wanted=wanted)


def _hashable(value: object) -> object:
    """A plain value that can stand in a set: a list becomes a tuple, what else cannot becomes its text."""
    if isinstance(value, list | tuple):
        return tuple(map(_hashable, value))
    return repr(value) if isinstance(value, set | dict | np.ndarray) else value


def _of_truths(right: bool, answer: object) -> str:
    if not isinstance(answer, bool):
        return _no(_("True or False"))
    return "" if answer == right else _("{answer} is wrong").format(answer=answer)


def _of_numbers(right: float, answer: object, tolerance: float) -> str:
    if isinstance(answer, np.ndarray | list | tuple) and np.size(answer) == 1:
        return _("one number is asked for, without brackets")
    if not isinstance(answer, Number):
        return _no(_("one number"))
    if not np.isfinite(answer):
        return "" if answer == right else _("{answer} is no number to work with").format(answer=answer)
    off = answer - right
    if abs(off) <= max(tolerance * abs(right), 1e-9):
        return ""
    if right and answer and right * answer < 0:
        return _("the sign is wrong")
    side = _("too high") if off > 0 else _("too low")
    if not right or abs(answer) < 1e-9 * abs(right):
        return side
    ratio = max(answer / right, right / answer)
    if 0 < right <= 1 and abs(answer - 100 * right) <= 1e-3 * answer:
        return _("too high, by a factor of 100: is it in per cent?")
    if ratio >= 1.5:
        return _("{side}, by a factor of {ratio:.3g}").format(side=side, ratio=ratio)
    return _("{side}, by {share:.2g}%").format(side=side, share=100 * abs(off / right))


def _of_arrays(right: np.ndarray, answer: object, tolerance: float) -> str:
    try:
        answer = np.asarray(answer, float)
    except (TypeError, ValueError):
        return _no(_("a table of numbers"))
    if answer.shape != right.shape:
        said = _("the shape is {found}, and {wanted} is asked for")
        return said.format(found=list(answer.shape), wanted=list(right.shape))
    if not np.isfinite(answer[np.isfinite(right)]).all():
        return _("some of the numbers are nan or infinite")
    if not right.size:
        return ""
    right = right.astype(float)
    whole = np.nanmax(np.abs(np.where(np.isfinite(right), right, 0)), initial=0)
    off = np.where(right == answer, 0, np.abs(answer - right))
    wrong = ~(off <= max(tolerance * whole, 1e-9))
    if not wrong.any():
        return ""
    count = _("{count} of {whole} numbers differ").format(count=int(wrong.sum()), whole=right.size)
    return _scaled(right, answer) or count


def _scaled(right: np.ndarray, answer: np.ndarray) -> str:
    """Whether all numbers are wrong by the same factor."""
    square = float((right * right).sum())
    factor = float((answer * right).sum()) / square if np.isfinite(square) and square else 0.0
    if right.size < 2 or not factor or np.abs(answer - factor * right).max() > 1e-3 * abs(factor) * np.abs(right).max():
        return ""
    if abs(factor + 1) < 1e-3:
        return _("every number has the wrong sign")
    said = _("every number is {factor:.3g} times as large as it should be").format(factor=factor)
    return said if factor > 0 else said + _(": mind the sign")


def _of_sets(right: set, answer: object) -> str:
    if not isinstance(answer, set | list | tuple | np.ndarray):
        return _no(_("a set"))
    found = set(map(_hashable, answer.tolist() if isinstance(answer, np.ndarray) else answer))
    more, fewer = found - right, right - found
    parts = []
    if more:
        parts.append(_("{count} too many ({which})").format(count=len(more), which=show(sorted(more, key=str))))
    if fewer:
        parts.append(_("{count} missing").format(count=len(fewer)))
    return _(" and ").join(parts)


def _of_dicts(right: dict, answer: object, tolerance: float) -> str:
    if not isinstance(answer, dict):
        return _no(_("a dict"))
    if names := _of_sets(set(right), set(answer)):
        return _("of the keys {names}").format(names=names)
    for key, value in right.items():
        if off := difference(value, answer[key], tolerance):
            return _("at {key!r}: {off}").format(key=key, off=off)
    return ""


def _of_lists(right: list | tuple, answer: object, tolerance: float) -> str:
    if isinstance(answer, set | dict):
        return _("the order counts: a list is asked for")
    if not isinstance(answer, list | tuple | np.ndarray):
        return _no(_("a {noun}").format(noun=_(_noun(right))))
    answer = plain(answer.tolist()) if isinstance(answer, np.ndarray) else answer
    counted = _counted(right, answer)
    for place, (one, other) in enumerate(zip(right, answer, strict=False)):
        if off := difference(one, other, tolerance):
            besides = _("; besides, {counted}").format(counted=counted) if counted else ""
            return _located(place, one, other, off) + besides
    return counted


def _located(place: int, right: object, answer: object, off: str) -> str:
    """What is wrong with the entry at a place of a list, places counted from 0."""
    if isinstance(right, list | tuple | np.ndarray) and isinstance(answer, list | tuple | np.ndarray):
        if place < len(ORDINALS):
            which = _("{ordinal} {noun}").format(ordinal=_(ORDINALS[place]), noun=_(_noun(right)))
        else:
            which = _("{noun} {number}").format(noun=_(_noun(right)), number=place + 1)
        at_place = off.startswith(_("place {place}").partition("{")[0])
        return f"{which}{',' if at_place else ':'} {off}"
    exact = any(isinstance(right, kind) and isinstance(answer, kind) for kind in (int, str))
    where, found = _("place {place}").format(place=place), show(answer)
    return f"{where}: " + _("{answer} is not right").format(answer=found) if exact else f"{where}, {found}: {off}"


def _noun(value: object) -> str:
    """What a reader calls an entry."""
    if isinstance(value, np.ndarray):
        return N_("tensor")
    if isinstance(value, tuple):
        return N_("pair") if len(value) == 2 else N_("tuple")
    return N_("list") if isinstance(value, list) else N_("entry")


def _counted(right: list | tuple, answer: list | tuple) -> str:
    """How many entries there are too many or too few; empty where there are none."""
    more, noun = len(answer) - len(right), _noun(next(iter(right), None))
    nouns = noun if abs(more) == 1 else PLURALS[noun]
    said = _("{count} {nouns} too many") if more > 0 else _("{count} {nouns} too few")
    return said.format(count=abs(more), nouns=_(nouns)) if more else ""
