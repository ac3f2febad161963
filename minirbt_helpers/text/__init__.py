"""Text to masked batches: segmentation, references, blocks, masking (notebooks 01 and 02)."""

from ..lines import read_lines
from .corpus import build_blocks, cached_blocks, load_blocks, pack
from .masking import WholeWordCollator
from .references import chinese_reference, is_chinese, read_references, references, word_spans, write_references
from .segmentation import Segmenter, load_segmenter, read_words
from .sources import reference_files, text_files, text_lines

__all__ = [
    "Segmenter", "WholeWordCollator", "build_blocks", "cached_blocks", "chinese_reference", "is_chinese", "load_blocks",
    "load_segmenter", "pack", "read_lines", "read_references", "read_words", "reference_files", "references",
    "text_files", "text_lines", "word_spans", "write_references",
]  # fmt: skip
