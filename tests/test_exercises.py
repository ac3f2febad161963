"""The room of exercises: every checker is strict, says what is wrong, and gives nothing away."""

import contextlib
import copy
import dataclasses
import functools
import itertools
import json
import pkgutil
import re
import sys
import threading
import time
from importlib import import_module

import nbformat
import numpy as np
import pytest
import torch
from conftest import QUICK, first, stored
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import jensenshannon
from scipy.stats import sem
from torch.nn import functional as F

from minirbt_helpers import exercises
from minirbt_helpers.course import notebooks
from minirbt_helpers.errors import CourseError
from minirbt_helpers.exercises import cells, checking, quizzes, records
from minirbt_helpers.exercises.catalogue import EXERCISES, QUESTIONS, SHELVES, find, find_question
from minirbt_helpers.exercises.checking import judge
from minirbt_helpers.exercises.comparing import difference, plain, show
from minirbt_helpers.exercises.exercise import Exercise

WRONG = {
    name: answers
    for shelf in SHELVES
    for name, answers in import_module(f"wrong_answers.of_{shelf.notebook}").WRONG.items()
}
PLANTED = [(name, wrong) for name, answers in WRONG.items() for wrong in answers[: 1 if QUICK else None]]


LIMIT = checking.SECONDS
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # helpers of torch, called with odd shapes


@pytest.fixture(autouse=True)
def workspace(tmp_path, monkeypatch):
    """Records go into a workspace of the test's own, and no right answer is cut off on a busy machine."""
    monkeypatch.setattr(records, "default_runs", lambda: tmp_path)
    monkeypatch.setattr(checking, "SECONDS", 60.0)
    return tmp_path


def run(source: str) -> dict:
    """The names that a cell's source makes."""
    made: dict = {}
    exec(source, made)
    return made


# --- every exercise -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_the_stub_is_unanswered_and_the_solution_passes(exercise):
    unanswered = judge(exercise, run(exercise.stub)[exercise.name])
    assert not unanswered.passed and not unanswered.answered and "nothing is returned yet" in unanswered.message
    solved = judge(exercise, run(exercise.solution)[exercise.name])
    assert solved.passed, solved.message


@pytest.mark.parametrize(("name", "wrong"), PLANTED, ids=[f"{name}: {wrong.fault}" for name, wrong in PLANTED])
def test_a_planted_wrong_answer_fails_with_a_message_that_points_at_its_fault(name, wrong):
    verdict = judge(find(name), wrong.answer)
    assert not verdict.passed and verdict.answered
    assert wrong.says in verdict.message, verdict.message
    assert not leaks(find(name), verdict.message), verdict.message


def leaks(exercise: Exercise, message: str) -> list[str]:
    """Lines of the solution, and the right answer of the case that the message shows, as far as they stand in it."""
    body = [line.strip() for line in exercise.solution.splitlines() if line.startswith("    ")]
    shown = [line for line in body if len(line) > 12 and line in message]
    said = re.sub("(?m)^    .*?(: |$)", "", message)  # without the inputs and the reader's own answer
    for given in exercise.cases():
        inputs = ", ".join(f"{name}={show(value)}" for name, value in zip(exercise.parameters, given, strict=True))
        right = show(plain(exercise.solve(*copy.deepcopy(given))))
        if inputs in message and len(right) > 4 and right in said:
            shown.append(right)
    return shown


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_an_exercise_is_complete(exercise):
    assert len(WRONG[exercise.name]) >= 5
    assert 1 <= exercise.difficulty <= 3 and 5 <= exercise.minutes <= 25
    assert len(exercise.hints) == 2 and exercise.remark and exercise.use
    assert max(map(len, f"{exercise.stub}\n{exercise.solution}".splitlines())) <= 100, "code cells do not scroll"
    assert 1 <= len(exercise.solution.splitlines()) <= 25


@pytest.mark.slow  # all of them together; the planted wrong answers above are judged by the same code
@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_every_known_mistake_is_one(exercise):
    """The cases tell each slip from the right answer and from the other slips: nobody is told another's fault."""
    for fault, slip in exercise.slips:
        verdict = judge(dataclasses.replace(exercise, helpers=()), slip)
        assert fault in verdict.message, (fault, verdict.message)


