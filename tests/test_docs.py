"""The README in two languages and the pages of docs/: in step with each other and with the code."""

import re

import pytest
from conftest import ROOT

from minirbt_helpers.recipe import parameters_table

PAGES = sorted([*ROOT.glob("README*.md"), *ROOT.glob("docs/*.md")])


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands(text: str) -> list[str]:
    """The lines of all shell blocks, comments aside."""
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.S)).splitlines()
    return [line.split(" #")[0].rstrip() for line in lines]


def test_the_chinese_readme_has_what_the_english_one_has():
    english, chinese = read("README.md"), read("README.zh.md")
    heads = [[len(mark) for mark in re.findall(r"^(#+) ", text, re.M)] for text in (english, chinese)]
    assert heads[0] == heads[1]
    missing = set(commands(english)) - set(commands(chinese))
    assert not missing  # the Chinese one has the mirrors besides
    figures = [re.findall(r"\d[\d.]*[%M]", text) for text in (english, chinese)]
    assert [one for one in figures[0] if "%" in one] == [one for one in figures[1] if "%" in one]
    links = [set(re.findall(r"\]\(([^)#]+)", text)) - {"README.md", "README.zh.md"} for text in (english, chinese)]
    assert links[0] == links[1]
    assert max(text.count("\n") for text in (english, chinese)) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (page.parent / link.split("#")[0]).exists(), f"{page.name}: {link}"


def test_every_parameter_of_the_recipe_is_listed():
    assert parameters_table() in read("docs/parameters.md"), "make refresh"
