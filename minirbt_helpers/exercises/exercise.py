"""What an exercise and a quick question are, and the shelf that holds those of one notebook."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from ..language import N_, _

Slip = Callable[..., object]  # takes what the solution takes, and makes one known mistake
Sign = Callable[..., object]  # takes the reader's answer and the case's arguments; true where the fault shows
UNANSWERED = N_("# your code")
IN_STUBS = ("torch", "numpy")  # modules that a stub imports because the solution needs them


@dataclass(frozen=True)
class Exercise:
    """One exercise: what is asked, how it is checked, and how it is solved.

    Attributes:
        name: of the exercise and of the function that the reader writes.
        notebook: the notebook's file, without its ending.
        title: in a few words.
        difficulty: 1 to 3.
        minutes: that most readers need.
        use: what the few lines are good for.
        solve: the solution. Its docstring is the statement, its signature is the stub's.
        cases: gives the arguments of all cases, the smallest first.
        hints: two, the second says more.
        remark: what is easy to get wrong.
        slips: known mistakes: what the reader is told, and a function that makes the mistake.
        signs: faults that show in an answer: what the reader is told, and a function that finds the fault.
        raises: exceptions that known mistakes raise: the name, and what the reader is told.
        helpers: what must not be called here: ``package.module.function``, or the bare name of a compiled function.
        tolerance: largest relative error of a number that counts as right.
    """

    name: str
    notebook: str
    title: str
    difficulty: int
    minutes: int
    use: str
    solve: Callable
    cases: Callable[[], Sequence[tuple]]
    hints: tuple[str, str]
    remark: str
    slips: Sequence[tuple[str, Slip]] = ()
    signs: Sequence[tuple[str, Sign]] = ()
    raises: Mapping[str, str] = field(default_factory=dict)
    helpers: tuple[str, ...] = ()
    tolerance: float = 1e-4

    @property
    def statement(self) -> str:
        """What is asked, as markdown, in the language that is set."""
        return _(inspect.cleandoc(self.solve.__doc__))

    def translated(self) -> "Exercise":
        """The same exercise in the language that is set."""
        return replace(
            self,
            title=_(self.title),
            use=_(self.use),
            hints=tuple(map(_, self.hints)),
            remark=_(self.remark),
            slips=[(_(said), slip) for said, slip in self.slips],
            signs=[(_(said), sign) for said, sign in self.signs],
            raises={name: _(said) for name, said in self.raises.items()},
        )

    @property
    def parameters(self) -> list[str]:
        """The names of the function's arguments."""
        return list(inspect.signature(self.solve).parameters)

    @property
    def stub(self) -> str:
        """The source a reader begins with: imports, signature, no body."""
        lines, node = self._source
        signature = "\n".join(lines[node.lineno - 1 : node.body[0].lineno - 1])
        return self._with_imports(f"{signature}\n    ...  {_(UNANSWERED)}", only=IN_STUBS)

    @property
    def solution(self) -> str:
        """The source of the solution, which runs by itself."""
        lines, node = self._source
        signature = lines[node.lineno - 1 : node.body[0].lineno - 1]
        body = lines[node.body[0].end_lineno : node.end_lineno]  # after the docstring
        return self._with_imports("\n".join([*signature, *body]))

    @cached_property
    def _source(self) -> tuple[list[str], ast.FunctionDef]:
        text = textwrap.dedent(inspect.getsource(self.solve))
        return text.splitlines(), ast.parse(text).body[0]

    def _with_imports(self, code: str, only: Sequence[str] | None = None) -> str:
        """The code below the imports of its module that it needs; of those for the body alone, some."""
        node = self._source[1]
        signature = _names([node.args, *[node.returns] * bool(node.returns)])
        names = signature | _names(node.body)
        lines = []
        for line in ast.parse(inspect.getsource(inspect.getmodule(self.solve))).body:
            for alias in line.names if isinstance(line, ast.Import | ast.ImportFrom) else ():
                known, module = alias.asname or alias.name, getattr(line, "module", None) or alias.name
                if known in names and (only is None or known in signature or module in only):
                    renamed = f" as {alias.asname}" if alias.asname else ""
                    source = f"from {module} " if isinstance(line, ast.ImportFrom) else ""
                    lines.append(f"{source}import {alias.name}{renamed}")
        return "\n".join(lines) + "\n\n\n" * bool(lines) + code


def _names(nodes: Sequence[ast.AST]) -> set[str]:
    """The names that pieces of code use."""
    return {one.id for node in nodes for one in ast.walk(node) if isinstance(one, ast.Name)}


@dataclass(frozen=True)
class Question:
    """A quick question: one choice or one number.

    Attributes:
        name: of the question.
        notebook: the notebook's file, without its ending.
        text: what is asked, as markdown without formulas.
        answer: the right choice, or the right number.
        reason: shown after answering.
        wrong: the other choices, each with the reply to whoever chooses it; empty: a number is asked for.
        tolerance: largest relative error of a number that counts as right.
    """

    name: str
    notebook: str
    text: str
    answer: str | float
    reason: str
    wrong: Mapping[str, str] = field(default_factory=dict)
    tolerance: float = 0.01

    def translated(self) -> "Question":
        """The same question in the language that is set."""
        return replace(
            self,
            text=_(self.text),
            answer=_(self.answer) if isinstance(self.answer, str) else self.answer,
            reason=_(self.reason),
            wrong={_(choice): _(said) for choice, said in self.wrong.items()},
        )

    @property
    def choices(self) -> dict[str, str]:
        """All choices in the order of the alphabet, each with its reply; none where a number is asked for."""
        return dict(sorted({str(self.answer): "", **self.wrong}.items())) if self.wrong else {}


class Shelf:
    """The exercises and questions of one notebook, in reading order.

    Args:
        notebook: the notebook's file, without its ending.
        title: as its heading says.
    """

    def __init__(self, notebook: str, title: str):
        self.notebook, self.title = notebook, title
        self.exercises: list[Exercise] = []
        self.questions: list[Question] = []

    def exercise(self, **settings) -> Callable[[Callable], Callable]:
        """Put an exercise on the shelf whose solution is the decorated function; settings as :class:`Exercise`."""

        def put(solve: Callable) -> Callable:
            self.exercises.append(Exercise(solve.__name__, self.notebook, solve=solve, **settings))
            return solve

        return put

    def question(self, name: str, text: str, answer: str | float, reason: str, **settings) -> None:
        """Put a quick question on the shelf; settings as :class:`Question`."""
        self.questions.append(Question(name, self.notebook, text, answer, reason, **settings))