def test_each_notebook_has_a_file_of_exercises():
    assert {path.stem for path in notebooks()} >= {shelf.notebook for shelf in SHELVES}


def test_each_notebook_has_four_to_six_exercises_and_three_to_five_questions():
    for shelf in SHELVES:
        assert 4 <= len(shelf.exercises) <= 6, shelf.notebook
        assert 3 <= len(shelf.questions) <= 5, shelf.notebook
    assert len(EXERCISES) == sum(len(shelf.exercises) for shelf in SHELVES), "a name is used twice"
    assert not EXERCISES.keys() & QUESTIONS.keys()


# --- by hand equals helper ------------------------------------------------------------------------------------------


def counted(layers, hidden, ffn, vocabulary, positions):
    from transformers import BertConfig, BertForMaskedLM

    shape = {"num_hidden_layers": layers, "hidden_size": hidden, "intermediate_size": ffn, "num_attention_heads": 1}
    with torch.device("meta"):
        model = BertForMaskedLM(BertConfig(vocab_size=vocabulary, max_position_embeddings=positions, **shape))
    return sum(weight.numel() for weight in model.parameters())


def in_one_layer(hidden, ffn):
    from transformers import BertConfig
    from transformers.models.bert.modeling_bert import BertLayer

    with torch.device("meta"):
        layer = BertLayer(BertConfig(hidden_size=hidden, intermediate_size=ffn, num_attention_heads=1))
    return sum(weight.numel() for weight in layer.parameters())


def worked(hidden, ffn, length):
    from transformers import BertConfig

    from minirbt_helpers.training import operations

    parts = operations(BertConfig(hidden_size=hidden, intermediate_size=ffn, num_hidden_layers=1), length)
    return int(parts["attention"] + parts["FFN"])


def scheduled(step, steps, highest, warmup):
    from minirbt_helpers.recipe import load_recipe
    from minirbt_helpers.training.loop import learning_rate

    return learning_rate(load_recipe("full", steps=steps, learning_rate=highest, warmup=warmup, decay=1.0), step)


def by_autograd(student, teacher, temperature):
    student = student.clone().requires_grad_()
    soft = (F.log_softmax(student / temperature, -1), F.log_softmax(teacher / temperature, -1))
    (temperature**2 * F.kl_div(*soft, reduction="batchmean", log_target=True)).backward()
    return student.grad


def clipped_by_torch(gradients, limit):
    weights = [torch.nn.Parameter(torch.zeros_like(one)) for one in gradients]
    for weight, gradient in zip(weights, gradients, strict=True):
        weight.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_(weights, limit)
    return [weight.grad for weight in weights]


def from_room(path):
    """A helper of the house, imported when it is first asked."""
    return lambda *given: pkgutil.resolve_name(f"minirbt_helpers.{path}")(*given)


def assigned(distances):
    rows, columns = linear_sum_assignment(distances)
    return [row for _, row in sorted(zip(columns.tolist(), rows.tolist(), strict=True))]


def tables_apart(p, q):
    """Jensen-Shannon through SciPy, which gives its root in nats or bits."""
    return float(np.mean(jensenshannon(p.T.double(), q.T.double(), base=2, axis=0) ** 2))


def stepped(weight, batches, rate):
    """Gradient descent with the gradient in closed form, in double precision."""
    weight = weight.double()
    for number, (states, p) in enumerate(batches):
        off = torch.softmax(states.double() @ weight.T, -1) - p
        weight = weight - rate * (1 - number / len(batches)) * torch.einsum("mv,mw->vw", off, states.double()) / len(p)
    return weight


def way_by_textbrewer(student, teacher, temperature):
    from textbrewer.losses import kd_ce_loss

    even, own = torch.zeros_like(teacher), teacher
    losses = [kd_ce_loss(logits, teacher, temperature) for logits in (even, student, own)]
    return (losses[0] - losses[1]) / (losses[0] - losses[2])


def by_scipy(apart, factor):
    return float(apart.mean()), factor * float(sem(apart))


HELPERS_AGREE = {
    "token_fates": lambda *given: [
        {"kept": "not asked"}.get(state, state) for state in map(str, from_room("insight.masking_states")(*given))
    ],
    "word_places": from_room("text.word_spans"),
    "layer_parameters": in_one_layer,
    "mlm_loss": F.cross_entropy,
    "soften": lambda logits, temperature: torch.softmax(logits / temperature, -1),
    "kl_at": lambda student, teacher, temperature: F.kl_div(
        F.log_softmax(student / temperature, -1), F.softmax(teacher / temperature, -1), reduction="batchmean"
    ),
    "kd_gradient": by_autograd,
    "layer_partners": from_room("training.layer_pairs"),
    "projected_match": lambda s, t, weight, bias: F.mse_loss(F.linear(s, weight, bias), t),
    "train_student": stepped,
    "kd_way": way_by_textbrewer,
    "paired_interval": lambda ours, theirs, factor: by_scipy(np.subtract(ours, theirs), factor),
    "overlap_f1": lambda prediction, answer: from_room("tasks.metrics._f1")(prediction, answer),
    "between_words": lambda attention, words: from_room("insight.word_shares")(attention[None, None], words)[0, 0],
    "head_distance": tables_apart,
    "cka": from_room("insight.linear_cka"),
    "best_match": assigned,
    "model_parameters": counted,
    "layer_work": worked,
    "rate_at": scheduled,
    "clipped": clipped_by_torch,
}


@pytest.mark.parametrize("name", HELPERS_AGREE)
def test_solutions_agree_with_helpers_and_libraries(name):
    exercise = find(name)
    for given in exercise.cases():
        ours, theirs = (plain(function(*copy.deepcopy(given))) for function in (exercise.solve, HELPERS_AGREE[name]))
        assert not difference(theirs, ours, 1e-3), given


# --- what a checker bears -------------------------------------------------------------------------------------------


def endless(*_):
    while True:
        pass


def stubborn(*_):
    while True:
        with contextlib.suppress(Exception):
            time.sleep(0.001)


def raising(*_):
    raise ValueError("no idea")


def leaving(*_):
    raise SystemExit(3)


def deep(*given):
    return deep(*given)


class Odd:
    def __eq__(self, other):
        return True

    def __repr__(self):
        raise RuntimeError


ODD_ANSWERS = [
    ("endless", endless, "stopped after"),
    ("stubborn", stubborn, "stopped after"),
    ("raises", raising, "ValueError: no idea"),
    ("leaves", leaving, "SystemExit"),
    ("never ends its recursion", deep, "RecursionError"),
    ("too few arguments", lambda: 1, "TypeError"),
    ("a class of its own", lambda *_: Odd(), "Odd is no number"),
    ("equal to everything", lambda *_: [Odd()], "Odd is no number"),
    ("text", lambda *_: "abc", "a set is asked for"),
    ("an endless generator", lambda *_: iter(int, 1), "too many"),
    ("a table", lambda *_: torch.zeros(3, 4), "too many"),
    ("nan", lambda *_: {float("nan")}, "too many"),
]


@pytest.mark.parametrize(("answer", "says"), [case[1:] for case in ODD_ANSWERS], ids=[case[0] for case in ODD_ANSWERS])
def test_a_checker_bears_any_answer(answer, says, monkeypatch):
    if says == "stopped after":
        monkeypatch.setattr(checking, "SECONDS", 0.1)
    verdict = judge(find("whole_words"), answer)
    assert not verdict.passed and says in verdict.message, verdict.message


def test_a_check_takes_at_most_two_seconds():
    assert LIMIT + checking.PATIENCE < 2


def test_the_watch_ends_with_the_check(monkeypatch):
    monkeypatch.setattr(checking, "SECONDS", 0.1)
    before = threading.active_count()
    judge(find("whole_words"), endless)
    assert sys.getprofile() is None and threading.active_count() <= before


def test_what_is_no_function_gets_a_friendly_line():
    assert "without brackets" in judge(find("whole_words"), {3}).message


