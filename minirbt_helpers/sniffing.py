"""What a file really is, told by its first bytes: not everything is what its name says."""

from pathlib import Path

from .errors import CourseError

HEAD = 1024  # bytes looked at
AGAIN = "download it again: git lfs pull, or hf download"
UTF_16 = "iconv -f UTF-16 -t UTF-8 old >new"
# How other files begin, what they are, and what to do about it.
BEGINNINGS = (
    (b"version https://git-lfs.github.com/", "a Git LFS pointer, not the file itself", AGAIN),
    (b"\xff\xfe\x00\x00", "text in UTF-32", "iconv -f UTF-32 -t UTF-8 old >new"),
    (b"\xff\xfe", "text in UTF-16", UTF_16),
    (b"\xfe\xff", "text in UTF-16", UTF_16),
    (b"%PDF-", "a PDF file", "take the text out of it first, for example: pdftotext"),
    (b"PK\x03\x04", "a ZIP archive (Excel's and Word's files are such, too)", "unpack it, or save it as plain text"),
    (b"\x1f\x8b", "compressed with gzip", "gunzip it first"),
    (b"BZh", "compressed with bzip2", "bunzip2 it first"),
    (b"\xfd7zXZ", "compressed with xz", "unxz it first"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unzstd it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it first"),
    (b"Rar!", "a RAR archive", "unpack it first"),
    (b"\xd0\xcf\x11\xe0", "an old file of Excel or Word", "save it as plain text, UTF-8"),
    (b"PAR1", "a Parquet file", "write it out as JSON lines first"),
    (b"ARROW1", "an Arrow file", "write it out as JSON lines first"),
    (b"SQLite format 3", "a database of SQLite", "write it out as plain text first"),
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
            return what, fix
    if head.removeprefix(b"\xef\xbb\xbf").lstrip().lower().startswith(WEB_PAGES):
        return "a web page, not the file itself", "a browser shows what it says; then download the file again"
    if head[:HEAD].count(0) * 4 > len(head[:HEAD]):
        order = "LE" if head.index(0) % 2 else "BE"
        return "text in UTF-16 without a byte order mark, or no text", f"iconv -f UTF-16{order} -t UTF-8 old >new"
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
        fix = "give a folder written by save_pretrained, whole"
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
    fix = f"PyTorch's are needed, and these are others: {', '.join(others[:3])}" if others else "fetch the whole model"
    raise CourseError(f"no {' and no '.join(WEIGHTS)} in the folder", where=folder, fix=fix)
