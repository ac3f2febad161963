"""The course as a site: whole, and readable with the network cut."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from conftest import ROOT, keep_screenshot

from minirbt_helpers.course import notebooks
from minirbt_helpers.errors import CourseError
from minirbt_helpers.language import LANGUAGES, edition
from minirbt_helpers.site import build_site

pytestmark = pytest.mark.slow  # Sphinx reads all notebooks


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    return build_site(ROOT / "notebooks", tmp_path_factory.mktemp("site"), "Made for a test.").parent


class Page(HTMLParser):
    """What a page names: anchors, links, and what a browser fetches for it."""

    def __init__(self, file: Path):
        super().__init__()
        self.anchors, self.links, self.fetched, self.pictures, self.switches = set(), [], [], [], set()
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.anchors |= {given.get("id"), given.get("name")}
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
            if given.get("class") == "language":
                self.switches.add(given["href"])
        if tag in ("img", "script", "iframe") and given.get("src"):
            self.fetched.append(given["src"])
        if tag == "link" and given.get("rel") == "stylesheet":
            self.fetched.append(given["href"])
        if tag == "img":
            self.pictures.append(given.get("alt"))


@pytest.fixture(scope="module")
def pages(site) -> dict[Path, Page]:
    return {file.resolve(): Page(file) for file in site.rglob("*.html")}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_notebook_and_page_is_there(site, language):
    index = (edition(site, language) / "index.html").read_text(encoding="utf-8")
    assert ("Made for a test." in index) == (language == "en")  # the language that is set
    for part, files in {
        "notebooks": notebooks(language),
        "docs": edition(ROOT / "docs", language).glob("*.md"),
    }.items():
        for path in files:
            assert f'href="{part}/{path.stem}.html"' in index


def test_each_page_leads_to_the_same_one_in_the_other_language(site, pages):
    for file, page in pages.items():
        (there,) = page.switches
        inside = file.relative_to(site)
        target = (file.parent / there).resolve()
        chinese = inside.parts[0] == "zh"
        same = site / inside.relative_to("zh") if chinese else site / "zh" / inside
        only_english = inside.parts[0] == "docs" and not (ROOT / "docs" / "zh" / f"{inside.stem}.md").exists()
        assert target == (site / "zh" / "index.html" if only_english else same), inside


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


@pytest.mark.parametrize(("language", "words"), {"en": {"temperatur", "天气"}, "zh": {"全词", "词掩", "掩码"}}.items())
def test_search_knows_words_of_both_languages(site, language, words):
    """Chinese is looked up by pairs of neighbouring characters; a browser cuts the query into the same pairs."""
    index = (edition(site, language) / "searchindex.js").read_text(encoding="utf-8")
    terms = json.loads(index.removeprefix("Search.setIndex(").removesuffix(")"))["terms"].keys()
    assert words <= terms


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


# --- in a browser ---------------------------------------------------------------------------------------------------


@pytest.fixture
def open_page(browser, site):
    """Opens a page of the site from the file system; at the end nothing may have been asked of another machine."""
    asked, faults, opened = [], [], []

    def visit(name: str, width: int = 1280, scheme: str = "light"):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        page.goto((site / name).as_uri())
        opened.append(page)
        return page

    yield visit
    for page in opened:
        page.close()
    assert not [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]
    # The search shows lines of what it found where it can fetch them, which no browser allows from the file system.
    assert not [fault for fault in faults if fault != "Failed to fetch"]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_a_page_fits_its_window(open_page, language, width, scheme):
    """Wide pictures and formulas scroll in their own box; the page itself never scrolls sideways."""
    for name in ("index", "notebooks/04_two_stage_distillation", "docs/glossary"):
        page = open_page(edition(Path(), language) / f"{name}.html", width, scheme)
        keep_screenshot(page, f"site-{language}-{width}-{scheme}-{Path(name).name}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", paper)[:3])) < 200) == (scheme == "dark")


def test_the_switch_leads_there_and_back(open_page):
    page = open_page("notebooks/01_whole_word_masking.html")
    page.locator(".sidebar-drawer a.language").click()
    assert "/zh/notebooks/01_whole_word_masking.html" in page.url and page.locator("html[lang='zh-CN']").count()
    page.locator(".sidebar-drawer a.language").click()
    assert "/zh/" not in page.url and page.locator("html[lang='en']").count()


@pytest.mark.parametrize(("language", "words"), [("en", "temperature"), ("en", "天气"), ("zh", "全词掩码")])
def test_search_finds(open_page, language, words):
    page = open_page(edition(Path(), language) / "index.html")
    page.locator(".sidebar-search").fill(words)
    page.locator(".sidebar-search").press("Enter")
    found = page.locator("#search-results li a")
    found.first.wait_for(timeout=30_000)
    assert found.count() > 1


def test_formulas_have_a_size(open_page):
    sizes = open_page("notebooks/04_two_stage_distillation.html").evaluate(
        "[...document.querySelectorAll('math')].map(one => one.getBoundingClientRect().height)"
    )
    assert len(sizes) > 20 and min(sizes) > 5


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["01_whole_word_masking", "04_two_stage_distillation"])
def test_one_leafs_through_stills(open_page, language, name):
    page = open_page(edition(Path(), language) / "notebooks" / f"{name}.html")
    box = page.locator(".stills").first
    slider, seen = box.locator("input[type=range]"), []
    for place in range(int(slider.get_attribute("max")) + 1):
        slider.fill(str(place))
        (shown,) = [one for one in box.locator("> div").all() if one.is_visible()]
        seen.append(shown.inner_html())
        assert box.locator("output").inner_text() == shown.get_attribute("data-value")
    assert len(set(seen)) == len(seen) > 3
    keep_screenshot(page, f"stills-{language}-{name}")


@pytest.mark.parametrize("language", LANGUAGES)
def test_one_chooses_a_head_and_hovers(open_page, language):
    page = open_page(edition(Path(), language) / "notebooks" / "06_looking_inside.html")
    box = page.locator(".heads").first
    before = box.locator("svg line").evaluate_all("lines => lines.map(line => line.getAttribute('stroke-opacity'))")
    box.locator("input").last.fill("0")
    box.locator("input").first.fill("1")
    after = box.locator("svg line").evaluate_all("lines => lines.map(line => line.getAttribute('stroke-opacity'))")
    assert len(before) == len(after) and before != after
    token = box.locator("svg text[tabindex]").nth(1)
    token.hover()
    keep_screenshot(page, f"heads-{language}")
    shares = [int(share) for share in re.findall(r"(\d+)%", " ".join(box.locator("svg text").all_text_contents()))]
    assert len(shares) == box.locator("svg text[tabindex]").count() and 90 <= sum(shares) <= 110
    page.mouse.move(0, 0)
    assert "%" not in " ".join(box.locator("svg text").all_text_contents())