def test_changed_arguments_are_seen_and_disturb_nothing():
    def eats(words, order, budget):
        chosen = set()
        while order:
            word = words[order.pop(0)]
            chosen |= set(word) if len(chosen) + len(word) <= budget else set()
        return chosen

    verdict = judge(find("whole_words"), eats)
    assert not verdict.passed and "changes order. Work on a copy" in verdict.message
    assert judge(find("whole_words"), find("whole_words").solve).passed


def test_answers_may_come_in_any_form():
    solve = find("whole_words").solve
    for form in (
        list,
        tuple,
        frozenset,
        lambda chosen: torch.tensor(sorted(chosen)),
        lambda chosen: np.array([*chosen]),
    ):
        assert judge(find("whole_words"), lambda *given, form=form: form(solve(*given))).passed


def test_a_message_says_how_far_and_on_which_smallest_input():
    message = judge(find("whole_words"), lambda words, order, budget: set()).message
    assert "right in 2 of 8 cases" in message and "words=[[1]], order=[0], budget=1" in message
    assert "1 missing" in message and "hint('whole_words')" in message


DIFFERENCES = [
    ([[1, 2], [3]], [[1, 4], [3]], "first list, place 1: 4 is not right"),
    ([[1, 2], [3]], [[1, 2, 3]], "first list: 1 entry too many; besides, 1 list too few"),
    ([(0, 1), (1, 3)], [(0, 1), (1, 2)], "second pair, place 1: 2 is not right"),
    ([(0, 1)], [0], "place 0, 0: a pair is asked for"),
    ([(0, 1)], [[0, 1]], ""),
    (["mask"], ["random"], "place 0: 'random' is not right"),
    ([0.5], [1.0], "place 0, 1: too high, by a factor of 2"),
    (0.5, 50.0, "too high, by a factor of 100: is it in per cent?"),
    ([1, 2, 3], [1], "2 entries too few"),
]


@pytest.mark.parametrize(("right", "answer", "says"), DIFFERENCES, ids=[case[2] for case in DIFFERENCES])
def test_a_difference_says_where(right, answer, says):
    assert difference(plain(right), plain(answer), 1e-4) == says


def test_an_answer_is_shown_in_its_own_form():
    assert "you return [(0, 0)]: first pair" in judge(find("word_places"), lambda *_: [(0, 0)]).message


def test_the_first_exercise_of_a_notebook_explains_the_marks():
    made = [cell for name in ("cut_agreement", "pack_lines") for cell in cells.exercise_cells(name)]
    renewed = cells.renew_cells(nbformat.v4.new_notebook(cells=made)).cells
    assert [place for place, cell in enumerate(renewed) if "The minutes include reading." in cell.source] == [0]


# --- helpers --------------------------------------------------------------------------------------------------------


def test_the_helper_itself_is_refused_by_whatever_way():
    from minirbt_helpers.insight import masking_states

    @functools.wraps(masking_states)
    def wrapped(*given):
        return masking_states(*given)

    def hidden(*given):
        from minirbt_helpers import insight

        return [str(state) for state in getattr(insight, "masking_" + "states")(*given)]

    for answer in (masking_states, wrapped, functools.partial(masking_states), lambda *given: wrapped(*given), hidden):
        verdict = judge(find("token_fates"), answer)
        assert not verdict.passed and "calls masking_states." in verdict.message


HELPERS = [(one.name, helper) for one in EXERCISES.values() for helper in one.helpers if "." in helper]


@pytest.mark.parametrize(("name", "helper"), HELPERS, ids=[f"{name}: {helper}" for name, helper in HELPERS])
def test_every_helper_exists_and_is_refused(name, helper):
    verdict = judge(find(name), functools.partial(pkgutil.resolve_name(helper)))
    assert not verdict.passed and f"calls {helper.rpartition('.')[2]}." in verdict.message


COMPILED = [(one.name, helper) for one in EXERCISES.values() for helper in one.helpers if "." not in helper]


@pytest.mark.parametrize(("name", "helper"), COMPILED, ids=[f"{name}: {helper}" for name, helper in COMPILED])
def test_every_compiled_helper_is_refused(name, helper):
    places = (torch, torch.Tensor, torch._C._special, torch.nn.functional, import_module("scipy.optimize"), itertools)
    function = next(getattr(place, helper) for place in places if hasattr(place, helper))

    def calls(*given):
        with contextlib.suppress(Exception):
            function(*given)
        return find(name).solve(*given)

    assert f"calls {helper}." in judge(find(name), calls).message


