"""How Sphinx makes the site: notebooks as they were executed, formulas as MathML, nothing fetched from elsewhere."""

import re
from itertools import pairwise

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.search.en import SearchEnglish

from minirbt_helpers import __version__

project = html_title = "MiniRBT, made step by step"
release = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type", "myst.header"]  # widgets show their static form

autodoc_member_order = "bysource"

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_copy_source = False
html_math_renderer = "mathml"

REPOSITORY = "https://github.com/minirbt-course/minirbt-course/blob/main/"
OUTSIDE = re.compile(r"\]\(\.\./(?!docs/|notebooks/)([^)\s]*)\)")  # a link to what the site does not have
HAN = "[\u3400-\u9fff]"


class BothLanguages(SearchEnglish):
    """English words, and of a run of Chinese every character and every pair of neighbours."""

    js_splitter_code = rf"""
var splitQuery = (query) =>
  (query.match(/{HAN}+|(?:(?!{HAN})[\p{{Letter}}\p{{Number}}_])+/gu) || []).flatMap((part) =>
    /^{HAN}{{2}}/.test(part) ? [...part].slice(1).map((character, place) => part[place] + character) : [part]);
"""

    def split(self, input: str) -> list[str]:
        """What the index holds of a text; a query of three characters asks for both of its pairs."""
        found = []
        for part in re.findall(rf"{HAN}+|(?:(?!{HAN})\w)+", input):
            found += [*part, *map("".join, pairwise(part))] if re.match(HAN, part) else [part]
        return found


def setup(app) -> None:
    """Tell Sphinx what this file adds."""
    app.add_search_language(BothLanguages)
    app.add_html_math_renderer("mathml", (draw_inline, None), (draw_block, None))
    app.connect("source-read", lead_outside)


def lead_outside(app, name: str, source: list[str]) -> None:
    """Links out of docs/ and notebooks/ go to the repository."""
    source[0] = OUTSIDE.sub(rf"]({REPOSITORY}\1)", source[0])


def draw_inline(writer, node) -> None:
    """A formula in a line; browsers draw MathML themselves."""
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def draw_block(writer, node) -> None:
    """A formula of its own."""
    writer.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode
