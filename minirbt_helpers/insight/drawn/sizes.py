"""How large models are (notebooks 03 and 07)."""

from collections.abc import Iterable

from matplotlib.figure import Figure

from ...language import _, labelled
from ...models import Architecture
from ...models.architectures import Scale
from ...names import shown_scale
from .axes import name_rows, note, panels
from .theme import PALETTE


def draw_parameters(architectures: Iterable[Architecture], scale: Scale, vocabulary: int) -> Figure:
    """Where a masked language model's parameters are: embeddings, or layers and head (notebook 03).

    Args:
        architectures: values of :data:`~minirbt_helpers.models.ARCHITECTURES`.
        scale: ``"sample"`` or ``"full"``.
        vocabulary: number of entries.
    """
    family = list(architectures)
    within = [one.count(embeddings=False, scale=scale, vocabulary=vocabulary) / 1e6 for one in family]
    totals = [one.count(scale=scale, vocabulary=vocabulary) / 1e6 for one in family]
    rest = [total - part for total, part in zip(totals, within, strict=True)]
    notes = [
        _("{total:.1f}M, embeddings {share:.0%}").format(total=total, share=part / total)
        for total, part in zip(totals, rest, strict=True)
    ]
    title = _("Parameters at {scale}").format(scale=shown_scale(scale))
    alt = labelled(title, _("; ").join(f"{one.name} {words}" for one, words in zip(family, notes, strict=True)))
    figure, (axes,) = panels([title], (8, 3), alt)
    places = range(len(family))
    axes.barh(places, within, color=PALETTE["teacher"], height=0.68, label=_("layers and MLM head"))
    axes.barh(places, rest, left=within, color=PALETTE["assistant"], height=0.68, label=_("embeddings"))
    for place, total, words in zip(places, totals, notes, strict=True):
        note(axes, words, (total, place), (5, 0), size=10)
    name_rows(axes, [one.name for one in family])
    axes.set(xlabel=_("million parameters"), xlim=(0, max(totals) * 1.35))
    axes.legend(loc="lower right")
    return figure