# --- what a learner types -------------------------------------------------------------------------------------------


def test_check_notes_success_and_nothing_else(workspace, capsys):
    exercises.check("whole_words", lambda *_: set())
    assert not (workspace / records.FILE).exists()
    exercises.check("whole_words", find("whole_words").solve)
    assert "1 of 6 exercises of this notebook are done" in capsys.readouterr().out
    first = records.read_record()
    assert list(first["exercises"]) == ["whole_words"]
    exercises.check("whole_words", find("whole_words").solve)
    assert records.read_record() == first, "the first time counts"


def test_a_damaged_record_is_put_aside_and_an_unwritable_one_is_said(workspace, capsys, monkeypatch):
    file = workspace / records.FILE
    file.write_text("{", encoding="utf-8")
    exercises.check("whole_words", find("whole_words").solve)
    assert json.loads(file.read_text(encoding="utf-8"))["exercises"]
    assert file.with_suffix(".damaged.json").read_text(encoding="utf-8") == "{"
    monkeypatch.setattr(records, "default_runs", lambda: file)  # a file where a folder is needed
    exercises.check("whole_words", find("whole_words").solve)
    said = capsys.readouterr().out
    assert said.count("Well done") == 2 and "could not be recorded" in said


def test_hints_come_in_two_steps_and_the_solution_with_its_remark(capsys):
    exercises.hint("whole_words")
    assert "hint('whole_words', 2)" in capsys.readouterr().out
    exercises.hint("whole_words", 2)
    assert find("whole_words").hints[1] in capsys.readouterr().out
    exercises.solution("whole_words")
    said = capsys.readouterr().out
    assert "def whole_words" in said and find("whole_words").remark in said
    with pytest.raises(CourseError, match="no hint 3"):
        exercises.hint("whole_words", 3)


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(CourseError) as caught:
        exercises.check("whole_word", print)
    assert "whole_words" in caught.value.fix
    with pytest.raises(CourseError, match="no question"):
        exercises.quiz("whole_words")


# --- quick questions ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_a_question_is_answered_rightly_by_its_answer_only(question):
    assert quizzes.is_right(question, question.answer) and question.reason
    for wrong, said in question.wrong.items():
        assert said and not quizzes.is_right(question, wrong)
        assert question.reason not in quizzes.reply(question, wrong), "a second try must be worth while"
    if not question.wrong:
        assert not quizzes.is_right(question, question.answer * 1.1 + 1)
        assert question.reason not in quizzes.reply(question, question.answer * 1.1 + 1), "first a second try"
        assert question.reason in quizzes.reply(question, question.answer * 0.5), "then the reason"


def test_a_question_scores_its_first_answer(workspace, capsys):
    letter = "abcd"[[*find_question("last_of_the_budget").choices].index(find_question("last_of_the_budget").answer)]
    exercises.quiz("budget_of_forty", 7)
    exercises.quiz("budget_of_forty", "6")
    exercises.quiz("last_of_the_budget", letter)
    assert records.read_record()["questions"] == {"budget_of_forty": False, "last_of_the_budget": True}
    assert capsys.readouterr().out.splitlines()[1].startswith("Right. 15% of 40")
    for name, answer in (("budget_of_forty", "six"), ("last_of_the_budget", "z")):
        with pytest.raises(CourseError, match="no "):
            exercises.quiz(name, answer)


def test_a_static_page_answers_by_unfolding():
    for question in QUESTIONS.values():
        page = quizzes.static_html(question)
        assert page.count("<details") == max(1, len(question.choices))
        assert "<script" not in page and "http" not in page
    assert ">8.1%. 0.15²" in quizzes.static_html(find_question("half_word_two_tokens"))


def test_a_wrong_number_gets_a_direction_first():
    said = [quizzes.reply(find_question("budget_of_forty"), number) for number in (7, 5)]
    assert said[0] == "Not quite: too high. Try once more."
    assert said[1].startswith("Not quite: too low. 15% of 40")
    assert "in per cent, please" in quizzes.reply(find_question("half_word_two_tokens"), 0.081)


