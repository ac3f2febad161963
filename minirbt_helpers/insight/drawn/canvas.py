"""Diagrams without axes (boxes, arrows, text): laid out once, shown as SVG and PNG, self-contained.

A drawing is a list of shapes in CSS pixels, from the top left. Colours are names of
:data:`~minirbt_helpers.insight.drawn.theme.THEMES`, so that one drawing suits light and dark pages. Text in the
SVG is made of the font's outlines, each character once: it looks the same where no Chinese font is installed.
"""

import base64
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from html import escape
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from IPython.display import HTML
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ft2font import LoadFlags
from matplotlib.patches import Circle, FancyBboxPatch
from PIL import Image

from ...errors import CourseError
from ...language import _
from ...workspace import atomic_file
from .theme import THEMES, chinese_face, chinese_font, role_of

EM = 1000  # units of a glyph's outline
BASELINE = 0.36  # of the text size: how far the baseline lies below the middle of a character
NOTE = 16  # height of a line of notes
SMALL = 11  # size of the smallest text
COLOURS = 128  # of the PNG beside a drawing
Colour = Callable[[str], str]  # a theme's name of a colour, to what SVG calls it


@dataclass(frozen=True)
class Text:
    """A line of text, its middle at height ``y``; ``anchor`` is start, middle or end."""

    x: float
    y: float
    text: str
    size: float = 13
    colour: str = "text"
    anchor: str = "middle"


@dataclass(frozen=True)
class Line:
    """A line through points; ``tip`` is what hovering shows."""

    points: Sequence[tuple[float, float]]
    colour: str = "line"
    width: float = 1
    dash: str = ""
    opacity: float = 1
    tip: str = ""


@dataclass(frozen=True)
class Box:
    """A rectangle, filled with ``fill`` (at ``opacity``), outlined with ``colour``; either may be empty."""

    x: float
    y: float
    width: float
    height: float
    fill: str = ""
    colour: str = ""
    opacity: float = 1
    radius: float = 0
    line: float = 1
    tip: str = ""


@dataclass(frozen=True)
class Dot:
    """A filled circle."""

    x: float
    y: float
    radius: float
    colour: str
    opacity: float = 1
    tip: str = ""


@dataclass(frozen=True)
class Cells:
    """A table of shades: row by row, each 0 (paper) to 1 (the colour in full); ``tips`` of the same shape, or none.

    A column is ``width`` wide, or as many times as ``spans`` says.
    """

    x: float
    y: float
    width: float
    height: float
    shades: np.ndarray  # [rows, columns]
    colour: str = "ink"
    tips: Sequence[Sequence[str]] = ()
    spans: Sequence[int] = ()

    def spread(self) -> np.ndarray:
        """The shades with each column as often as it is wide, [rows, widths]."""
        return np.clip(np.repeat(self.shades, self.spans, axis=1) if len(self.spans) else self.shades, 0, 1)


Shape = Text | Line | Box | Dot | Cells


