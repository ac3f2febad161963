"""The seven tasks of the published table, and tasks of your own (notebook 05)."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from datasets import Dataset

from ..errors import CourseError, note
from ..hub import is_hub_id
from ..language import N_, _
from ..workspace import resolve
from .formats import Labels, Layout, Row, read_questions
from .hub import Hub, read_hub

Split = Literal["train", "dev", "test"]
Files = Mapping[Split, tuple[str, ...]]
TEACHER_LAYERS = 12


@dataclass(frozen=True)
class Task:
    """A task.

    Attributes:
        name: also the name of its folder.
        title: what is asked, in a few words.
        files: the file names a split may have; the first that exists is read.
        layout: where the files keep texts and labels; None: passages with questions.
        learning_rates: the published best ones, for the teacher and for small models.
        answers: every label as the files spell it, in the order of the indices, with its meaning in
            plain English; empty where the answer is a span of a passage.
        sizes: official numbers of rows of train, dev and test (without OCNLI's rows that have no label).
        address: where its publisher hands it out.
        hub: where a hub has it.
    """

    name: str
    title: str
    files: Files
    layout: Layout | None
    learning_rates: tuple[float, float] = (2e-5, 1e-4)
    answers: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[Split, int] = field(default_factory=dict)
    address: str = ""
    hub: Hub | None = None

    @property
    def labels(self) -> Labels:
        """The labels as the files spell them."""
        return tuple(self.answers)

    @property
    def meanings(self) -> Labels:
        """The labels in plain English."""
        return tuple(self.answers.values())

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is measured, the figure that counts first."""
        return (N_("accuracy"),) if self.layout else (N_("f1"), N_("em"))

    @property
    def metric(self) -> str:
        """The figure that counts: accuracy, or F1."""
        return self.metrics[0]

    def learning_rate(self, layers: int) -> float:
        """The published best learning rate: RoBERTa's for twelve layers, the small models' for fewer.

        The README names RBT3, RBT4-H312 and the two MiniRBT as small; RBT6 is taken as one of them here.
        """
        return self.learning_rates[layers < TEACHER_LAYERS]

    def load(self, source: str | Path, split: Split) -> Dataset:
        """The rows of a split.

        Args:
            source: the folder with one sub-folder per task; or ``"hub"``, for where :attr:`hub` says; or
                another dataset of the hub with the same columns (``owner/name@revision``). ``HF_ENDPOINT``
                names a mirror.
            split: ``"train"``, ``"dev"`` or ``"test"``.

        Returns:
            Columns ``text``, for pairs ``text_pair``, and ``label`` (int), which a test split may lack; for
            questions those of :func:`~minirbt_helpers.tasks.formats.read_questions`.

        Raises:
            CourseError: a missing file, or a broken row (file and line named).
        """
        hub = self._on_hub(source)
        if hub:
            return _dataset(read_hub(hub, split, self.layout, self.labels), f"{hub}, {split}")
        home = resolve(source) / self.name
        names = self.files.get(split, ())
        file = next((home / name for name in names if (home / name).is_file()), None)
        if file is None:
            raise CourseError(
                "no {split} file for {name}",
                where=home,
                fix="put {names} there; it comes from {address}" if self.address else "put {names} there",
                split=split,
                name=self.name,
                names=_(" or ").join(names or (split,)),
                address=self.address,
            )
        return self.read(file, labelled=split != "test")

    def read(self, file: str | Path, *, labelled: bool = True) -> Dataset:
        """The rows of one file; without ``labelled`` it may lack labels or answers."""
        file = Path(file)
        rows = (
            self.layout.read(file, self.labels, labelled=labelled)
            if self.layout
            else read_questions(file, labelled=labelled)
        )
        return _dataset(rows, str(file))

    def _on_hub(self, source: str | Path) -> Hub | None:
        name, _, revision = str(source).partition("@")
        if name == "hub":
            if not self.hub:
                raise CourseError("{name} is on no hub that we know", fix="give a folder", name=self.name)
            return replace(self.hub, revision=revision or self.hub.revision)
        if self.hub and is_hub_id(name) and not resolve(source).exists():
            return replace(self.hub, name=name, revision=revision or None)
        return None


def _dataset(rows: list[Row], where: str) -> Dataset:
    """Rows as a table: ids and labels where a row has one, ids as texts unless all are whole numbers."""
    if not rows:
        raise CourseError("no rows in it", where=where, fix="one example a line, or passages with questions")
    labelled = any(row.get("label") is not None for row in rows)  # else a test file: to predict, not to score
    given = [row["id"] for row in rows if row.get("id") is not None]
    whole = all(type(one) is int for one in given)
    if 0 < len(given) < len(rows):
        note(
            "{count:,} of {rows:,} rows without an id: in predictions their places stand for it, counted from 0",
            where=where,
            count=len(rows) - len(given),
            rows=len(rows),
        )
    kept = []
    for row in rows:
        own = {name: value for name, value in row.items() if name not in ("id", "label")}
        if given:
            one = row.get("id")
            own["id"] = one if one is None or whole else str(one)
        kept.append(own | ({"label": row.get("label")} if labelled else {}))
    return Dataset.from_list(kept)


def own_task(
    name: str,
    train: str | Path,
    dev: str | Path,
    layout: Layout | None = None,
    answers: Mapping[str, str] | None = None,
) -> Task:
    """A task of your own: TSV or JSON lines with labels, or passages with questions in SQuAD's form.

    >>> own_task("moods", "train.tsv", "dev.tsv", Layout(text="review", label="mood"))  # doctest: +SKIP
    >>> own_task("faq", "train.json", "dev.json")  # doctest: +SKIP

    Args:
        name: as you like.
        train, dev: the files.
        layout: the columns (or JSON fields) with text, second text and label; None: questions.
        answers: the labels and what they mean; None: those of the train file.

    Raises:
        CourseError: a file is missing, the train file cannot be read or has a row without label, fewer than two
            labels, or two that mean the same.
    """
    for option, file in (("--train", train), ("--dev", dev)):
        if not Path(file).is_file():
            raise CourseError("no such file", where=file, fix="check the path ({option})", option=option)
    files = {"train": (str(Path(train).absolute()),), "dev": (str(Path(dev).absolute()),)}
    if layout and answers is None:
        answers = {label: label for label in layout.labels(Path(train))}
        if len(answers) < 2:
            raise CourseError(
                "the only label is {label!r}" if answers else "no rows with a label in it",
                where=train,
                fix="a task needs at least two labels",
                label=next(iter(answers), None),
            )
    if answers and len(set(answers.values())) < len(answers):
        raise CourseError(
            "two labels mean the same: {answers}", fix="give every label a meaning of its own", answers=dict(answers)
        )
    return Task(name, N_("your own task"), files, layout, answers=answers or {})


def task_from_json(content: dict) -> Task:
    """The task that ``dataclasses.asdict`` made plain data of."""
    layout, hub = content["layout"], content["hub"]
    if layout:
        layout = Layout(**layout | {"columns": layout["columns"] and tuple(layout["columns"])})
    changed = {
        "files": {split: tuple(names) for split, names in content["files"].items()},
        "learning_rates": tuple(content["learning_rates"]),
        "layout": layout,
        "hub": hub and Hub(**hub),
    }
    return Task(**content | changed)


TSV: Files = {"train": ("train.tsv",), "dev": ("dev.tsv",), "test": ("test.tsv",)}
JSON_LINES: Files = {"train": ("train.json",), "dev": ("dev.json",), "test": ("test.json",)}
PAIR_COLUMNS = ("sentence1", "sentence2", "label")
MATCHING = Layout("sentence1", "sentence2", columns=PAIR_COLUMNS)
SAME = {"0": "different", "1": "the same"}
INFERENCE = {"entailment": "follows", "neutral": "may be", "contradiction": "cannot be"}
NEWS = {
    "100": "story", "101": "culture", "102": "entertainment", "103": "sports", "104": "finance", "106": "houses",
    "107": "cars", "108": "education", "109": "technology", "110": "military", "112": "travel", "113": "world",
    "114": "stocks", "115": "farming", "116": "games",
}  # fmt: skip
CLUE = "7a92286c90a77a495dcaeba0fe34939053ef7dc5"
ICRC = "the ICRC at Harbin Institute of Technology, Shenzhen, on application: fill in the form of"

# Published learning rates: README of iflytek/MiniRBT, for RoBERTa and for every small model.
TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task(
            "cmrc2018",
            N_("which words of the passage answer the question?"),
            {split: (f"cmrc2018_{split}.json",) for split in ("train", "dev", "test")},
            None,
            (3e-5, 1e-4),
            sizes={"train": 10142, "dev": 3219, "test": 1002},
            address="https://github.com/ymcui/cmrc2018 (squad-style-data)",
            hub=Hub("hfl/cmrc2018", revision="refs/convert/parquet"),
        ),
        Task(
            "drcd",
            N_("the same in traditional characters, from Taiwan"),
            {"train": ("DRCD_training.json",), "dev": ("DRCD_dev.json",), "test": ("DRCD_test.json",)},
            None,
            (3e-5, 1e-4),
            sizes={"train": 26936, "dev": 3524, "test": 3493},
            address="https://github.com/DRCKnowledgeTeam/DRCD",
            hub=Hub("clue/clue", "drcd", CLUE),
        ),
        Task(
            "ocnli",
            N_("does the second sentence follow from the first?"),
            {**JSON_LINES, "train": ("train.50k.json", "train.json", "train.10k.json")},
            Layout("sentence1", "sentence2", skipped="-"),
            (2e-5, 5e-5),
            INFERENCE,
            sizes={"train": 50437, "dev": 2950, "test": 3000},
            address="https://github.com/CLUEbenchmark/OCNLI (data/ocnli)",
            hub=Hub("clue/clue", "ocnli", CLUE),
        ),
        Task(
            "lcqmc",
            N_("do two questions ask the same?"),
            TSV,
            MATCHING,
            (2e-5, 1e-4),
            SAME,
            sizes={"train": 238766, "dev": 8802, "test": 12500},
            address=f"{ICRC} http://icrc.hitsz.edu.cn/info/1037/1146.htm and send it there",
            hub=Hub("C-MTEB/LCQMC", None, "17f9b096f80380fce5ed12a9be8be7784b337daf", {"label": "score"}),
        ),
        Task(
            "bq",
            N_("do two questions to a bank ask the same?"),
            TSV,
            MATCHING,
            (3e-5, 1e-4),
            SAME,
            sizes={"train": 100000, "dev": 10000, "test": 10000},
            address=f"{ICRC} http://icrc.hitsz.edu.cn/Article/show/175.html and mail it to the address there",
            hub=Hub("C-MTEB/BQ", None, "e3dda5e115e487b39ec7e618c0c6a29137052a55", {"label": "score"}),
        ),
        Task(
            "tnews",
            N_("what is a headline about?"),
            JSON_LINES,
            Layout("sentence"),  # the keywords are not used, as in the published results
            (2e-5, 1e-4),
            NEWS,
            sizes={"train": 53360, "dev": 10000, "test": 10000},
            address="https://storage.googleapis.com/cluebenchmark/tasks/tnews_public.zip",
            hub=Hub("clue/clue", "tnews", CLUE),
        ),
        Task(
            "chnsenticorp",
            N_("is a customer's review favourable?"),
            TSV,
            Layout("text_a"),
            (2e-5, 1e-4),
            {"0": "negative", "1": "positive"},
            sizes={"train": 9600, "dev": 1200, "test": 1200},
            address="https://huggingface.co/datasets/lansinuote/ChnSentiCorp",
            hub=Hub("lansinuote/ChnSentiCorp", None, "b0c4c119c3fb33b8e735969202ef9ad13d717e5a", {"text_a": "text"}),
        ),
    )
}


def find_task(name: str) -> Task:
    """The task of a name.

    Raises:
        CourseError: with the names that exist.
    """
    if name not in TASKS:
        raise CourseError("unknown task {name!r}", fix="one of {names}", name=name, names=", ".join(TASKS))
    return TASKS[name]
