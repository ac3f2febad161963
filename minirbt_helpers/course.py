"""The course itself: what a notebook starts from, and running them all."""

import html
import json
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from .errors import CourseError
from .recipe import Recipe, recipe_from_notebook
from .workspace import PACKAGE, atomic_file, atomic_folder

NOTEBOOKS = PACKAGE.parent / "notebooks"


def start(namespace: Mapping[str, object]) -> "Lesson":
    """What every notebook's set-up cell calls: read the knobs, prepare pictures, print what runs.

    Args:
        namespace: ``globals()``, with the parameters cell's names in capitals.

    Raises:
        CourseError: unknown parameter, wrong type, unknown scale.
    """
    from .insight import prepare_figures
    from .workspace import versions

    lesson = Lesson(recipe_from_notebook(namespace))
    prepare_figures()
    print(f"scale {lesson.recipe.scale} · " + " · ".join(f"{name} {number}" for name, number in versions().items()))
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
        return self._blocks(self.recipe.text)

    @cached_property
    def heldout(self):
        """Blocks of the held-out text."""
        return self._blocks(self.recipe.heldout)

    def _blocks(self, text: str):
        from .text import cached_blocks

        settings = {"length": self.recipe.length, "segmenter": self.recipe.segmenter}
        return cached_blocks(text, self.tokenizer, self.home, progress=False, **settings)

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
            raise CourseError(f"no {stage} yet", where=folder, fix="run notebook 04 (or minirbt distill) at this scale first")
        return folder
