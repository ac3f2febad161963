"""Two languages: the catalogues are whole and hold nothing else, and the Chinese notebooks are the English program."""

import ast
import pickle
import re
import string
import symtable
from functools import cache
from itertools import chain

import matplotlib.pyplot as plt
import numpy as np
import papermill
import pytest
import torch
from babel.messages.pofile import read_po
from conftest import ROOT, first, speaking, stored
from markdown_it import MarkdownIt
from matplotlib.figure import Figure
from matplotlib.text import Text

from minirbt_helpers import insight
from minirbt_helpers.course import notebooks, start
from minirbt_helpers.errors import CourseError, CourseWarning
from minirbt_helpers.exercises.catalogue import SHELVES, find_question
from minirbt_helpers.exercises.cells import MARK
from minirbt_helpers.exercises.quizzes import static_html
from minirbt_helpers.hub import fetch_model
from minirbt_helpers.insight.drawn.theme import own_colour_of, prepare_figures, role_of
from minirbt_helpers.insight.measured.speed import PARTS, WHOLE
from minirbt_helpers.language import CATALOGUES, LANGUAGES, _, chosen_language, set_language
from minirbt_helpers.models import ARCHITECTURES, load_tokenizer
from minirbt_helpers.names import SHAPES, shown_name
from minirbt_helpers.recipe import Recipe
from minirbt_helpers.tasks.odd import OddRows
from minirbt_helpers.verdict import judge

HAN = re.compile("[\u3000-\u303f\u3400-\u9fff\uff00-\uffef]")  # characters, and Chinese marks
FORMULA = re.compile(r"\$\$.*?\$\$|\$[^$\n]+\$", re.S)
CODE = re.compile(r"`[^`]+`")
COUNTED = re.compile(r"\d[\d,.]* ?(million|billion|[百十]?[万亿])")  # each language counts in its own units
WORD, FIELD = re.compile("[A-Za-z]{2}"), re.compile(r"{[^}]*}")
SPOKEN = ("CourseError", "Interrupted", "note", "_undone", "_out_of_step")  # they look their texts up themselves
EDITION = re.compile(r"\b(notebooks|docs)/zh/")  # the files of the Chinese edition lie beside the English ones
ONLY_ENGLISH = "docs/chinese_in_ten_minutes.md"
LINK = re.compile(r"\]\((?:\.\./)*([^)]+)\)")


@pytest.fixture
def chinese():
    with speaking("zh"):
        yield


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


@cache
def calls() -> list[tuple[str, ast.Call, str]]:
    """Every call in the package that has a name: the name, the call, and the file and line where it stands."""
    found = []
    for file in (ROOT / "minirbt_helpers").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
                name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
                found.append((name, node, f"{file.relative_to(ROOT)}, line {node.lineno}"))
    return found


def literals(node: ast.expr) -> list[str] | None:
    """The texts that an expression may stand for: one, or one of two; None: it is made elsewhere."""
    if isinstance(node, ast.Constant):
        return [node.value]
    if isinstance(node, ast.IfExp) and (one := literals(node.body)) and (other := literals(node.orelse)):
        return [*one, *other]
    return None


def spoken(call: ast.Call) -> list[ast.expr]:
    """What a :class:`CourseError` or a note is made of: what was wrong, and what to do."""
    return [*call.args[:1], *(given.value for given in call.keywords if given.arg == "fix")]


def marked() -> dict[str, str]:
    """Every text in ``_("…")`` or ``N_("…")``, or said by an error or a note, with the file where it stands."""
    found = {}
    for name, call, place in calls():
        if name in ("_", "N_"):
            texts = literals(call.args[0]) or []
        elif name in SPOKEN and call.args:
            texts = chain.from_iterable(filter(None, map(literals, spoken(call))))
            texts = [text for text in texts if isinstance(text, str) and WORD.search(FIELD.sub("", text))]
        else:
            continue
        found |= dict.fromkeys(texts, place)
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
    links, codes = ([EDITION.sub(r"\1/", mark) for mark in form.findall(rest)] for form in (LINK, CODE))
    links = [link for link in links if link != ONLY_ENGLISH]
    words = COUNTED.sub(" ", LINK.sub(" ", CODE.sub(" ", rest)))
    numbers = sorted(set(re.findall(r"\d[\d,.]*\d", words)))
    return sorted(FORMULA.findall(text)), sorted(codes), sorted(links), numbers


# --- catalogues -----------------------------------------------------------------------------------------------------