@dataclass(repr=False)
class Drawing:
    """A picture to show, to hover over, and to take along.

    In a notebook it shows itself as SVG that follows the page's theme. :meth:`figure` gives matplotlib's
    version, :meth:`svg` and :meth:`html` text, :meth:`save` a file.

    Attributes:
        width, height: in CSS pixels (96 to an inch).
        title: of the page that :meth:`html` writes.
        shapes: drawn in this order.
        alt: what a screen reader says, the numbers that matter among it; empty: the title.
    """

    width: float
    height: float
    title: str
    shapes: list[Shape] = field(default_factory=list)
    alt: str = ""

    def __repr__(self) -> str:
        return f"<Drawing {self.title!r}, {self.width:.0f} x {self.height:.0f}>"

    def add(self, *shapes: Shape) -> None:
        """Put shapes on top of those before."""
        self.shapes += shapes

    def place(self, other: "Drawing", x: float, y: float) -> None:
        """Put another drawing's shapes here, moved by (x, y)."""
        self.shapes += [_moved(shape, x, y) for shape in other.shapes]

    def figure(self, theme: str = "light") -> Figure:
        """The drawing as a matplotlib figure, at the same size.

        Raises:
            CourseError: unknown theme.
        """
        colours = _theme(theme)
        figure = plt.figure(figsize=(self.width / 96, self.height / 96), layout="none", facecolor=colours["paper"])
        axes = figure.add_axes((0, 0, 1, 1))
        for order, shape in enumerate(self.shapes):
            PAINTERS[type(shape)](axes, shape, colours, order)
        axes.set(xlim=(0, self.width), ylim=(self.height, 0), aspect="auto")
        axes.axis("off")
        return figure

    def svg(self, theme: str = "light") -> str:
        """The drawing as an SVG file's text, in the fixed colours of a theme.

        Raises:
            CourseError: unknown theme.
        """
        colours = _theme(theme)
        paper = f'<rect width="100%" height="100%" fill="{colours["paper"]}"/>'
        return self._svg(lambda name: colours[name], paper)

    def html(self) -> str:
        """The drawing as a page of its own; it follows the reader's light or dark theme."""
        head = f'<!doctype html><html lang="zh"><meta charset="utf-8"><title>{escape(self.title)}</title>'
        style = "<style>html{color-scheme:light dark}body{margin:1em}</style>"
        return f"{head}{style}{self._repr_html_()}</html>"

    def save(self, file: str | Path) -> Path:
        """Write the drawing to a file: ``.svg``, ``.html``, or what matplotlib can write (``.png``, ``.pdf``).

        Raises:
            CourseError: no such kind of file, or the file cannot be written.
        """
        file = Path(file)
        if file.suffix in (".svg", ".html"):
            with atomic_file(file) as target:
                target.write(self.svg() if file.suffix == ".svg" else self.html())
            return file
        figure = self.figure()
        try:
            figure.savefig(file, dpi=192)
        except (ValueError, OSError) as problem:
            raise CourseError(
                "cannot write this picture ({problem})",
                where=file,
                fix="a name that ends in .svg, .html, .png or .pdf, in a folder that exists",
                problem=problem,
            ) from problem
        finally:
            plt.close(figure)
        return file

    def png(self) -> bytes:
        """The drawing as a small PNG: one pixel to a CSS pixel, few colours."""
        figure, target = self.figure(), io.BytesIO()
        figure.savefig(target, dpi=96)
        plt.close(figure)
        pixels, small = Image.open(target).convert("RGB").quantize(COLOURS, Image.Quantize.FASTOCTREE), io.BytesIO()
        pixels.save(small, "PNG", optimize=True)
        return small.getvalue()

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, dict]]:
        """HTML where SVG is shown, a PNG where it is not, as in GitHub's viewer of notebooks."""
        return mime_bundle(self._repr_html_(), self)

    def _repr_html_(self) -> str:
        names = sorted({"text", *(name for shape in self.shapes for name in _colours(shape))})
        style = _style(names)
        content = self._svg(lambda name: f"var(--{name.replace(' ', '-')})", "")
        return f'<div class="minirbt" style="overflow-x:auto">{style}{content}</div>'

    def _svg(self, colour: Colour, paper: str) -> str:
        letters = sorted({letter for shape in self.shapes if isinstance(shape, Text) for letter in shape.text})
        cells = sorted({size for cells in self.shapes if isinstance(cells, Cells) for size in _sizes(cells)})
        symbols = "".join(map(_glyph_path, letters)) + "".join(_cell_symbol(*size) for size in cells)
        body = "".join(WRITERS[type(shape)](shape, colour) for shape in self.shapes)
        size = f'width="{self.width:g}" height="{self.height:g}" viewBox="0 0 {self.width:g} {self.height:g}"'
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(self.alt or self.title)}">'
            f"<defs>{symbols}</defs>{paper}{body}</svg>"
        )


class TextPicture(HTML):
    """Text that flows and can be copied, as HTML, and the same as a drawing, for a PNG, an SVG or slides."""

    def __init__(self, data: str, drawing: Drawing):
        super().__init__(data)
        self.drawing = drawing

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, dict]]:
        return mime_bundle(self.data, self.drawing)


def mime_bundle(html: str, drawing: Drawing) -> tuple[dict[str, str], dict[str, dict]]:
    """What a notebook keeps of a picture: HTML, a PNG for viewers that show no SVG and no styles, and its alt text."""
    return {"text/html": html, "image/png": base64.b64encode(drawing.png()).decode()}, {
        "image/png": {"alt": drawing.alt or drawing.title}
    }


