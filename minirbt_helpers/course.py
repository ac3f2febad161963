"""The course itself: what a notebook starts from, and running them all."""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path

from .errors import CourseError
from .language import _, chosen_language, edition, set_language
from .names import shown_scale
from .recipe import Recipe, load_recipe, parameters_table, recipe_from_notebook
from .workspace import check_libraries, clear_disk_errors, processors, project_root, renew_table, unsearched, versions

MOST_AT_ONCE = 4  # notebooks; each takes up to 2 GB
LONGEST = ("04", "09")  # notebooks that train: they begin first, so that none of them is left for the end


def start(namespace: Mapping[str, object]) -> "Lesson":
    """What every notebook's set-up cell calls: read the knobs, prepare pictures, print what runs.

    Args:
        namespace: ``globals()``, with the parameters cell's names in capitals.

    Raises:
        CourseError: unknown parameter, wrong type, unknown scale or language, libraries in a strange place.
    """
    with unsearched():
        from .insight.drawn.theme import prepare_figures

    set_language(namespace.get("LANGUAGE", chosen_language()))
    check_libraries()
    lesson = Lesson(recipe_from_notebook(namespace))
    prepare_figures()
    scale = _("scale {scale}").format(scale=lesson.recipe.scale)
    print(" · ".join([scale, *(f"{name} {number}" for name, number in versions().items())]))
    return lesson


class Lesson:
    """What notebooks share, loaded when first asked for.

    Attributes:
        recipe: the settings of this run.
    """

    def __init__(self, recipe: Recipe):
        self.recipe = recipe

    @property
    def home(self) -> Path:
        """``<output_dir>/<scale>``."""
        return Path(self.recipe.output_dir) / self.recipe.scale

    @cached_property
    def tokenizer(self):
        """The teacher's tokenizer."""
        from .models import load_tokenizer

        return load_tokenizer(self.recipe.teacher)

    @cached_property
    def segmenter(self):
        """The recipe's LTP segmenter."""
        from .text import load_segmenter

        return load_segmenter(self.recipe.segmenter)

    @cached_property
    def blocks(self):
        """Blocks of the training text, made once per text and settings."""
        return self._blocks(self.recipe.text, self.recipe.length)

    @cached_property
    def heldout(self):
        """Blocks of the held-out text."""
        return self._blocks(self.recipe.heldout, self.recipe.length)

    def blocks_of(self, length: int):
        """Training and held-out blocks of a length, each made once per text and settings."""
        return self._blocks(self.recipe.text, length), self._blocks(self.recipe.heldout, length)

    def _blocks(self, text: str, length: int):
        from .text import cached_blocks

        settings = {"length": length, "segmenter": self.recipe.segmenter, "progress": False}
        return cached_blocks(text, self.tokenizer, self.home, **settings)

    @cached_property
    def teacher(self):
        """The recipe's teacher (eval mode)."""
        from .models import load_model

        return load_model(self.recipe.teacher)

    def finished(self, stage: str):
        """The long run of a stage: shipped with the course at sample scale, your own run at full scale.

        Args:
            stage: ``"assistant"``, ``"student"`` or ``"one-stage"``.

        Raises:
            CourseError: at full scale, when that stage has not been distilled yet.
        """
        from .models import load_model

        return load_model(self.finished_folder(stage))

    def finished_folder(self, stage: str) -> Path:
        """The folder of :meth:`finished`."""
        from .training import run_folder
        from .workspace import resolve

        if self.recipe.scale == "sample":
            return resolve(f"data_samples/models/{stage}")
        folder = run_folder(self.recipe, stage)
        if not folder.is_dir():
            raise CourseError(
                "no {stage} yet",
                where=folder,
                fix="run notebook 04 (or minirbt distill) at this scale first",
                stage=stage,
            )
        return folder


def notebooks(language: str | None = None) -> list[Path]:
    """The course's notebooks in a language (None: the one that is set), in order."""
    return sorted(edition(project_root() / "notebooks", language).glob("[0-9][0-9]_*.ipynb"))


