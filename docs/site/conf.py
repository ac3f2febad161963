"""How Sphinx makes the site: notebooks as they were executed, formulas as MathML, nothing fetched from elsewhere.

It is built once for each language (``--tag zh``), the Chinese pages in a folder of the English ones.
"""

import re
from itertools import pairwise
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.search.en import SearchEnglish

from minirbt_helpers import __version__

CHINESE = tags.has("zh")  # noqa: F821 (Sphinx puts it there)
project = html_title = "一步一步做出 MiniRBT" if CHINESE else "MiniRBT, made step by step"
language = "zh_CN" if CHINESE else "en"
html_search_language = "en"  # of both languages, see below
release = __version__
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type", "myst.header"]  # widgets show their static form

autodoc_member_order = "bysource"
autodoc_default_options = {"exclude-members": "set"}  # matplotlib writes one into every class of artists

templates_path = ["_templates"]
html_theme = "furo"
html_sidebars = {
    "**": [
        "sidebar/brand.html",
        "sidebar/language.html",
        "sidebar/search.html",
        "sidebar/scroll-start.html",
        "sidebar/navigation.html",
        "sidebar/scroll-end.html",
    ]
}
html_static_path = ["_static"]
html_css_files = ["course.css"]
html_js_files = ["course.js"]
html_copy_source = False
html_math_renderer = "mathml"

REPOSITORY = "https://github.com/minirbt-course/minirbt-course/blob/main/"
OUTSIDE = re.compile(r"\]\(\.\./(?!docs/|notebooks/)([^)\s]*)\)")  # a link to what the site does not have
IN_CHINESE = re.compile(r"\]\(\.\./\.\./(docs|notebooks)/zh/")  # a link from one Chinese page to another
FROM_CHINESE = re.compile(r"\]\(\.\./\.\./([^)\s]*)\)")  # and one to anything else
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
    app.connect("html-page-context", name_other_language)


def lead_outside(app, name: str, source: list[str]) -> None:
    """Links out of docs/ and notebooks/ go to the repository.

    Chinese pages lie a folder deeper there than on the site, so their links lose a step up.
    """
    if CHINESE:
        source[0] = IN_CHINESE.sub(r"](../\1/", source[0])
        source[0] = FROM_CHINESE.sub(rf"]({REPOSITORY}\1)", source[0])
    source[0] = OUTSIDE.sub(rf"]({REPOSITORY}\1)", source[0])


def name_other_language(app, page: str, template: str, context: dict, tree: object) -> None:
    """Where the switch on a page leads: to the same page in the other language, or to its first page."""
    other = Path(app.srcdir).parent / ("en" if CHINESE else "zh")
    if other.is_dir():
        made = template != "page.html"  # by Sphinx, in both languages: the index of names, the search
        there = page if made or any((other / f"{page}.{kind}").exists() for kind in ("md", "ipynb")) else "index"
        context["other_language"] = {
            "code": "en" if CHINESE else "zh",
            "name": "English" if CHINESE else "中文",
            "page": f"../{there}.html" if CHINESE else f"zh/{there}.html",
        }


def draw_inline(writer, node) -> None:
    """A formula in a line; browsers draw MathML themselves."""
    writer.body.append(convert(node.astext()))
    raise nodes.SkipNode


def draw_block(writer, node) -> None:
    """A formula of its own."""
    writer.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>')
    raise nodes.SkipNode
