"""The course as a site: whole, and readable with the network cut."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from conftest import ROOT

from minirbt_helpers.course import notebooks
from minirbt_helpers.errors import CourseError
from minirbt_helpers.site import build_site

pytestmark = pytest.mark.slow  # Sphinx reads all notebooks


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    return build_site(ROOT / "notebooks", tmp_path_factory.mktemp("site"), "Made for a test.").parent


class Page(HTMLParser):
    """What a page names: anchors, links, and what a browser fetches for it."""

    def __init__(self, file: Path):
        super().__init__()
        self.anchors, self.links, self.fetched, self.pictures = set(), [], [], []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given.get("id"), given.get("name")}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag in ("img", "script", "iframe") and given.get("src"):
            self.fetched.append(given["src"])
        if tag == "link" and given.get("rel") == "stylesheet":
            self.fetched.append(given["href"])
        if tag == "img":
            self.pictures.append(given.get("alt"))


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {file.resolve(): Page(file) for file in site.rglob("*.html")}


def test_every_notebook_and_page_is_there(site):
    index = (site / "index.html").read_text(encoding="utf-8")
    assert "Made for a test." in index
    for path in [*notebooks(), *(ROOT / "docs").glob("*.md")]:
        assert f'href="{path.parent.name}/{path.stem}.html"' in index


def test_nothing_is_fetched_from_elsewhere(pages):
    for file, page in pages.items():
        for source in page.fetched:
            assert source.startswith("data:") or (file.parent / urlsplit(source).path).exists(), (
                f"{file.name}: {source}"
            )


def test_every_link_and_anchor_inside_leads_somewhere(pages):
    for file, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or link in ("#", ""):
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            assert target.exists(), f"{file.name}: {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].anchors, f"{file.name}: {link}"


def test_formulas_are_drawn_without_a_script(site):
    page = (site / "notebooks" / "04_two_stage_distillation.html").read_text(encoding="utf-8")
    prose = re.sub(r"<pre.*?</pre>", "", page, flags=re.S)
    assert page.count("<math") > 20 and "MathJax" not in page and "\\frac" not in prose


def test_search_knows_words_of_both_languages(site):
    """Chinese is looked up by pairs of neighbouring characters; a browser cuts the query into the same pairs."""
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    terms = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))["terms"].keys()
    assert {"temperatur", "天气", "今天", "天天"} <= terms


def test_a_page_that_leads_nowhere_is_refused(small_course):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Lost\n\n[to nothing](98_nothing.ipynb)")])
    nbformat.write(book, small_course / "notebooks" / "99_lost.ipynb")
    with pytest.raises(CourseError, match=r"99_lost.*98_nothing"):
        build_site(small_course / "notebooks", small_course / "site")


def test_other_peoples_files_are_left_alone(small_course):
    """A folder that holds something else is refused before anything is built; an earlier site outlives a failure."""
    output = small_course / "site"
    output.mkdir()
    (output / "diary.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(CourseError, match="they would be lost"):
        build_site(small_course / "notebooks", output)
    (output / "diary.txt").rename(output / "searchindex.js")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Lost\n\n[to nothing](98_nothing.ipynb)")])
    nbformat.write(book, small_course / "notebooks" / "99_lost.ipynb")
    with pytest.raises(CourseError, match="98_nothing"):
        build_site(small_course / "notebooks", output)
    assert (output / "searchindex.js").read_text(encoding="utf-8") == "mine"
