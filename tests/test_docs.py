"""The README in two languages and the pages of docs/: in step with each other and with the code."""

import json
import re
from collections import defaultdict

import pytest
from conftest import ROOT

from minirbt_helpers.language import set_language
from minirbt_helpers.recipe import parameters_table
from minirbt_helpers.tasks import best_means, read_results

PAGES = sorted([*ROOT.glob("README*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("docs/zh/*.md")])
IN_CHINESE = [page.name for page in sorted(ROOT.glob("docs/zh/*.md"))]


GLOSSARIES = ("docs/glossary.md", "docs/zh/glossary.md")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def commands(text: str) -> list[str]:
    """The lines of all shell blocks, comments aside, whichever language's notebooks they run."""
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", text, re.S)).splitlines()
    return [line.split(" #")[0].rstrip().replace("notebooks/zh/", "notebooks/") for line in lines]


def links_of(text: str) -> set[str]:
    """Where a page leads, whichever language's notebooks and pages those are."""
    links = re.findall(r"\]\((?:\.\./)*([^)#]+)", text)
    return {re.sub(r"^(notebooks|docs)/zh\b", r"\1", link.rstrip("/")) for link in links}


def figures(text: str) -> list[str]:
    """Numbers of two digits and more, those in formulas and code too."""
    return sorted(re.findall(r"\d[\d,.]*\d", text.replace("（", "(")))


@pytest.mark.parametrize("name", IN_CHINESE)
def test_a_chinese_page_has_what_the_english_one_has(name):
    """The same headings, commands, links and code, and in tables the same figures."""
    english, chinese = read(f"docs/{name}"), read(f"docs/zh/{name}")
    heads = [[len(mark) for mark in re.findall(r"^(#+) ", text, re.M)] for text in (english, chinese)]
    assert heads[0] == heads[1]
    assert commands(english) == commands(chinese)
    assert links_of(english) - {"chinese_in_ten_minutes.md"} == links_of(chinese) - {"chinese_in_ten_minutes.md"}
    rows = [[line for line in text.splitlines() if line.startswith("|")] for text in (english, chinese)]
    assert [figures(row) for row in rows[0]] == [figures(row) for row in rows[1]]


def test_one_list_of_terms_serves_both_languages():
    """The two glossaries hold the same pairs of terms, and name the same notebooks."""
    rows = [re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| (\d[\d, ]*) \|$", read(page), re.M) for page in GLOSSARIES]
    assert len(rows[0]) == len(rows[1]) > 60
    for (term, _, chinese, notebook), (zh, english, _, number) in zip(*rows, strict=True):
        without_pinyin = re.sub(r" *\*[^*]*\*| *\([^)]*\)", "", chinese)
        assert (term, without_pinyin.replace(", ", "、"), notebook) == (english, zh, number)


def test_the_results_page_says_what_its_files_rule():
    """All rulings on pre-training and on twice the epochs; whoever makes the files anew mends the page."""
    means = best_means(read_results(ROOT / "benchmarks" / "results" / "sample_tasks.jsonl"))
    ruled = defaultdict(set)
    for (model, task), mean in means.items():
        if not model.startswith("no pre-training"):
            ruled[mean.against(means["no pre-training", task]).ruling].add((model, task))
    assert ruled["higher"] == {
        *((model, "tnews") for model in ("teacher", "assistant", "rbt3", "h312", "student")),
        *((model, "lcqmc") for model in ("teacher", "rbt3", "h312", "student")),
        ("rbt3", "ocnli"), ("rbt3", "chnsenticorp"), ("teacher", "cmrc2018"),
    }  # fmt: skip
    assert ruled["lower"] == {
        ("teacher", "bq"), ("rbt3", "bq"), ("h312", "cmrc2018"), ("student", "cmrc2018"), ("h312", "drcd")
    }  # fmt: skip
    english, chinese = (" ".join(read(page).split()) for page in ("docs/results.md", "docs/zh/results.md"))
    for said in (
        "*higher* than none on TNEWS for five of the six models",
        "on LCQMC for four, by two or three, on OCNLI and ChnSentiCorp for RBT3 alone, and on CMRC 2018",
        "*lower* on BQ for the teacher and RBT3, on CMRC 2018 for RBT4-H312 and the student, and on DRCD for RBT4-H312",
    ):
        assert said in english
    assert "在 BQ 上是教师和 RBT3，在 CMRC 2018 上是 RBT4-H312 和学生，在 DRCD 上是 RBT4-H312。" in chinese
    live = (ROOT / "benchmarks" / "results" / "live.md").read_text(encoding="utf-8")
    for found, ours, theirs in (
        ("-0.5 ± 0.2 points: lower", "it is 0.5 ± 0.2 points *lower*", "低 0.5 ± 0.2 个百分点"),
        ("+1.2 ± 0.9 points: higher", "without a teacher 1.2 ± 0.9 points lower", "没有教师，低 1.2 ± 0.9 个百分点"),
        ("-0.0 ± 1.0 points: not told apart", "two stages and one are not told apart", "两阶段与单阶段分不出高下"),
    ):
        assert found in live and ours in english and theirs in chinese
    taught = read_results(ROOT / "benchmarks" / "results" / "taught.jsonl")
    for task, said in (("ocnli", "+7.1 ± 7.0"), ("tnews", "+3.8 ± 1.1")):
        plain = [row for row in taught if row["task"] == task and not row["teacher"]]
        few, many = (best_means([row for row in plain if row["epochs"] == epochs]) for epochs in (5, 10))
        longer = many["student", task].against(few["student", task])
        assert longer.ruling == "higher" and str(longer).startswith(said)
        assert said in english and said in chinese


FAMILY = (
    "teacher", "assistant, untrained", "assistant", "rbt3", "student", "one-stage", "h288", "h312",
    "most frequent token", "bigrams",
)  # fmt: skip


@pytest.mark.parametrize(
    ("page", "models"),
    [
        *((page, ("teacher", "assistant", "student", "bigrams")) for page in ("README.md", "README.zh.md")),
        *((page, FAMILY) for page in ("docs/results.md", "docs/zh/results.md")),
    ],
)
def test_the_table_of_the_family_says_what_the_models_know(page, models):
    asked = json.loads((ROOT / "data_samples" / "results" / "heldout.json").read_text(encoding="utf-8"))
    wiki, unlike = asked["wiki"], asked["wiki, unlike any line read"]["whole words"]
    columns = [(wiki["whole words"], "words_top1"), (wiki["whole words"], "top1")]
    columns += [(wiki["single tokens"], "top1"), (unlike, "words_top1")] if models is FAMILY else []
    rows = read(page).split("12 x 192 |")[1].splitlines()[: len(models)]
    for row, model in zip(rows, models, strict=True):
        assert re.findall(r"[\d.]+%", row) == [f"{of[model][figure]:.1%}" for of, figure in columns]


def test_the_chinese_readme_has_what_the_english_one_has():
    english, chinese = read("README.md"), read("README.zh.md")
    heads = [[len(mark) for mark in re.findall(r"^(#+) ", text, re.M)] for text in (english, chinese)]
    assert heads[0] == heads[1]
    missing = set(commands(english)) - set(commands(chinese))
    assert not missing  # the Chinese one has the mirrors besides
    figures = [re.findall(r"\d[\d.]*[%M]", text) for text in (english, chinese)]
    assert [one for one in figures[0] if "%" in one] == [one for one in figures[1] if "%" in one]
    links = [links_of(text) - {"README.md", "README.zh.md"} for text in (english, chinese)]
    assert links[0] == links[1]
    assert max(text.count("\n") for text in (english, chinese)) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if not link.startswith("http"):
            assert (page.parent / link.split("#")[0]).exists(), f"{page.name}: {link}"


def test_every_parameter_of_the_recipe_is_listed():
    assert parameters_table() in read("docs/parameters.md"), "make refresh"
    set_language("zh")
    try:
        assert parameters_table() in read("docs/zh/parameters.md"), "minirbt --language zh refresh"
    finally:
        set_language("en")