def test_every_text_of_the_package_is_translated_and_no_other(translated):
    wanted = marked() | of_exercises() | {field.description: name for name, field in Recipe.model_fields.items()}
    missing = {text: place for text, place in wanted.items() if not translated.get(text)}
    assert not missing, f"{len(missing)} texts without Chinese: {missing}"
    assert not (left := translated.keys() - wanted.keys()), f"{len(left)} that nothing shows: {left}"


def test_a_translation_has_the_fields_of_its_text(translated):
    for text in marked():
        assert fields(text) == fields(translated[text]), text


def test_a_translation_has_chinese_marks(translated):
    """Beside a character stands no half-width colon, comma or semicolon; code, formulas, shapes and pairs aside."""
    aside = re.compile(r"`[^`]*`|\$[^$]*\$|\[[^]]*\]|（[^（）]*, [^（）]*）")
    for text, zh in translated.items():
        assert not re.search("[\u3400-\u9fff] ?[:,;]|[:,;] ?[\u3400-\u9fff]", aside.sub(" ", zh)), text


def test_an_error_is_looked_up_before_its_fields_are_filled_in():
    """A text made elsewhere may hold braces of its own; and an f-string is in no catalogue."""
    for name, call, place in calls():
        fields = [given for given in call.keywords if given.arg not in ("where", "fix", None)]
        if name in SPOKEN and call.args and "drawn" not in place:
            for text in spoken(call):
                assert not isinstance(text, ast.JoinedStr), place
                assert literals(text) or not fields, place


def test_underscore_is_one_thing_in_a_function():
    """``_`` gives a text in the language that is set; where it is also what nobody needs, it would be called."""
    for file in (ROOT / "minirbt_helpers").rglob("*.py"):
        table = symtable.symtable(file.read_text(encoding="utf-8"), str(file), "exec")
        tables = [table]
        while tables and (table := tables.pop()):
            tables += table.get_children()
            if table.get_type() == "function" and "_" in table.get_identifiers():
                symbol = table.lookup("_")
                assert symbol.is_global() or not symbol.is_referenced(), f"{file}, line {table.get_lineno()}"


def test_an_error_speaks_the_language_and_keeps_it(chinese):
    problem = CourseError("unknown label {label!r}", where="a.tsv", fix="one of {names}", label="{x}", names="甲, 乙")
    assert str(problem) == "a.tsv：没有 '{x}' 这个标签\n  -> 可选：甲, 乙"
    assert str(pickle.loads(pickle.dumps(problem))) == str(problem)
    assert str(CourseError("{a text} with braces of its own")) == "{a text} with braces of its own"
    with pytest.raises(CourseError, match=r"^/nowhere：没有这个模型文件夹\n  -> 请检查路径"):
        fetch_model("/nowhere")
    with pytest.warns(CourseWarning, match=r"^a\.tsv：1 行没有标签（第 2 行），已略去$"):
        odd = OddRows("a.tsv", kept=False)
        odd.add("without label", _("line {number}").format(number=2))
        odd.report(rows=3)


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
    with plt.rc_context():  # start sets matplotlib up
        lesson = start({"SCALE": "sample", "LANGUAGE": "zh"})
        try:
            assert chosen_language() == "zh" and HAN.search(capsys.readouterr().out)
            assert lesson.recipe == start({"SCALE": "sample", "LANGUAGE": "en"}).recipe
        finally:
            set_language("en")


# --- pictures -------------------------------------------------------------------------------------------------------

TWO_WORDS = re.compile(r"[A-Za-z]{2,}[ \n]+[A-Za-z]{2,}")
TEXT = "今天天气好"


def of_guesses():
    answers = {"teacher": [[("好", 0.5), ("冷", 0.2)]], "student, live": [[("冷", 0.4), ("好", 0.1)]]}
    question = {"text": "今天天气很[MASK]。", "answer": "好", "pinyin": "", "english": ""}
    yield insight.draw_mask_guesses(question["text"], answers, "好")
    yield insight.draw_cloze([question], {name: [places] for name, places in answers.items()})
    yield insight.draw_layer_guesses({"assistant": [[("好", 0.5)], [("冷", 0.7)]]}, "好")


def of_attention():
    words = ((0,), (1, 2), (3, 4), (5,), (6,))
    sentence = insight.Sentence(TEXT, tuple(range(7)), ("[CLS]", *TEXT, "[SEP]"), words)
    shares, states = torch.full((2, 2, 7, 7), 1 / 7), torch.arange(84.0).view(3, 7, 4)
    teacher, student = (insight.Reading(name, sentence, shares, states) for name in ("teacher", "student"))
    yield insight.draw_head(teacher, 1, 2)
    yield insight.draw_layer(teacher, 1)
    yield insight.draw_all_heads(student, "words")
    yield insight.draw_head_pair(teacher, student, 1, 1)
    yield insight.draw_word_binding({"one-stage": insight.word_binding([teacher, student])})


