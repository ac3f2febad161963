"""Where runs leave what they make: ``runs/<scale>/<stage>/``, written whole or not at all."""

import errno
import gc
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import IO

from safetensors import SafetensorError
from tqdm.auto import tqdm

from .errors import CourseError, some
from .language import N_, _

PACKAGE = Path(__file__).parent
CONTAINER = Path("/sys/fs/cgroup")  # where Linux says what a container may take
MODEL_FILES = ("config.json", "generation_config.json", "model*.safetensors*", "tokenizer*.json", "vocab.txt")
FREE = N_("free some space, or name another output folder")
VERSIONED = ("torch", "transformers", "textbrewer", "ltp", "datasets")


def project_root() -> Path:
    """The folder that holds ``data_samples``: the checkout, or the package where it was installed."""
    return next((root for root in (PACKAGE.parent, PACKAGE) if (root / "data_samples").is_dir()), PACKAGE.parent)


def default_runs() -> Path:
    """``runs`` in the checkout, from whichever of its folders one works; without a checkout, ``runs`` here."""
    return (PACKAGE.parent if (PACKAGE.parent / "data_samples").is_dir() else Path.cwd()) / "runs"


def resolve(path: str | Path) -> Path:
    """A path as given if it exists from here, else below the project's root (``data_samples/…``)."""
    path = Path(path).expanduser()
    return path if path.exists() or path.is_absolute() else project_root() / path


def existing_parent(path: str | Path) -> Path:
    """The folder that exists and in which a path would come to lie."""
    path = Path(path).absolute()
    return next(parent for parent in (path, *path.parents) if parent.exists())


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine_memory() -> tuple[float, float]:
    """Bytes of memory of this machine, in all and free; a container's limit counts as the machine.

    Where neither Linux nor POSIX says, infinite: nothing is known against it.
    """
    total = free = float("inf")
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        total = free = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with suppress(OSError, StopIteration, ValueError):
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = float(next(line.split()[1] for line in lines if line.startswith("MemAvailable"))) * 1024
    with suppress(OSError, ValueError, KeyError):  # "max" is no number: no limit
        limit = float((CONTAINER / "memory.max").read_text())
        total, free = min(total, limit), min(free, limit)
        counts = dict(line.split() for line in (CONTAINER / "memory.stat").read_text().splitlines())
        taken = float((CONTAINER / "memory.current").read_text()) - float(counts["inactive_file"])  # a cache gives way
        free = min(free, max(0.0, limit - taken))
    return total, free


def check_libraries() -> None:
    """Refuse libraries that lie where no dataset can be made (findings/target-folder.sh).

    To datasets a library is known by its folder: that of Python, or one with "site-packages" in its path. It pickles
    what lies elsewhere, as somebody's own code, and pyarrow cannot be.

    Raises:
        CourseError: with the folder.
    """
    homes = {os.path.realpath(home) for home in (sys.prefix, sys.exec_prefix, sys.base_prefix, sys.base_exec_prefix)}
    files = [spec.origin for name in ("datasets", "pyarrow") if (spec := find_spec(name)) and spec.origin]
    strange = [
        file
        for file in files
        if "site-packages" not in file and not any(Path(os.path.realpath(file)).is_relative_to(home) for home in homes)
    ]
    if len(strange) == 2:
        raise CourseError(
            "datasets and pyarrow lie where datasets takes them for code of your own, and fails",
            where=Path(strange[0]).parents[1],
            fix="install them without --target, or into a folder that is named site-packages",
        )


@contextmanager
def unsearched() -> Iterator[None]:
    """Imports without the garbage collector: it looks through all modules again and again, for a fifth of the time."""
    if gc.get_freeze_count():  # the set-up cell runs again: what a notebook has made meanwhile is not to stay
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # modules stay until the end
        gc.enable()


@contextmanager
def clear_disk_errors(target: str | Path) -> Iterator[None]:
    """Turn an ``OSError`` on writing (no space, no permission …) into one sentence with what to do."""
    try:
        yield
    except SafetensorError as problem:  # wraps the system's error in words
        raise CourseError(
            "cannot write here ({reason})", where=target, fix="{way}", reason=problem, way=_(FREE)
        ) from problem
    except OSError as problem:
        fixes = {
            errno.ENOSPC: FREE,
            errno.EACCES: N_("name an output folder you may write to"),
            errno.EROFS: N_("name an output folder you may write to"),
            errno.EISDIR: N_("this is a folder: name a file"),
            errno.ENOTDIR: N_("a part of the path is a file: name another output folder"),
        }
        raise CourseError(
            "cannot write here ({reason})",
            where=target,
            fix="{way}",
            way=_(fixes.get(problem.errno, N_("name another output folder"))),
            reason=os.strerror(problem.errno) if problem.errno else problem,
        ) from problem


