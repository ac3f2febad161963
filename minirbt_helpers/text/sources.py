"""Where text comes from: files, or a dataset on a hub; read as it comes, shared out among workers (notebook 02)."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from urllib.parse import parse_qsl

from ..errors import CourseError
from ..hub import clear_hub_errors, open_dataset, split_revision
from ..lines import read_batches, require_text
from ..workspace import resolve

HUB = "hf://datasets/"
HUB_FORM = f"{HUB}owner/name@revision?config=…&split=train&column=text"
ROWS = 256  # of a dataset at a time
Paths = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Files:
    """Text files, one after another.

    Attributes:
        files: UTF-8, one paragraph per line.
    """

    files: tuple[Path, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in self.files)

    def batches(self, rank: int = 0, world: int = 1) -> Iterator[list[str]]:
        """The lines of one of ``world`` shares, in order; the shares one after another are the text.

        A share is a range of bytes, whatever the number of files, and a line belongs where it begins.
        """
        first, last = (self.size * part // world for part in (rank, rank + 1))
        for file in self.files:
            size = file.stat().st_size
            if first < size and last > 0:
                yield from read_batches(file, start=max(0, first), end=min(size, last))
            first, last = first - size, last - size

    def require_text(self) -> None:
        """Raise :class:`CourseError` if one of the files is missing or holds no text."""
        for file in self.files:
            require_text(file)

    def __str__(self) -> str:
        return ", ".join(map(str, self.files))


@dataclass(frozen=True)
class HubText:
    """A column of a dataset on a hub (or a mirror, ``HF_ENDPOINT``), streamed: never held in memory or on disk.

    Attributes:
        name: ``owner/name``.
        config: the part of it, where it has several, such as ``20231101.zh`` of ``wikimedia/wikipedia``.
        split: such as ``train``.
        column: the one with the text; a row's lines are its paragraphs, blank ones are left out.
        revision: a branch, tag or commit; None: the newest.
    """

    name: str
    config: str | None = None
    split: str = "train"
    column: str = "text"
    revision: str | None = None

    size = None  # in bytes: nobody knows

    @property
    def shards(self) -> int:
        """How many files the split has."""
        return self._open().num_shards

    def batches(self, rank: int = 0, world: int = 1) -> Iterator[list[str]]:
        """The lines of one of ``world`` shares, in order; the shares one after another are the text.

        A share is some of the split's files, or of their row groups where there are more shares than files.
        """
        data = self._open()
        with clear_hub_errors("dataset", self.name, self.revision):
            data = data if data.num_shards >= world else data.reshard()
            world = min(world, data.num_shards)
            if rank >= world:
                return
            for rows in data.shard(world, rank, contiguous=True).select_columns([self.column]).iter(ROWS):
                texts = filter(None, rows[self.column])
                if lines := [line for text in texts for line in text.replace("\r\n", "\n").split("\n") if line.strip()]:
                    yield lines

    def require_text(self) -> None:
        """Raise :class:`CourseError` if there is no such dataset, or no such column."""
        self._open()

    def pinned(self) -> "HubText":
        """The same at the commit that its revision is now, so that other processes read the same rows."""
        from huggingface_hub import HfApi, constants

        if constants.HF_HUB_OFFLINE:
            return self
        with clear_hub_errors("dataset", self.name, self.revision):
            return replace(self, revision=HfApi().dataset_info(self.name, revision=self.revision).sha)

    def _open(self):
        data = open_dataset(self.name, self.config, self.split, self.revision, streaming=True)
        if data.features and self.column not in data.features:
            raise CourseError(
                "no column {column!r}",
                where=self,
                fix="column= one of {names}, after a ?",
                column=self.column,
                names=", ".join(data.features),
            )
        if data.features and "string" not in (kind := str(getattr(data.features[self.column], "dtype", "list"))):
            raise CourseError(
                "column {column!r} holds no text ({kind})",
                where=self,
                fix="column= one with strings, after a ?: {names}",
                column=self.column,
                kind=kind,
                names=", ".join(data.features),
            )
        return data

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        config = f"config={self.config}&" if self.config else ""
        return f"{HUB}{self.name}{revision}?{config}split={self.split}&column={self.column}"


def text_source(text: Paths) -> Files | HubText:
    """What one or several names of texts stand for.

    Args:
        text: text files, folders or lists of them (see :func:`text_files`), or a dataset on a hub:
            ``hf://datasets/owner/name@revision?config=…&split=…&column=…`` (all after ``name`` may be left out).

    Raises:
        CourseError: a path that does not exist, or an address of another form.
    """
    names = [text] if isinstance(text, str | Path) else list(text)
    one = next((name for name in map(str, names) if name.startswith("hf:")), "")
    if not one:
        return Files(tuple(text_files(text)))
    if len(names) > 1:
        raise CourseError("a dataset and other texts", where=one, fix="name the dataset alone")
    address, _, query = one.partition("?")
    settings = dict(parse_qsl(query, keep_blank_values=True))
    name, revision = split_revision(address.removeprefix(HUB))
    if not address.startswith(HUB) or name.count("/") != 1 or set(settings) - {"config", "split", "column"}:
        raise CourseError("not the address of a dataset", where=one, fix=HUB_FORM)
    return HubText(name, revision=revision, **settings)


def text_files(paths: Paths) -> list[Path]:
    """The text files that one or several paths name, in order.

    A folder stands for its ``*.txt`` files, sorted; a JSON file in the original's form,
    ``{"train": {"train_files": […], "train_ref_files": […]}, …}``, for its training files.

    Raises:
        CourseError: a path that does not exist, or a folder without text files.
    """
    return list(chain.from_iterable(_files(path, "*.txt", "files") for path in _as_paths(paths)))


def text_lines(text: Paths, each: int | None = None) -> Iterator[str]:
    """The lines of a text, as :func:`text_source` takes it; of every file (or of the dataset) no more than ``each``."""
    source = text_source(text)
    parts = [Files((file,)) for file in source.files] if isinstance(source, Files) else [source]
    for part in parts:
        yield from islice(chain.from_iterable(part.batches()), each)


def reference_files(paths: Paths) -> list[Path]:
    """The reference files beside :func:`text_files`, in the same order; of a folder, its ``*.ref`` files."""
    return list(chain.from_iterable(_files(path, "*.ref", "ref_files") for path in _as_paths(paths)))


def _as_paths(paths: Paths) -> Iterator[Path]:
    return map(resolve, [paths] if isinstance(paths, str | Path) else paths)


def _files(path: Path, pattern: str, entry: str) -> list[Path]:
    if path.suffix == ".json":
        return _listed(path, entry)
    # by name alone: a text and its references stand at the same place, whatever their names end in
    found = sorted(path.glob(pattern), key=lambda file: file.stem) if path.is_dir() else [path] * path.is_file()
    if not found:
        raise CourseError(
            "no such text file, nor a folder with {pattern}", where=path, fix="check the path", pattern=pattern
        )
    return found


def _listed(path: Path, entry: str) -> list[Path]:
    """The training files (or their references) that a list in the original's form names."""
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["train"][f"train_{entry}"]
        files = [Path(name) for name in names]
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise CourseError(
            "not a list of files ({kind}: {problem})",
            where=path,
            fix='{{"train": {{"train_files": ["a.txt"], "train_ref_files": ["a.ref"]}}}}',
            kind=type(problem).__name__,
            problem=problem,
        ) from problem
    if not files:
        raise CourseError("no files in the list", where=path, fix="name them under train_{entry}", entry=entry)
    files = [file if file.exists() else path.parent / file for file in files]  # names count from here, or from the list
    if missing := [file for file in files if not file.is_file()]:
        raise CourseError("no such file: {name}", where=path, fix="check the names in the list", name=missing[0])
    return files