def of_hidden_states():
    yield insight.draw_cka({"CKA": np.eye(3)}, [(0, 0), (2, 2)], "teacher", "student")
    yield insight.draw_hidden_match(torch.ones(2, 3), torch.ones(2, 4), torch.full((2, 4), 2.0), ["好", "天"])


def of_losses():
    rows = [{"step": step, "loss": 9 / step, "kd": 8 / step, "hidden 2-1": 1 / step} for step in (1, 2)]
    yield insight.draw_losses({"student, live": rows})
    yield insight.draw_match_losses(rows)
    yield insight.draw_temperatures(torch.arange(20.0), load_tokenizer("data_samples/models/teacher"), (1, 8))


def of_scores():
    scores = {"tnews": {"teacher": [0.5], "no pre-training": [0.4, 0.425]}}
    colours, places = {"teacher": "teacher", "no pre-training": "other"}, {"teacher": 6.8, "no pre-training": 0.8}
    yield insight.draw_accuracies({"LTP": {"teacher": {"top1": 0.3, "masked": 100}}})
    yield insight.draw_accuracy_by_depth({"random": {6: {"top1": 0.3, "masked": 100}}}, 6)
    yield insight.draw_task_scores(scores, {"tnews": 0.1}, colours)
    yield insight.draw_learning_rates({"teacher": {1e-3: [0.4, 0.425]}}, {"teacher": 1e-3}, colours, 0.1)
    yield insight.draw_epochs({"tnews": {2: [0.5]}}, {"tnews": 0.1}, {"tnews": 0.2})
    yield insight.draw_quality(scores, places, "million parameters")
    yield insight.draw_kept_shares({"teacher": 0.9}, {"million parameters": places})


def of_speed():
    seconds = {part: [0.1, 0.2] for part in PARTS} | {WHOLE: [0.5, 0.6]}
    rates = {"128": {"256": {"FFN": 1e9}}}
    case = insight.SpeedCase("fp32", 1, 128, 1, "CPU", dict.fromkeys(ARCHITECTURES, seconds))
    yield insight.draw_speed_ups([case])
    yield insight.draw_time_parts({"teacher": seconds})
    yield insight.draw_speed_reasons({"published": {name: one.speed_up for name, one in ARCHITECTURES.items()}})
    yield insight.draw_product_rates([{"precision": "fp32", "peak": 1e9, "rates": rates}])


def of_words():
    tokenizer = load_tokenizer("data_samples/models/teacher")
    block = {"input_ids": tokenizer(TEXT)["input_ids"], "continues": [False, False, True, False, True, False, False]}
    masked = [2, 4, 4, 9, *block["input_ids"][4:]]
    panel = {"input_ids": masked, "labels": [-100, *block["input_ids"][1:5], -100, -100]}
    yield insight.draw_words({"LTP": ["今天", "天气"]})
    yield insight.draw_blocks([block, block], tokenizer)
    yield insight.draw_masking(block, {"LTP": panel}, tokenizer)


def of_family():
    states = [insight.Tower("teacher", ("embeddings", "1"), 768), insight.Tower("student", ("embeddings", "1"), 256)]
    yield insight.draw_family("sample", 6400)
    yield insight.draw_two_stages("sample")
    yield insight.draw_layer_pairs({"KD": (*states, [(0, 0)])})


def of_sizes():
    yield insight.draw_parameters(ARCHITECTURES.values(), "full", 21128)


def of_tables():
    yield insight.draw_table(insight.parameter_table())
    yield insight.draw_table([{"model": "student", "taught by": "teacher", "gain": str(judge(0.1, 0.01))}])


def said(picture) -> list[str]:
    """All that a reader of a picture sees, hovers over or is read out."""
    if isinstance(picture, Figure):
        picture.draw_without_rendering()
        return [picture.alt, *(text.get_text() for text in picture.findobj(Text))]
    html = picture._repr_html_()
    named = chain(*re.findall(r'aria-label="([^"]*)"|<title>(.*?)</title>', html, re.S))
    shapes = [shape.text for shape in getattr(picture, "shapes", ()) if hasattr(shape, "text")]
    beside = said(picture.drawing) if hasattr(picture, "drawing") else []
    return [*named, *shapes, re.sub(r"<style>.*?</style>|<[^>]*>", " | ", html, flags=re.S), *beside]


OF_A_FILE = (
    of_attention, of_family, of_guesses, of_hidden_states, of_losses, of_scores, of_sizes, of_speed, of_tables,
    of_words,
)  # fmt: skip


