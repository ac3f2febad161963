"""Models from a folder, or from a hub that speaks Hugging Face's protocol."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import CourseError
from .language import N_, _
from .sniffing import require_whole
from .workspace import quiet_datasets, resolve

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_FOR_TORCH = ["*.msgpack", "*.h5", "*.ot", "*.onnx", "*.tflite", "*.mlmodel"]
ELSEWHERE = N_("check the network, set HF_ENDPOINT to a mirror, or download it elsewhere and give the folder")
CHECKSUMS = {64: lambda: hashlib.sha256(), 40: lambda: hashlib.sha1(usedforsecurity=False)}  # by length in hex


def fetch_model(name_or_path: str | Path) -> Path:
    """The local folder of a model.

    A download that breaks off is taken up where it stopped; files that were fetched before are
    kept, and each is compared with the hub's checksum once per process.

    Args:
        name_or_path: a folder (also one below the project's root, such as
            ``data_samples/models/teacher``), or a hub id such as ``hfl/minirbt-h256``, with
            ``@revision`` (a branch, tag or commit) after it if wanted. ``HF_ENDPOINT`` names a
            mirror, ``HF_HOME`` where downloads are kept, and ``HF_HUB_OFFLINE=1`` keeps to what was
            downloaded before.

    Raises:
        CourseError: neither a folder nor a model that the hub hands out whole.
    """
    folder = resolve(name_or_path)
    if folder.is_dir():
        return folder
    name, revision = split_revision(name_or_path)
    if not is_hub_id(name) or resolve(name).parent.is_dir():
        raise CourseError(
            "no such model folder",
            where=name_or_path,
            fix="check the path, or give a hub id with its owner, such as {example}",
            example=f"google-bert/{name}" if name.startswith("bert-") else "hfl/minirbt-h256",
        )
    from huggingface_hub import snapshot_download

    with clear_hub_errors("model", name, revision):
        folder = Path(snapshot_download(name, revision=revision, ignore_patterns=NOT_FOR_TORCH))
    _require_checksums(folder)
    return folder


def require_tokenizer(folder: Path) -> None:
    """Make sure that a tokenizer lies beside a model: from nothing, transformers makes one that knows no word.

    Raises:
        CourseError: none there, or something else in its place.
    """
    found = [folder / name for name in ("tokenizer.json", "vocab.txt") if (folder / name).is_file()]
    for file in found:
        require_whole(file)
    if not found:
        raise CourseError(
            "no tokenizer beside the model",
            where=folder,
            fix="copy the vocab.txt or tokenizer.json that it was trained with there",
        )


def save_tokenizer(tokenizer: "PreTrainedTokenizerBase", folder: str | Path) -> None:
    """``save_pretrained``, without the truncation and padding of the tokenizer's last call.

    transformers writes them into ``tokenizer.json``, and whoever opens that file with the library tokenizers alone
    gets texts cut without a word, or an error for a single text. transformers itself sets both anew in every call.
    """
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.save_pretrained(folder)


def vocabulary_size(tokenizer: "PreTrainedTokenizerBase") -> int:
    """How many embeddings a tokenizer asks for: its entries, but also the gaps that an edited vocabulary has.

    An empty entry, as an empty last line makes one, is never read, and does not count.
    """
    return 1 + max(number for entry, number in tokenizer.get_vocab().items() if entry)


def entries_in_order(tokenizer: "PreTrainedTokenizerBase") -> list[str]:
    """The entry of every number; empty for a number without one, as an edited vocabulary may have it."""
    known = {number: entry for entry, number in tokenizer.get_vocab().items()}
    return [known.get(number, "") for number in range(max(known) + 1)]


def open_dataset(name: str, config: str | None, split: str, revision: str | None, *, streaming: bool = False):
    """A split of a hub's dataset, or of a folder that lies as one: ``datasets.load_dataset``, with clear errors.

    Every field of a CSV or TSV file is text, as it stands there: by itself the library makes nothing of "NA" and
    "null", and 7 of "007".

    Args:
        name: ``owner/name``, or a folder.
        config: the part of it, where it has several.
        split: such as ``"train"``.
        revision: a branch, tag or commit; None: the newest.
        streaming: read it on the way, and keep nothing on disk.

    Raises:
        CourseError: no such dataset, config, split or revision, no network, no room.
    """
    from datasets import load_dataset, load_dataset_builder

    with quiet_datasets(), clear_hub_errors("dataset", name, revision):
        builder = load_dataset_builder(name, config, revision=revision)
        settings = _fields_as_text(builder, split) if builder.name == "csv" else {}
        return load_dataset(name, config, split=split, revision=revision, streaming=streaming, **settings)


def _fields_as_text(builder, split: str) -> dict:
    """Settings for the library's reader of CSV and TSV that keep every field as it stands in the file."""
    from datasets import Features, Value

    settings = {"keep_default_na": False, "na_filter": False}
    if builder.info.features:  # the dataset's card says what its columns are
        return settings
    columns = next(iter(builder.as_streaming_dataset(split=split)))
    return settings | {"features": Features({name: Value("string") for name in columns})}


