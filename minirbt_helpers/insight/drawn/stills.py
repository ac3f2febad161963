"""Pictures to move in a page without a kernel: all that the site's script (course.js) needs stands in the page."""

import base64
import io
import json
from collections.abc import Mapping
from html import escape

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from ...language import _
from ..measured.attention import Attention
from ..measured.reading import Reading
from .axes import Plot
from .canvas import Drawing, TextPicture, mime_bundle


class Stills:
    """Several states of a picture, of which a page shows one; on the site a slider leafs through them.

    Args:
        name: of what changes from one to the next, as a reader is told.
        pictures: by its value, in order; each a drawing, text that flows, or a figure that says what it shows.
    """

    def __init__(self, name: str, pictures: Mapping[object, Drawing | TextPicture | Plot]):
        self.name, self.pictures = name, pictures

    def _repr_html_(self) -> str:
        shown = [
            f'<div data-value="{escape(str(value))}"{" hidden" * (place > 0)}>{_html(picture)}</div>'
            for place, (value, picture) in enumerate(self.pictures.items())
        ]
        return f'<div class="stills" data-name="{escape(self.name)}">{"".join(shown)}</div>'

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, dict]]:
        """HTML, and a PNG of the first picture for viewers that show no SVG."""
        html, first = self._repr_html_(), next(iter(self.pictures.values()))
        if not isinstance(first, Figure):
            return mime_bundle(html, first.drawing if isinstance(first, TextPicture) else first)
        stream = io.BytesIO()
        first.savefig(stream, format="png")
        png = base64.b64encode(stream.getvalue()).decode()
        return {"text/html": html, "image/png": png}, {"image/png": {"alt": first.alt}}


class HeadsToTurn:
    """The attention of all heads of a model for one sentence: the site's script draws the layer and head one chooses.

    Where no script runs, the picture of one head stands there.

    Args:
        reading: what the model did with the sentence.
        layer, head: to begin with, counted from 1.
        picture: shown where no script runs.
    """

    def __init__(self, reading: Reading, layer: int, head: int, picture: Drawing):
        self.reading, self.layer, self.head, self.picture = reading, layer, head, picture

    def _repr_html_(self) -> str:
        data = Attention.of(self.reading)
        content = {
            "tokens": list(data.labels),
            "shares": np.rint(100 * data.shares).astype(int).tolist(),  # [layers, heads, from, to], in per cent
            "start": [self.layer, self.head],
            "words": {"layer": _("layer"), "head": _("head"), "title": _("Hover over a token, or choose it with Tab.")},
        }
        text = escape(json.dumps(content, ensure_ascii=False, separators=(",", ":")))
        return f'<div class="heads" data-attention="{text}">{self.picture._repr_html_()}</div>'

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, dict]]:
        """HTML, and a PNG of the one head for viewers that show no SVG."""
        return mime_bundle(self._repr_html_(), self.picture)


def _html(picture: object) -> str:
    """A picture as HTML; of a matplotlib figure its SVG, with text as text."""
    if not isinstance(picture, Figure):
        return picture._repr_html_()
    stream = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        picture.savefig(stream, format="svg")
    plt.close(picture)  # or the notebook would show it once more
    return stream.getvalue().partition("<!DOCTYPE")[2].partition(">")[2]
