"""Cutting Chinese text into words with LTP (notebook 02).

Source: Che et al., "N-LTP: An Open-source Neural Language Technology Platform for Chinese"
(EMNLP 2021 demo), and the library `ltp` 4.2 that goes with it.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..errors import CourseError
from ..hub import fetch_model

# An LTP folder's config names the Python callables it wants built: only these may be.
TRUSTED_MODULES = ("ltp_core.", "transformers.")
NEURAL_LIMIT = 500  # characters; LTP's own limit is 512 tokens, cut without a word
SENTENCE_ENDS = "。！？；!?;"


def load_segmenter(name_or_path: str | Path, *, words: Sequence[str] = ()) -> "Segmenter":
    """Load an LTP word segmenter from a folder or the hub.

    Args:
        name_or_path: a folder with LTP's ``config.json``, or a hub id such as ``LTP/small``
            (``LTP/small@revision`` for a fixed revision).
        words: words of your own that LTP should keep together.

    Returns:
        A :class:`Segmenter`.

    Raises:
        CourseError: no such folder or model, a folder without a segmentation model, or a config
            that wants to run code outside ``ltp_core`` and ``transformers``.
    """
    folder = fetch_model(name_or_path)
    config_file = folder / "config.json"
    try:
        config = json.loads(config_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise CourseError(
            f"not an LTP model ({problem})",
            where=config_file,
            fix="name a folder with LTP's config.json, or a hub id such as LTP/small",
        ) from problem
    refuse_foreign_code(config, config_file)
    neural = config.get("nerual", True)  # LTP's own spelling
    cut = _neural_cutter(folder, words) if neural else _perceptron_cutter(folder, config, words)
    return Segmenter(cut, limit=NEURAL_LIMIT if neural else None)


class Segmenter:
    """Maps a list of texts to their words.

    The words of a text joined give the text back, whitespace aside, whatever the text: this is
    checked for every text, since references are positions and one lost character moves them all.

    Args:
        cut: the model behind it, ``list[str] -> list[list[str]]``; it never sees an empty text.
        limit: most characters the model may be given at once; longer texts go in pieces that end
            at sentence ends. None: no limit.
    """

    def __init__(self, cut: Callable[[list[str]], list[list[str]]], limit: int | None = None):
        self._cut, self._limit = cut, limit

    def __call__(self, texts: Sequence[str]) -> list[list[str]]:
        if isinstance(texts, str):
            raise CourseError("a Segmenter takes a list of texts, and got one text", fix="segmenter([text])[0]")
        pieces = [(row, piece) for row, text in enumerate(texts) for piece in self._pieces(text)]
        results: list[list[str]] = [[] for _ in texts]
        if pieces:
            for (row, piece), words in zip(pieces, self._cut([piece for _, piece in pieces]), strict=True):
                words = [part for word in words for part in word.split()]  # LTP may leave blanks in a word
                # What LTP drops (control characters, say) would shift positions: keep the piece whole instead.
                results[row] += words if _bare("".join(words)) == _bare(piece) else piece.split()
        return results

    def _pieces(self, text: str) -> Iterator[str]:
        limit = self._limit or len(text)
        while text.strip():
            end = len(text) if len(text) <= limit else _last_sentence_end(text, limit)
            if piece := text[:end].strip():
                yield piece
            text = text[end:]


def _last_sentence_end(text: str, limit: int) -> int:
    return max((text.rfind(mark, 0, limit) + 1 for mark in SENTENCE_ENDS), default=0) or limit


def _bare(text: str) -> str:
    return "".join(text.split())


def refuse_foreign_code(config: object, where: Path) -> None:
    """Refuse an LTP config that names a callable outside :data:`TRUSTED_MODULES`.

    Raises:
        CourseError: with the name.
    """
    if isinstance(config, dict):
        target = config.get("_ltp_target_")
        if target is not None and not str(target).startswith(TRUSTED_MODULES):
            raise CourseError(
                f"the config asks to import and run {target!r}",
                where=where,
                fix="an LTP folder is code: use one from a source you trust, with ltp_core and transformers alone",
            )
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            refuse_foreign_code(part, where)


def _perceptron_cutter(folder: Path, config: dict, words: Sequence[str]) -> Callable[[list[str]], list[list[str]]]:
    from ltp.legacy import LTP

    file = folder / config.get("tasks", {}).get("cws", "")
    if not file.is_file():
        raise CourseError(f"no segmentation model: {file.name or 'cws'} is missing", where=folder)
    model = LTP(cws=str(file))
    if words:
        model.add_words(list(words))
    return lambda texts: model.pipeline(texts, tasks=["cws"]).cws


def _neural_cutter(folder: Path, words: Sequence[str]) -> Callable[[list[str]], list[list[str]]]:
    import torch
    from ltp import LTP

    model = LTP(str(folder))
    if not hasattr(model.tokenizer, "batch_encode_plus"):  # gone in transformers 5, still called by LTP 4.2
        model.tokenizer.batch_encode_plus = model.tokenizer.__call__
    if torch.cuda.is_available():
        model.to("cuda")
    if words:
        model.add_words(list(words))

    def cut(texts: list[str], batch: int = 32) -> list[list[str]]:
        rows: list[list[str]] = []
        for start in range(0, len(texts), batch):
            rows += model.pipeline(texts[start : start + batch], tasks=["cws"]).cws
        return rows

    return cut