def shelf(drawings: Iterable[Drawing], title: str, gap: float = 28) -> Drawing:
    """Drawings side by side, their tops in line."""
    drawings = list(drawings)
    whole = Drawing(sum(one.width for one in drawings) + gap * (len(drawings) - 1), 0, title)
    x = 0.0
    for one in drawings:
        whole.place(one, x, 0)
        x += one.width + gap
        whole.height = max(whole.height, one.height)
    return whole


def stack(drawings: Iterable[Drawing], title: str, gap: float = 18) -> Drawing:
    """Drawings one below the other, their left sides in line."""
    drawings = list(drawings)
    whole = Drawing(max(one.width for one in drawings), sum(one.height for one in drawings), title)
    whole.height += gap * (len(drawings) - 1)
    y = 0.0
    for one in drawings:
        whole.place(one, 0, y)
        y += one.height + gap
    return whole


def titled(drawing: Drawing, title: str, name: str, size: float = 14) -> Drawing:
    """A drawing under its title, in the colour of the model called ``name``."""
    whole = Drawing(max(drawing.width, text_width(title, size)), drawing.height + size * 1.9, title)
    whole.add(Text(0, size * 0.7, title, size, role_of(name) if role_of(name) != "other" else "text", "start"))
    whole.place(drawing, 0, size * 1.9)
    return whole


def finished(drawing: Drawing, notes: Sequence[str], title: str, alt: str = "") -> Drawing:
    """A drawing with a margin, and with what the reader should be told below.

    Args:
        drawing: what was laid out.
        notes: a line each.
        title: of the whole.
        alt: what the picture shows, in words; title and notes go with it.
    """
    margin, width = 10, max([drawing.width, *(text_width(note, SMALL) for note in notes)])
    whole = Drawing(width + 2 * margin, drawing.height + 2 * margin + NOTE * len(notes), title)
    whole.alt = _(". ").join(filter(None, (title, alt, *notes)))
    whole.place(drawing, margin, margin)
    for number, note in enumerate(notes):
        whole.add(Text(margin, margin + drawing.height + (number + 0.6) * NOTE, note, SMALL, "faint", "start"))
    return whole


def text_width(text: str, size: float) -> float:
    """How wide a text is, in pixels."""
    return sum(_glyph(letter)[1] for letter in text) * size / EM


def _theme(name: str) -> dict[str, str]:
    if name not in THEMES:
        raise CourseError("unknown theme {name!r}", fix="one of {names}", name=name, names=", ".join(map(repr, THEMES)))
    return THEMES[name]


def _moved(shape: Shape, x: float, y: float) -> Shape:
    if isinstance(shape, Line):
        return Line([(a + x, b + y) for a, b in shape.points], *_rest(shape, 1))
    return type(shape)(shape.x + x, shape.y + y, *_rest(shape, 2))


def _rest(shape: Shape, skipped: int) -> list:
    return [getattr(shape, name) for name in list(shape.__dataclass_fields__)[skipped:]]


def _colours(shape: Shape) -> list[str]:
    return [name for name in (shape.colour, getattr(shape, "fill", "")) if name]


# --- SVG ------------------------------------------------------------------------------------------------------------


def _style(names: Sequence[str]) -> str:
    """The colours as CSS variables: of the page's own theme (JupyterLab, VS Code, Colab), else of the system's."""
    light, dark = (
        "{" + ";".join(f"--{name.replace(' ', '-')}:{THEMES[theme][name]}" for name in names) + "}" for theme in THEMES
    )
    rules = (
        f".minirbt{light}@media(prefers-color-scheme:dark){{.minirbt{dark}}}",
        f"[data-jp-theme-light=true] .minirbt,.vscode-light .minirbt{light}",
        f"[data-jp-theme-light=false] .minirbt,.vscode-dark .minirbt,html[theme=dark] .minirbt{dark}",
        ".minirbt .tip:hover{stroke:var(--text);stroke-width:1.5px}",
    )
    return f"<style>{''.join(rules)}</style>"