@pytest.mark.filterwarnings("error:Glyph")  # the font has every character
@pytest.mark.parametrize("pictures", first(OF_A_FILE))
def test_a_picture_speaks_chinese(chinese, pictures):
    """No two English words stand side by side: what is left are names of models, formats and units."""
    with plt.rc_context():
        prepare_figures()
        for picture in pictures():
            for text in said(picture):
                assert not TWO_WORDS.search(text), (TWO_WORDS.search(text), text)
    plt.close("all")


@pytest.mark.parametrize("role", ["teacher", "assistant", "student", "one-stage"])
def test_a_model_has_its_colour_in_both_languages(chinese, role):
    assert role_of(f"{_(role)}，在线") == role_of(f"{role}, live") == role
    assert shown_name(f"{role}, live") == f"{_(role)}，{_('live')}" and HAN.search(_(role))


def test_a_shape_has_one_colour_by_either_name():
    for folder, shape in SHAPES.items():
        assert own_colour_of(folder) == own_colour_of(shape)
    assert len({own_colour_of(name) for name in ("h288", "h312", "student", "no pre-training")}) == 4


def test_a_shape_is_written_as_its_authors_write_it(chinese):
    shown = {name: shown_name(name) for name in insight.model_folders(ROOT / "data_samples" / "models")}
    assert shown | {"rbt3": "RBT3", "h288": "MiniRBT-H288", "h312": "RBT4-H312"} == shown
    assert all(name not in text for name, text in shown.items()), shown


def test_a_ruling_is_compared_in_english_and_shown_in_the_language(chinese):
    found = judge(0.1, 0.01)
    assert found.ruling == "higher" and not TWO_WORDS.search(str(found)) and _("higher") in str(found)


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
    english, chinese = (stored(ROOT / "notebooks" / folder / name) for folder in ("", "zh"))
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


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_stored_question_is_the_one_that_is_asked(language):
    with speaking(language):
        for path in notebooks(language):
            asked = [cell for cell in stored(path).cells if "exercise-question" in cell.metadata.get("tags", [])]
            for cell in asked:
                (output,) = cell.outputs
                assert output.data["text/html"] == static_html(find_question(cell.metadata[MARK]["entry"])), cell.id


def test_both_languages_have_the_same_notebooks():
    for language in LANGUAGES:
        assert [path.name for path in notebooks(language)] == [path.name for path in notebooks()]


def alt_texts(notebook) -> list[str]:
    """What the stored pictures say to those who do not see them."""
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    return [
        output.metadata["image/png"]["alt"]
        for output in outputs
        if "alt" in output.get("metadata", {}).get("image/png", {})
    ]


@pytest.mark.slow
def test_a_language_is_a_papermill_parameter(tmp_path):
    """The English tour with LANGUAGE=zh: what the package shows is Chinese, and every character has a glyph."""
    book = papermill.execute_notebook(
        str(ROOT / "notebooks" / "00_tour.ipynb"), str(tmp_path / "tour.ipynb"),
        {"LANGUAGE": "zh", "OUTPUT_DIR": str(tmp_path / "runs")}, cwd=str(ROOT / "notebooks"), progress_bar=False,
    )  # fmt: skip
    said = "".join(output.get("text", "") for cell in book.cells for output in cell.get("outputs", []))
    assert "规模 sample" in said and "missing from font" not in said
    sources = "".join(cell.source for cell in book.cells)  # words that a cell itself gives a picture are as it has them
    alts = [alt for alt in alt_texts(book) if alt[:20] not in sources]
    assert len(alts) > 2 and all(map(HAN.search, alts))


def bare_text(source: str) -> str:
    """What a page shows of a Markdown text as text, code and formulas aside."""
    return "".join(
        part.content
        for block in MarkdownIt("commonmark").enable("table").parse(FORMULA.sub(" ", source))
        for part in block.children or []
        if part.type == "text"
    )


@pytest.mark.parametrize("path", [*notebooks("zh"), *(ROOT / "docs" / "zh").glob("*.md")], ids=lambda path: path.stem)
def test_no_star_is_left_over(path):
    """Between a Chinese mark and a character a closing ``**`` is none: the mark must stand outside of it."""
    if path.suffix == ".md":
        texts = {path.name: path.read_text(encoding="utf-8")}
    else:
        cells = stored(path).cells
        texts = {cell.id: cell.source for cell in cells if cell.cell_type == "markdown"}
    for name, text in texts.items():
        assert "*" not in bare_text(text.replace("*.txt", "")), f"{path.name}, {name}"


@pytest.mark.parametrize("path", notebooks("zh"), ids=lambda path: path.stem)
def test_the_pictures_of_a_chinese_notebook_speak_chinese(path):
    for alt in alt_texts(stored(path)):
        assert HAN.search(alt), alt
