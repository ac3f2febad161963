"""What a file really is, told by its first bytes: not everything is what its name says."""

from pathlib import Path

from .errors import CourseError, some
from .language import N_, _

HEAD = 1024  # bytes looked at
AGAIN = N_("download it again: git lfs pull, or hf download")
UTF_16 = "iconv -f UTF-16 -t UTF-8 old >new"
# How other files begin, what they are, and what to do about it.
BEGINNINGS = (
    (b"version https://git-lfs.github.com/", N_("a Git LFS pointer, not the file itself"), AGAIN),
    (b"\xff\xfe\x00\x00", N_("text in UTF-32"), "iconv -f UTF-32 -t UTF-8 old >new"),
    (b"\xff\xfe", N_("text in UTF-16"), UTF_16),
    (b"\xfe\xff", N_("text in UTF-16"), UTF_16),
    (b"%PDF-", N_("a PDF file"), N_("take the text out of it first, for example: pdftotext")),
    (b"PK\x03\x04", N_("a ZIP archive (Excel and Word write such, too)"), N_("unpack it, or save it as plain text")),
    (b"\x1f\x8b", N_("compressed with gzip"), N_("gunzip it first")),
    (b"BZh", N_("compressed with bzip2"), N_("bunzip2 it first")),
    (b"\xfd7zXZ", N_("compressed with xz"), N_("unxz it first")),
    (b"\x28\xb5\x2f\xfd", N_("compressed with zstd"), N_("unzstd it first")),
    (b"7z\xbc\xaf\x27\x1c", N_("a 7-Zip archive"), N_("unpack it first")),
    (b"Rar!", N_("a RAR archive"), N_("unpack it first")),
    (b"\xd0\xcf\x11\xe0", N_("an old file of Excel or Word"), N_("save it as plain text, UTF-8")),
    (b"PAR1", N_("a Parquet file"), N_("write it out as JSON lines first")),
    (b"ARROW1", N_("an Arrow file"), N_("write it out as JSON lines first")),
    (b"SQLite format 3", N_("a database of SQLite"), N_("write it out as plain text first")),
)  # fmt: skip
WEB_PAGES = (b"<!doctype html", b"<html")
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
PICKLES = (b"PK\x03\x04", b"\x80")  # how PyTorch's files begin, new and old
OTHER_WEIGHTS = ("tf_model.h5", "bert_model.ckpt*", "model.ckpt*", "flax_model.msgpack", "*.onnx", "*.pdparams")


def disguise(head: bytes) -> tuple[str, str] | None:
    """What a file is that should be text, and what to do about it; None: nothing that is known here.

    Args:
        head: its first :data:`HEAD` bytes, or all.
    """
    for beginning, what, fix in BEGINNINGS:
        if head.startswith(beginning):
            return _(what), _(fix)
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(WEB_PAGES):
        return _("a web page, not the file itself"), _("a browser shows what it says; then download the file again")
    if head[:HEAD].count(0) * 4 > len(head[:HEAD]):
        order = "LE" if head.index(0) % 2 else "BE"
        return _("text in UTF-16 without a byte order mark, or no text"), f"iconv -f UTF-16{order} -t UTF-8 old >new"
    return None


def require_whole(file: Path) -> None:
    """Refuse a file of a model that is something else: empty, a Git LFS pointer, a web page.

    Raises:
        CourseError: naming it.
    """
    if not (head := _head(file)):
        raise CourseError("the file is empty", where=file, fix=AGAIN)
    if head.startswith(BEGINNINGS[0][0]) or head.lstrip().lower().startswith(WEB_PAGES):
        what, fix = disguise(head)
        raise CourseError(what, where=file, fix=fix)


def _head(file: Path) -> bytes:
    with open(file, "rb") as stream:
        return stream.read(HEAD)


def require_config(folder: Path) -> None:
    """Make sure that a model's folder holds its configuration: without one, libraries guess at length.

    Raises:
        CourseError: none there, or something else in its place.
    """
    if not (folder / "config.json").is_file():
        fix = N_("give a folder written by save_pretrained, whole")
        raise CourseError("no config.json in the folder", where=folder, fix=fix)
    require_whole(folder / "config.json")


def require_weights(folder: Path) -> None:
    """Make sure that a model's folder holds weights for PyTorch, and that its files are what their names say.

    Raises:
        CourseError: no weights, or a file that is empty, a Git LFS pointer or a web page.
    """
    for file in sorted(folder.iterdir()):
        if file.is_file() and file.suffix in (".json", ".txt", ".safetensors", ".bin"):
            require_whole(file)
        if file.match("pytorch_model*.bin") and not _head(file).startswith(PICKLES):
            raise CourseError("no weights of PyTorch", where=file, fix=AGAIN)
    if any((folder / name).is_file() or (folder / f"{name}.index.json").is_file() for name in WEIGHTS):
        return
    others = sorted(file.name for pattern in OTHER_WEIGHTS for file in folder.glob(pattern))
    raise CourseError(
        "no {first} and no {second} in the folder",
        where=folder,
        fix="PyTorch's are needed, and these are others: {others}" if others else "fetch the whole model",
        first=WEIGHTS[0],
        second=WEIGHTS[1],
        others=some(others),
    )