@cache
def _glyph(letter: str) -> tuple[str, int]:
    """A character's outline as an SVG path (empty where the font has none), and its advance; an em is 1,000 units."""
    face = chinese_face()
    if not face.get_char_index(ord(letter)):
        return "", EM
    face.set_size(EM, 72)
    glyph = face.load_char(ord(letter), flags=LoadFlags.NO_HINTING)
    vertices, codes = face.get_path()
    points = [f"{round(x)} {round(-y)}" for x, y in vertices]
    path, at = "", 0
    while at < len(codes):
        command, length = {1: ("M", 1), 2: ("L", 1), 3: ("Q", 2), 4: ("C", 3), 79: ("Z", 1)}[int(codes[at])]
        path += command + (" ".join(points[at : at + length]) if command != "Z" else "")
        at += length
    return path, round(glyph.linearHoriAdvance / 65536)


def _glyph_path(letter: str) -> str:
    outline = _glyph(letter)[0]
    return f'<path id="g{ord(letter):x}" d="{outline}"/>' if outline else ""


def _sizes(cells: Cells) -> list[tuple[float, float]]:
    """Width and height of each column's cells; none where the table becomes a picture."""
    spans = cells.spans if len(cells.spans) else [1] * cells.shades.shape[1]
    return [(cells.width * span, cells.height) for span in spans] if len(cells.tips) else []


def _cell_symbol(width: float, height: float) -> str:
    return f'<path id="{_cell_name(width, height)}" d="M0 0h{width:g}v{height:g}h-{width:g}z"/>'


def _cell_name(width: float, height: float) -> str:
    return f"c{width:g}x{height:g}".replace(".", "_")


def _tip(text: str) -> str:
    return f"<title>{escape(text)}</title>" if text else ""


def _write_text(text: Text, colour: Colour) -> str:
    start = text.x - text_width(text.text, text.size) * {"start": 0, "middle": 0.5, "end": 1}[text.anchor]
    uses, at = [], 0
    for letter in text.text:
        outline, advance = _glyph(letter)
        place = f' x="{at}"' if at else ""
        if outline:
            uses.append(f'<use href="#g{ord(letter):x}"{place}/>')
        elif not letter.isspace():  # not in the font: left to the reader's own
            uses.append(f'<text font-size="{EM}"{place}>{escape(letter)}</text>')
        at += advance
    where = f"translate({start:.4g} {text.y + BASELINE * text.size:.4g})scale({text.size / EM:g})"
    return f'<g fill="{colour(text.colour)}" transform="{where}">{"".join(uses)}</g>'


def _write_line(line: Line, colour: Colour) -> str:
    points = " ".join(f"{x:.4g},{y:.4g}" for x, y in line.points)
    looks = f'stroke="{colour(line.colour)}" stroke-width="{line.width:g}"'
    looks += ' fill="none" stroke-linejoin="round"' * (len(line.points) > 2)  # two points have no area and no corner
    looks += f' stroke-dasharray="{line.dash}"' * bool(line.dash) + f' opacity="{line.opacity:g}"' * (line.opacity < 1)
    return f'<polyline points="{points}" {looks}>{_tip(line.tip)}</polyline>'


def _write_box(box: Box, colour: Colour) -> str:
    place = f'x="{box.x:.5g}" y="{box.y:.5g}" width="{box.width:.4g}" height="{box.height:.4g}"'
    fill = f'fill="{colour(box.fill)}" fill-opacity="{box.opacity:.3g}"' if box.fill else 'fill="none"'
    fill = 'fill="#000" fill-opacity="0"' if box.tip and not box.fill else fill  # so that it can be hovered over
    line = f' stroke="{colour(box.colour)}" stroke-width="{box.line:g}"' if box.colour else ""
    hover = ' class="tip"' if box.tip else ""
    return f'<rect{hover} {place} rx="{box.radius:g}" {fill}{line}>{_tip(box.tip)}</rect>'


def _write_dot(dot: Dot, colour: Colour) -> str:
    looks = f'fill="{colour(dot.colour)}"' + f' opacity="{dot.opacity:g}"' * (dot.opacity < 1)
    hover = ' class="tip"' if dot.tip else ""
    return f'<circle{hover} cx="{dot.x:.4g}" cy="{dot.y:.4g}" r="{dot.radius:.3g}" {looks}>{_tip(dot.tip)}</circle>'