def test_the_live_question_answers_and_carries_the_static_one(monkeypatch):
    control = quizzes._control(find_question("last_of_the_budget"))
    _, entry, button, screen = control.children
    button.click()
    assert screen.value == "Choose an answer first."
    entry.value = find_question("last_of_the_budget").answer
    button.click()
    assert screen.value.startswith("Right.")
    shown = []
    monkeypatch.setattr(quizzes, "headless", lambda: False)
    monkeypatch.setattr(quizzes, "display", lambda bundle, raw: shown.append(bundle))
    exercises.quiz("last_of_the_budget")
    assert "<details" in shown[0]["text/html"] and "application/vnd.jupyter.widget-view+json" in shown[0]


# --- progress -------------------------------------------------------------------------------------------------------


def test_progress_draws_and_says_what_is_done():
    from minirbt_helpers.exercises.picture import Progress

    records.note_success("whole_words")
    records.note_success("an exercise of an older edition")
    records.note_answer("budget_of_forty", False)
    shown = Progress()
    assert "01 Whole-word masking: 1 of 6 exercises, 0 of 4 questions" in repr(shown)
    page = shown.html()
    assert f'aria-label="1 of {len(EXERCISES)} exercises done.' in page, "a screen reader hears the same"
    assert "whole_words: Whole words under a budget (done)" in page and "<details>" in page
    bundle, _ = shown._repr_mimebundle_()
    assert bundle["text/html"] == page and bundle["image/png"], "GitHub's viewer shows the PNG"


# --- cells ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", first([*EXERCISES]))
def test_cells_run_unanswered_and_pass_when_answered(name, capsys):
    statement, stub, check, folded = cells.exercise_cells(name)
    assert find(name).statement in statement.source and find(name).solution in folded.source
    assert folded.source.count("<details>") == folded.source.count("</details>") == 3
    for code, says in ((stub.source, "nothing is returned yet"), (find(name).solution, "Well done!")):
        exec(f"{code}\n{check.source}", {})
        assert says in capsys.readouterr().out


def test_cells_make_a_valid_notebook_that_is_renewed_in_place():
    own = nbformat.v4.new_markdown_cell("The idea.")
    made = [own, *cells.exercise_cells("whole_words", first=True), *cells.question_cells("budget_of_forty")]
    book = nbformat.v4.new_notebook(cells=copy.deepcopy(made))
    nbformat.validate(book)
    book.cells[2].source = "def whole_words(): an old stub"
    book.cells[3].outputs = [nbformat.v4.new_output("stream", text="kept")]
    del book.cells[4]
    renewed = cells.renew_cells(book)
    nbformat.validate(renewed)
    assert [cell.source for cell in renewed.cells] == [cell.source for cell in made]
    assert renewed.cells[3].outputs and cells.renew_cells(renewed) == renewed
    book.cells[1].metadata["minirbt"]["entry"] = "gone"
    with pytest.raises(CourseError, match="no exercise 'gone'"):
        cells.renew_cells(book)


@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_notebooks_hold_the_cells_that_their_entries_make(path):
    content = stored(path)
    assert [cell.source for cell in cells.renew_cells(content).cells] == [cell.source for cell in content.cells]


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_a_statement_has_an_example_that_is_true(exercise):
    examples = re.findall(r"`(\w+\([^`]*\))`\s+gives\s+`([^`]*)`", exercise.statement)
    assert examples
    known = {exercise.name: exercise.solve, "tensor": torch.tensor}
    for call, shown in examples:
        truth, said = (plain(eval(code.replace("…", ""), known)) for code in (call, shown))
        assert not difference(truth, said, 3e-3), (call, shown)


def test_statements_gloss_their_chinese():
    """Wherever a statement or a question shows Chinese, a gloss in quotation marks stands beside it."""
    texts = {one.name: one.statement for one in EXERCISES.values()}
    texts |= {one.name: one.text for one in QUESTIONS.values()}
    for name, text in texts.items():
        assert not re.search("[\u4e00-\u9fff]", text) or "“" in text, name