def run_course(scale: str = "sample", output: str | Path | None = None, only: str = "") -> Path:
    """Run the notebooks of the language that is set headless with papermill, under one progress bar.

    At sample scale several run at once, one on each processor; at full scale one after the other, since what notebook
    04 distils is what the later ones look at.

    Args:
        scale: ``"sample"`` or ``"full"``.
        output: folder of the executed notebooks; None: ``runs/<scale>``.
        only: run the notebooks whose names begin so.

    Returns:
        The ``index.html`` of a site of them.

    Raises:
        CourseError: unknown scale, no such notebook, the folder of the course's own notebooks, or a cell that failed
            (the notebook is kept up to there).
    """
    from tqdm.auto import tqdm

    from .site import build_site

    recipe = load_recipe(scale)
    folder = Path(output) if output else Path(recipe.output_dir) / scale
    chosen = _chosen(only)
    if folder.resolve() == chosen[0].parent.resolve():
        raise CourseError(
            "the executed notebooks would take the place of the course's own",
            where=folder,
            fix="name another output folder",
        )
    with clear_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    seconds = {}
    for name, took in tqdm(_run_all(chosen, folder, scale), total=len(chosen), unit="notebook"):
        seconds[name] = took
    return build_site(folder, folder / "site", _about(scale, seconds, time.monotonic() - started))


def _run_all(chosen: list[Path], folder: Path, scale: str) -> Iterator[tuple[str, float]]:
    """Run notebooks into a folder; the name of each and its seconds, as they end. One that fails ends them all."""
    together = min(MOST_AT_ONCE, processors(), len(chosen)) if scale == "sample" else 1
    if together == 1:
        yield from (_run_one(notebook, folder, scale) for notebook in chosen)
        return
    os.environ.setdefault("OMP_NUM_THREADS", str(processors() // together))
    with ProcessPoolExecutor(together, mp_context=get_context("spawn")) as pool:
        ordered = sorted(chosen, key=lambda notebook: not notebook.name.startswith(LONGEST))
        running = [pool.submit(_run_one, notebook, folder, scale) for notebook in ordered]
        try:
            yield from (done.result() for done in as_completed(running))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _run_one(notebook: Path, folder: Path, scale: str) -> tuple[str, float]:
    started = time.monotonic()
    _execute(notebook, folder / notebook.name, {"SCALE": scale})
    return notebook.stem, time.monotonic() - started


def _chosen(only: str) -> list[Path]:
    """The notebooks, in the language that is set, whose names begin so."""
    there = notebooks()
    chosen = [notebook for notebook in there if notebook.name.startswith(only)]
    if not chosen:
        raise CourseError(
            "no notebook begins with {only!r}",
            fix="one of {names}",
            only=only,
            names=", ".join(path.stem for path in there),
        )
    return chosen


def _about(scale: str, seconds: Mapping[str, float], whole: float) -> str:
    """What the site's first page says of the run."""
    names = " · ".join(f"{name} {number}" for name, number in versions().items())
    table = "\n".join(f"| {name} | {took:.0f} s |" for name, took in sorted(seconds.items()))
    head = _("{count} notebooks at {scale} in {minutes:.1f} minutes: {names}").format(
        count=len(seconds), scale=shown_scale(scale), minutes=whole / 60, names=names
    )
    return f"## {_('This run')}\n\n{head}\n\n| | |\n|---|--:|\n{table}"


def _execute(notebook: Path, output: Path, parameters: dict, cwd: Path | None = None) -> None:
    import papermill
    from papermill.exceptions import PapermillExecutionError

    os.environ["MINIRBT_HEADLESS"] = "1"
    paths = {"input_path": str(notebook), "output_path": str(output), "cwd": str(cwd or notebook.parent)}
    try:
        papermill.execute_notebook(**paths, parameters=parameters, progress_bar=False, kernel_name="python3")
    except PapermillExecutionError as problem:
        raise CourseError(
            "cell {number} failed: {kind}: {problem}",
            where=output,
            fix="open it: the traceback is above the cell",
            number=problem.exec_count,
            kind=problem.ename,
            problem=problem.evalue,
        ) from problem


def refresh(only: str = "") -> None:
    """Run the notebooks of the language that is set at sample scale and keep their outputs, for the maintainers.

    The cells of exercises and questions are made anew from their entries before, the table of parameters in docs/ from
    the recipe. What differs from run to run without meaning anything (times, papermill's and widgets' metadata) is
    taken out. A notebook that fails is left as it was.

    Args:
        only: refresh the notebooks whose names begin so.

    Raises:
        CourseError: no such notebook, or a cell that failed.
    """
    import nbformat
    from tqdm.auto import tqdm

    from .exercises.cells import renew_cells

    with tempfile.TemporaryDirectory() as scratch:
        for notebook in tqdm(_chosen(only), unit="notebook"):
            output = Path(scratch) / notebook.name
            nbformat.write(renew_cells(nbformat.read(notebook, as_version=4)), output)
            _execute(output, output, {}, cwd=notebook.parent)
            content = nbformat.read(output, as_version=4)
            for part in [content, *content.cells]:
                for key in ("papermill", "widgets", "execution"):
                    part.metadata.pop(key, None)
            nbformat.write(content, notebook)
    renew_table(edition(project_root() / "docs") / "parameters.md", parameters_table())