def split_revision(name: str | Path) -> tuple[str, str | None]:
    """``owner/name@revision`` as its two parts; no revision is None: the newest."""
    name, _, revision = str(name).partition("@")
    return name, revision or None


def is_hub_id(name: str) -> bool:
    """Whether a name has the form ``owner/name``, and is no path."""
    ours = (".", "/", "~", "data/", "data_samples")  # paths; the last two are the scales' own folders
    return name.count("/") == 1 and not name.startswith(ours) and not name.endswith("/")


@contextmanager
def clear_hub_errors(kind: str, name: str, revision: str | None) -> Iterator[None]:
    """Turn whatever a hub's client raises into one sentence with what to do.

    Args:
        kind: ``"model"`` or ``"dataset"``.
        name: its hub id.
        revision: which version was asked for.
    """
    try:
        yield
    except CourseError:
        raise
    except Exception as problem:  # the client's own, those of its HTTP library, those of the system
        what, fix = _explain(problem, kind, name, revision)
        raise CourseError(what, fix=fix) from problem


def _explain(problem: Exception, kind: str, name: str, revision: str | None) -> tuple[str, str]:
    from datasets.exceptions import DatasetNotFoundError
    from huggingface_hub import constants, errors

    causes = list(_causes(problem))
    reason = f"{type(causes[-1]).__name__}: {' '.join(str(causes[-1]).split())[:160]}"

    def raised(*kinds: type[Exception]) -> bool:
        return any(isinstance(one, kinds) for one in causes)

    if any(isinstance(one, OSError) and one.errno in NO_ROOM for one in causes):
        fix = _("free some space, or set HF_HOME to a folder on another disk; run again, and what is whole is kept")
        return _("the disk is full, and {name!r} does not fit ({folder})").format(
            name=name, folder=constants.HF_HOME
        ), fix
    if raised(errors.OfflineModeIsEnabled) or (constants.HF_HUB_OFFLINE and raised(errors.LocalEntryNotFoundError)):
        what = _("{name!r} was not downloaded before, and HF_HUB_OFFLINE keeps off the network")
        asked = f"{name}@{revision}" if revision else name
        return what.format(name=asked), _("fetch it once with HF_HUB_OFFLINE=0, or give a folder")
    if raised(errors.GatedRepoError):
        what, fix = _("{name!r} is handed out on request only"), _("ask for access on its page, then: hf auth login")
        return what.format(name=name), fix
    if raised(errors.RevisionNotFoundError):
        what, fix = _("{name!r} has no revision {revision!r}"), _("a branch, a tag or a commit of it")
        return what.format(name=name, revision=revision), fix
    if raised(errors.RepositoryNotFoundError, errors.HFValidationError, DatasetNotFoundError):
        what = _("the hub has no model {name!r}") if kind == "model" else _("the hub has no dataset {name!r}")
        return what.format(name=name), _("check the spelling, or log in if it is private: hf auth login")
    if isinstance(problem, errors.RemoteEntryNotFoundError):
        file = str(problem.response.url).rpartition("/")[2]
        what, fix = _("{file} of {name!r} is missing on the hub"), _("try another revision or another mirror")
        return what.format(file=file, name=name), fix
    if "onsistency check" in reason:
        what, fix = _("the download of {name!r} broke off ({reason})"), _("run again: what is whole is kept")
        return what.format(name=name, reason=reason), fix
    if type(problem) is ValueError:  # of the library datasets: its message lists what there is
        what, fix = _("{name!r} has no such part ({reason})"), _("check config, split and column against its page")
        return what.format(name=name, reason=reason), fix
    what = _("cannot fetch {name!r} from {place} ({reason})")
    return what.format(name=name, place=constants.ENDPOINT, reason=reason), _(ELSEWHERE)


def _causes(problem: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it came from, the last cause last."""
    while problem is not None:
        yield problem
        problem = problem.__cause__ or (None if problem.__suppress_context__ else problem.__context__)


@cache
def _require_checksums(folder: Path) -> None:
    """Compare the files of a snapshot in the hub's cache with the names they lie under there: their checksums.

    Raises:
        CourseError: a damaged file; it is removed, so that the next run fetches it anew.
    """
    for file in sorted(folder.rglob("*")):
        blob = file.resolve()
        if file.is_symlink() and blob.is_file() and not _is_named_by_content(blob):
            blob.unlink()
            file.unlink()
            raise CourseError(
                "the file is damaged: its checksum is not the hub's, and it was removed",
                where=file,
                fix="run again to fetch it anew; if that does not help, set HF_ENDPOINT to another mirror",
            )


def _is_named_by_content(blob: Path) -> bool:
    """Whether a file is what its name says: sha256 of large files, git's sha1 of small ones."""
    if len(blob.name) not in CHECKSUMS:
        return True  # a mirror with names of its own
    digest = CHECKSUMS[len(blob.name)]()
    if digest.name == "sha1":
        digest.update(b"blob %d\0" % os.stat(blob).st_size)
    with open(blob, "rb") as stream:
        while piece := stream.read(2**20):
            digest.update(piece)
    return digest.hexdigest() == blob.name
