"""Tables as HTML, which inherits the page's colours and tints them: it reads well on light and dark pages."""

from collections.abc import Mapping, Sequence
from html import escape

from IPython.display import HTML

from ...names import shown_cell


def draw_table(rows: Sequence[Mapping[str, object]]) -> HTML:
    """Rows (one mapping each, the same keys in all) as a table with the keys as its head (in most notebooks).

    A key or a cell that is a text of the package is shown in the language that is set.
    """
    style = "text-align:left;vertical-align:top;padding:.25em .8em"
    head = "".join(f'<th style="{style}">{escape(shown_cell(name))}</th>' for name in (rows[0] if rows else ()))
    body = ["".join(f'<td style="{style}">{escape(shown_cell(value))}</td>' for value in row.values()) for row in rows]
    return HTML(table(head, body))


def table(head: str, body: Sequence[str]) -> str:
    """The HTML of a table.

    Args:
        head: cells ``<th>`` of the first row.
        body: cells ``<td>`` of each row below.
    """
    opening = '<table style="border-collapse:collapse;margin-left:0">'
    rows = "".join(f"<tr>{cells}</tr>" for cells in body)
    return f"{opening}<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def tint(colour: str) -> str:
    """A colour (``#RRGGBB``) as it lies behind text, the page's own shining through."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},.35)"