def _temporary(target: Path) -> Path:
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))


@contextmanager
def atomic_file(target: str | Path, binary: bool = False) -> Iterator[IO]:
    """Open a file (text, unless ``binary``) under a temporary name; it gets its own name when the block ends well."""
    target = Path(target)
    settings = {"mode": "wb"} if binary else {"mode": "w", "encoding": "utf-8", "newline": "\n"}
    with clear_disk_errors(target):
        if target.is_dir():  # found now, not after hours of work
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        holder = _temporary(target)
        try:
            with open(holder / target.name, **settings) as file:
                yield file
            os.replace(holder / target.name, target)
        finally:
            shutil.rmtree(holder, ignore_errors=True)


@contextmanager
def atomic_folder(target: str | Path) -> Iterator[Path]:
    """A folder to fill under a temporary name; it takes the target's place when the block ends well."""
    target = Path(target)
    with clear_disk_errors(target):
        holder = _temporary(target)
        try:
            (holder / "new").mkdir()
            yield holder / "new"
            if target.exists():
                target.rename(holder / "old")
            (holder / "new").rename(target)
        finally:
            if (holder / "old").exists() and not target.exists():  # broken off between the two
                (holder / "old").rename(target)
            shutil.rmtree(holder, ignore_errors=True)


def check_folder(folder: str | Path, command: str, marks: Sequence[str], others: Sequence[str] = ("*",)) -> None:
    """Make sure that a folder can be written, and that nothing but an earlier output gives way.

    Args:
        folder: where the output is to come.
        command: what makes such outputs, for the message.
        marks: files by which an earlier output is known: it has all of them.
        others: what else stands in one, as patterns of names.

    Raises:
        CourseError: a folder with other files, a file, or a place where one may not write.
    """
    folder = Path(folder)
    there = sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []
    earlier = all((folder / mark).is_file() for mark in marks)
    lost = [name for name in there if not earlier or not any(fnmatchcase(name, own) for own in (*marks, *others))]
    if lost:
        raise CourseError(
            "other files stand in this folder, and they would be lost: {names}",
            where=folder,
            fix="name a new folder, an empty one, or an earlier output of `{command}`",
            names=some(lost),
            command=command,
        )
    parent = existing_parent(folder.absolute().parent)
    if folder.is_file() or not parent.is_dir():
        raise CourseError("a part of the path is a file", where=folder, fix="name another output folder")
    if not os.access(parent, os.W_OK | os.X_OK):
        raise CourseError("cannot write here", where=folder, fix="name an output folder you may write to")


def renew_table(page: Path, table: str) -> None:
    """Put a Markdown table in the place of the one with the same head that stands in a page."""
    head = re.escape("\n".join(table.splitlines()[:2]))
    text = page.read_text(encoding="utf-8")
    with atomic_file(page) as stream:
        stream.write(re.sub(rf"{head}(\n\|[^\n]*)*", lambda _: table, text))


def write_json(file: Path, content: object) -> None:
    """Write JSON readably (UTF-8, indented)."""
    file.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def headless() -> bool:
    """Whether a program runs the notebook (``minirbt course`` says so): no bars, no controls, pictures alone."""
    return os.environ.get("MINIRBT_HEADLESS") == "1"


def progress_bar(items: Iterable | None = None, *, show: bool = True, **settings) -> tqdm:
    """A tqdm bar, hidden when not wanted or when nobody is there to see it; settings as tqdm's own."""
    return tqdm(items, disable=not show or headless(), **settings)


@contextmanager
def quiet_datasets() -> Iterator[None]:
    """No progress bars of the library datasets: ours say what is going on."""
    from datasets import disable_progress_bars, enable_progress_bars

    disable_progress_bars()
    try:
        yield
    finally:
        enable_progress_bars()


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """No reports of the library transformers on what it loads: our errors say what is wrong."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def versions() -> dict[str, str]:
    """Versions of the libraries that a result depends on, of those that are installed."""
    found = {}
    for name in VERSIONED:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