def _write_cells(cells: Cells, colour: Colour) -> str:
    if not len(cells.tips):
        return _cells_image(cells, colour)
    sizes, rows = _sizes(cells), []
    lefts = np.cumsum([0, *(width for width, _ in sizes)])
    starts = [f'<use href="#{_cell_name(*size)}" class="tip" x="{x:g}"' for size, x in zip(sizes, lefts, strict=False)]
    for number, (shades, tips) in enumerate(zip(cells.shades, cells.tips, strict=True)):
        row = "".join(
            f'{start} opacity="{shade:.2f}">{_tip(tip)}</use>'
            for start, shade, tip in zip(starts, shades, tips, strict=True)
        )
        rows.append(f'<g transform="translate({cells.x:g} {cells.y + number * cells.height:g})">{row}</g>')
    return f'<g fill="{colour(cells.colour)}">{"".join(rows)}</g>'


def _cells_image(cells: Cells, colour: Colour) -> str:
    """The shades as the opacity of a small picture, which a filter gives the theme's colour."""
    opacity = (cells.spread() * 31).round().astype(np.uint8) * 8  # 32 steps: a quarter of the bytes
    pixels, target = Image.merge("LA", [Image.new("L", opacity.shape[::-1]), Image.fromarray(opacity)]), io.BytesIO()
    pixels.save(target, "PNG", optimize=True)
    rows, columns = opacity.shape
    name = "f" + cells.colour.replace(" ", "-")
    dye = f'<feFlood style="flood-color:{colour(cells.colour)}"/><feComposite operator="in" in2="SourceAlpha"/>'
    place = f'x="{cells.x:g}" y="{cells.y:g}" width="{columns * cells.width:g}" height="{rows * cells.height:g}"'
    return (
        f'<filter id="{name}" x="0" y="0" width="1" height="1">{dye}</filter><image {place} filter="url(#{name})" '
        f'preserveAspectRatio="none" style="image-rendering:pixelated" '
        f'href="data:image/png;base64,{base64.b64encode(target.getvalue()).decode()}"/>'
    )


WRITERS = {Text: _write_text, Line: _write_line, Box: _write_box, Dot: _write_dot, Cells: _write_cells}


# --- matplotlib -----------------------------------------------------------------------------------------------------

POINT = 72 / 96  # a CSS pixel in points


def _paint_text(axes, text: Text, colours: dict, order: int) -> None:
    place = {"start": "left", "middle": "center", "end": "right"}[text.anchor]
    letters = text.text.replace("$", r"\$")
    looks = {"fontsize": text.size * POINT, "color": colours[text.colour], "family": [chinese_font(), "DejaVu Sans"]}
    axes.text(text.x, text.y + BASELINE * text.size, letters, ha=place, va="baseline", zorder=order, **looks)


def _paint_line(axes, line: Line, colours: dict, order: int) -> None:
    dash = (0, [float(part) / line.width for part in line.dash.split()]) if line.dash else "-"
    looks = {"color": colours[line.colour], "linewidth": line.width * POINT, "linestyle": dash, "alpha": line.opacity}
    axes.plot(*zip(*line.points, strict=True), solid_capstyle="butt", zorder=order, **looks)


def _paint_box(axes, box: Box, colours: dict, order: int) -> None:
    fill = (*to_rgb(colours[box.fill]), box.opacity) if box.fill else "none"
    style = f"round,pad=0,rounding_size={box.radius}" if box.radius else "square,pad=0"
    looks = {"facecolor": fill, "edgecolor": colours[box.colour] if box.colour else "none"}
    corner = (box.x, box.y)
    axes.add_patch(FancyBboxPatch(corner, box.width, box.height, style, lw=box.line * POINT, zorder=order, **looks))


def _paint_dot(axes, dot: Dot, colours: dict, order: int) -> None:
    looks = {"facecolor": colours[dot.colour], "alpha": dot.opacity, "linewidth": 0}
    axes.add_patch(Circle((dot.x, dot.y), dot.radius, zorder=order, **looks))


def _paint_cells(axes, cells: Cells, colours: dict, order: int) -> None:
    opacity = cells.spread()
    rows, columns = opacity.shape
    pixels = np.empty((rows, columns, 4))
    pixels[..., :3] = to_rgb(colours[cells.colour])
    pixels[..., 3] = opacity
    extent = (cells.x, cells.x + columns * cells.width, cells.y + rows * cells.height, cells.y)
    axes.imshow(pixels, extent=extent, interpolation="nearest", aspect="auto", zorder=order)


PAINTERS = {Text: _paint_text, Line: _paint_line, Box: _paint_box, Dot: _paint_dot, Cells: _paint_cells}
