"""Two languages: the catalogues are whole and hold nothing else, and the Chinese notebooks are the English program."""

import ast
import re
import string
from itertools import chain

import nbformat
import pytest
from babel.messages.pofile import read_po
from conftest import ROOT

from minirbt_helpers.course import notebooks, start
from minirbt_helpers.errors import CourseError
from minirbt_helpers.exercises.catalogue import SHELVES
from minirbt_helpers.language import CATALOGUES, LANGUAGES, _, chosen_language, set_language
from minirbt_helpers.recipe import Recipe

HAN = re.compile("[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")  # characters, and Chinese marks
FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.S)
CODE = re.compile(r"`[^`]+`")
ONLY_ENGLISH = "docs/chinese_in_ten_minutes.md"
LINK = re.compile(r"\]\((?:\.\./)*([^)]+)\)")


@pytest.fixture
def chinese():
    set_language("zh")
    yield
    set_language("en")


@pytest.fixture(scope="module")
def translated() -> dict[str, str]:
    """All texts of the catalogues."""
    found = {}
    for file in sorted((CATALOGUES / "zh").glob("*.po")):
        with file.open(encoding="utf-8") as stream:
            for message in read_po(stream, locale="zh"):
                if message.id:
                    assert found.get(message.id, message.string) == message.string, f"{file.name}: {message.id}"
                    found[message.id] = message.string
    return found


def marked() -> dict[str, str]:
    """Every text in ``_("…")`` or ``N_("…")``, with the file where it stands."""
    found = {}
    for file in (ROOT / "minirbt_helpers").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            marking = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("_", "N_")
            if marking and isinstance(node.args[0], ast.Constant):
                found[node.args[0].value] = f"{file.relative_to(ROOT)}, line {node.lineno}"
    return found


def of_exercises() -> dict[str, str]:
    """Every text of an exercise or a question, with its name."""
    texts = {}
    for shelf in SHELVES:
        texts[shelf.title] = shelf.notebook
        for one in shelf.exercises:
            said = [one.title, one.use, one.statement, one.remark, *one.hints, *one.raises.values()]
            texts |= dict.fromkeys([*said, *(what for what, _ in chain(one.slips, one.signs))], one.name)
        for one in shelf.questions:
            choices = [one.answer, *chain(*one.wrong.items())] if one.wrong else []
            texts |= dict.fromkeys([one.text, one.reason, *choices], one.name)
    return {text: name for text, name in texts.items() if text}


def fields(text: str) -> list[str]:
    return sorted(f"{name}:{form}" for _, name, form, _ in string.Formatter().parse(text) if name is not None)


def marks(text: str) -> tuple[list[str], ...]:
    """What both languages write alike: formulas, code, link targets, numbers of two digits and more."""
    rest = FORMULA.sub(" ", text)
    links = [re.sub(r"\b(notebooks|docs)/zh/", r"\1/", link) for link in LINK.findall(rest)]
    links = [link for link in links if link != ONLY_ENGLISH]
    words = LINK.sub(" ", CODE.sub(" ", rest))
    return sorted(FORMULA.findall(text)), sorted(CODE.findall(rest)), sorted(links), sorted(
        re.findall(r"\d[\d,.]*\d", words)
    )  # fmt: skip


# --- catalogues -----------------------------------------------------------------------------------------------------


def test_every_text_of_the_package_is_translated_and_no_other(translated):
    wanted = marked() | of_exercises() | {field.description: name for name, field in Recipe.model_fields.items()}
    missing = {text: place for text, place in wanted.items() if not translated.get(text)}
    assert not missing, f"{len(missing)} texts without Chinese: {missing}"
    assert not (left := translated.keys() - wanted.keys()), f"{len(left)} that nothing shows: {left}"


def test_a_translation_has_the_fields_of_its_text(translated):
    for text in marked():
        assert fields(text) == fields(translated[text]), text


def test_an_exercise_has_the_same_code_and_formulas(translated):
    for text, name in of_exercises().items():
        english, zh = marks(text), marks(translated[text])
        assert english[:2] == zh[:2], f"{name}: {text}\n{translated[text]}"


def test_a_text_follows_the_language(chinese):
    assert _("as a table nobody has") == "as a table nobody has"
    assert _("exercises") != "exercises" and HAN.search(_("exercises"))
    set_language("en")
    assert _("exercises") == "exercises" and chosen_language() == "en"


def test_an_unknown_language_is_refused():
    with pytest.raises(CourseError, match=r"unknown LANGUAGE 'fr'\n.*'en', 'zh'"):
        start({"SCALE": "sample", "LANGUAGE": "fr"})
    assert chosen_language() == "en"


def test_language_is_no_setting_of_a_run(capsys):
    lesson = start({"SCALE": "sample", "LANGUAGE": "zh"})
    try:
        assert chosen_language() == "zh" and HAN.search(capsys.readouterr().out)
        assert lesson.recipe == start({"SCALE": "sample", "LANGUAGE": "en"}).recipe
    finally:
        set_language("en")


# --- notebooks ------------------------------------------------------------------------------------------------------


class Program(ast.NodeTransformer):
    """A cell's program without what it says: strings are emptied, and kept in reading order."""

    def __init__(self, source: str):
        self.strings = []
        self.tree = ast.dump(self.visit(ast.parse(re.sub(r"^( *)[%!].*$", r"\1pass", source, flags=re.M))))

    def visit_Constant(self, node):
        if isinstance(node.value, str):
            self.strings.append(node.value)
            return ast.Constant("")
        return node

    def visit_JoinedStr(self, node):
        """The values of an f-string with their formats, in whatever order a language names them."""
        before, parts = self.strings, []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                self.strings = []
                part.value = self.visit(part.value)
                parts.append((ast.dump(part), part, self.strings))
        parts.sort(key=lambda part: part[0])
        text = "".join(part.value for part in node.values if isinstance(part, ast.Constant))
        self.strings = [*before, text, *chain(*(strings for *_, strings in parts))]
        return ast.JoinedStr([part for _, part, _ in parts])


@pytest.mark.parametrize("name", [path.name for path in notebooks()])
def test_a_chinese_notebook_is_the_english_program(name):
    """Cell by cell: the same program, and in the text the same formulas, code, links and numbers."""
    english, chinese = (nbformat.read(ROOT / "notebooks" / folder / name, as_version=4) for folder in ("", "zh"))
    assert [cell.id for cell in english.cells] == [cell.id for cell in chinese.cells]
    for one, other in zip(english.cells, chinese.cells, strict=True):
        where = f"{name}, cell {one.id}"
        assert one.cell_type == other.cell_type and one.metadata == other.metadata, where
        if one.cell_type == "markdown":
            if "minirbt" not in one.metadata:
                assert marks(one.source) == marks(other.source), where
            assert HAN.search(other.source), where
            assert re.match("#* *", one.source).group() == re.match("#* *", other.source).group(), where
        else:
            here, there = Program(one.source), Program(other.source)
            assert here.tree == there.tree, where
            for said, zh in zip(here.strings, there.strings, strict=True):
                assert said == zh or HAN.search(zh) or (said, zh) == ("en", "zh"), f"{where}: {said!r}, {zh!r}"


def test_both_languages_have_the_same_notebooks():
    for language in LANGUAGES:
        assert [path.name for path in notebooks(language)] == [path.name for path in notebooks()]
