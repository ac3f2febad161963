"""Laws of the glosses: well formed, read as pinyin is, complete for what the course asks, and shown where they help."""

import json
import re
from collections import Counter
from functools import cache
from itertools import chain
from unicodedata import normalize

import pytest
from conftest import ROOT

from minirbt_helpers.errors import CourseError
from minirbt_helpers.insight import draw_cloze, draw_mask_guesses, gloss_in_place, glosses
from minirbt_helpers.lines import read_lines
from minirbt_helpers.text import is_chinese

TABLE = glosses()
TONES = "\u0304\u0301\u030c\u0300"  # macron, acute, caron, grave: tones one to four
CLOZE = [
    json.loads(line) for name in ("cloze", "cloze_unseen") for line in read_lines(ROOT / f"data_samples/{name}.jsonl")
]
READ_OTHERWISE = {"几乎", "暖和", "要求"}  # words in which a character has a reading that is rare elsewhere
LIKE_G = "a ai an ang ao e ei en eng ong ou u ua uai uan uang ui un uo"
LIKE_J = "i ia ian iang iao ie in ing iong iu u uan ue un"
LIKE_Z = "a ai an ang ao e ei en eng i ong ou u uan ui un uo"
SYLLABLES = {
    first + rest
    for first, finals in {
        "": "a ai an ang ao e ei en er o ou",
        "b": "a ai an ang ao ei en eng i ian iao ie in ing o u",
        "p": "a ai an ang ao ei en eng i ian iao ie in ing o ou u",
        "m": "a ai an ang ao e ei en eng i ian iao ie in ing iu o ou u",
        "f": "a an ang ei en eng o ou u",
        "d": "a ai an ang ao e ei en eng i ian iao ie ing iu ong ou u uan ui un uo",
        "t": "a ai an ang ao e eng i ian iao ie ing ong ou u uan ui un uo",
        "n": "a ai an ang ao e ei en eng i ian iang iao ie in ing iu ong ou u uan uo ü üe",
        "l": "a ai an ang ao e ei eng i ia ian iang iao ie in ing iu ong ou u uan un uo ü üe",
        "g": LIKE_G, "k": LIKE_G, "h": LIKE_G, "zh": f"{LIKE_G} i", "ch": f"{LIKE_G} i", "sh": f"{LIKE_G} i",
        "j": LIKE_J, "q": LIKE_J, "x": LIKE_J,
        "z": LIKE_Z, "c": LIKE_Z, "s": LIKE_Z,
        "r": "an ang ao e en eng i ong ou u ua uan ui un uo",
        "y": "a an ang ao e i in ing ong ou u uan ue un",
        "w": "a ai an ang ei en eng o u",
    }.items()
    for rest in finals.split()
}  # fmt: skip


def toneless(pinyin: str) -> str:
    return normalize("NFC", "".join(letter for letter in normalize("NFD", pinyin) if letter not in TONES))


@cache
def is_syllable(text: str) -> bool:
    """Whether a text is one pinyin syllable with at most one tone mark, on the vowel that carries it."""
    marked = [place for place, letter in enumerate(text) if toneless(letter) != letter]
    plain = toneless(text)
    carrier = re.search(r"[ae]|o(?=u)|[iouü](?=[^aeiouü]*$)", plain)
    return plain in SYLLABLES and (not marked or marked == [carrier.start()])


@cache
def splits(pinyin: str) -> list[list[str]]:
    """All ways to cut a reading into syllables; apostrophes, hyphens and blanks stand between two."""
    pinyin = pinyin.lower().lstrip("'- ")
    if not pinyin:
        return [[]]
    sizes = [size for size in range(1, 7) if is_syllable(pinyin[:size])]
    return [[pinyin[:size], *rest] for size in sizes for rest in splits(pinyin[size:])]


def is_read_as(word: str, syllables: list[str]) -> bool:
    """Whether every syllable is a reading of its character, or one without its tone."""
    readings = [TABLE[character].pinyin.split("; ") for character in word]
    return len(word) == len(syllables) and all(
        syllable in (*known, *map(toneless, known)) for syllable, known in zip(syllables, readings, strict=True)
    )


# --- the table ------------------------------------------------------------------------------------------------------


def test_the_file_is_sorted_and_clean():
    raw = (ROOT / "data_samples" / "glosses.tsv").read_bytes().decode("utf-8")
    assert raw.endswith("\n") and "\r" not in raw and normalize("NFC", raw) == raw
    assert list(TABLE) == sorted(TABLE) and all(map(is_chinese, TABLE))
    sizes = Counter(map(len, TABLE))
    assert sizes[1] >= 900 and sum(sizes[size] for size in (2, 3, 4)) >= 500 and max(sizes) == 4


def test_a_syllable_carries_its_mark_where_pinyin_has_it():
    assert all(map(is_syllable, ("hǎo", "guì", "liú", "lüè", "de", "ér", "xióng", "dōu")))
    assert not any(map(is_syllable, ("haǒ", "gùi", "líu", "hào1", "bǎng2", "bong", "hǎò", "")))


def test_a_character_has_one_syllable_for_each_reading():
    wrong = [
        word for word, gloss in TABLE.items() if len(word) == 1 and not all(map(is_syllable, gloss.pinyin.split("; ")))
    ]
    assert wrong == []


def test_a_word_is_read_as_its_characters_are():
    words = {word: gloss.pinyin for word, gloss in TABLE.items() if len(word) > 1}
    assert (words["女儿"], words["这儿"]) == ("nǚ'ér", "zhèr")  # 儿 is a syllable, or only the r of the one before it
    words["这"] = words.pop("这儿").removesuffix("r")
    wrong = {
        word for word, pinyin in words.items() if not any(is_read_as(word, syllables) for syllables in splits(pinyin))
    }
    assert wrong == READ_OTHERWISE
    assert all(len(word) in map(len, splits(TABLE[word].pinyin)) for word in READ_OTHERWISE)


def test_the_english_is_short_and_half_words_name_a_whole_one():
    for word, (_, english) in TABLE.items():
        for meaning in re.sub("half of .., ", "", english).split("; "):
            assert re.fullmatch(r"[a-zA-Z '?!,-]+", meaning) and len(meaning.split()) <= 5, word
        for whole, meaning in re.findall("half of (..), ([^;]+)", english):
            assert word in whole and meaning in TABLE[whole].english, word


def test_every_answer_of_the_gaps_has_a_gloss():
    assert [question["answer"] for question in CLOZE if question["answer"] not in TABLE] == []


def test_the_characters_cover_the_held_out_corpus():
    files = sorted((ROOT / "data_samples" / "corpus" / "heldout").glob("*.txt"))
    characters = [c for c in chain.from_iterable(chain.from_iterable(map(read_lines, files))) if is_chinese(c)]
    assert sum(character in TABLE for character in characters) / len(characters) >= 0.95


# --- reading it -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("天\ttiān", "2 fields instead of 3"),
        ("天\ttiān\tsky\tday", "4 fields instead of 3"),
        ("", "1 fields instead of 3"),
        ("天\t\tsky", "a field is empty"),
        ("天\ttiān \tsky", "blanks at its ends"),
        ("水\tshuǐ\twater", "a second entry for 水"),
        ("长\tcháng; zhǎng\tlong", "different numbers of readings"),
    ],
)
def test_a_malformed_line_is_refused(tmp_path, line, wrong):
    file = tmp_path / "glosses.tsv"
    file.write_text(f"word\tpinyin\tenglish\n水\tshuǐ\twater\n{line}\n", encoding="utf-8")
    with pytest.raises(CourseError, match=f"glosses.tsv, line 3: .*{wrong}"):
        glosses(file)


def test_a_table_without_its_head_is_refused(tmp_path):
    (tmp_path / "glosses.tsv").write_text("水\tshuǐ\twater\n", encoding="utf-8")
    with pytest.raises(CourseError, match=r"line 1: the first line names the columns word, pinyin, english"):
        glosses(tmp_path / "glosses.tsv")


def test_the_table_is_read_once_and_cannot_be_changed():
    assert glosses() is TABLE
    with pytest.raises(TypeError):
        TABLE["水"] = TABLE["火"]


@pytest.mark.parametrize(
    ("token", "before", "after", "word"),
    [
        ("气", "今天天", "很好。", "天气"),
        ("北", "", "京是中国的首都。", "北京"),
        ("起", "对不", "，我来晚了。", "对不起"),
        ("书", "他在图", "馆里", "图书馆"),
        ("天", "今", "气", "今天"),  # two equally long words: the earlier one
        ("天", "今天", "气很好。", "天气"),  # 今天 is a word already
        ("天", "昨天", "", "天"),
        ("水", "", "", "水"),
        ("水", "[SEP]", "[MASK]", "水"),
        ("京是", "北", "", None),
        ("，", "天", "气", None),
    ],
)
def test_a_guess_is_glossed_as_the_word_it_makes(token, before, after, word):
    assert gloss_in_place(token, before, after) == (word and (word, TABLE[word]))


# --- showing it -----------------------------------------------------------------------------------------------------


def test_the_table_of_guesses_glosses_every_guess_it_can_and_the_hidden_word():
    answers = {"teacher": [[("干", 0.9), ("，", 0.1)], [("净", 0.8), ("X", 0.2)]]}
    table = draw_mask_guesses("房间很[MASK][MASK]。", answers, truth="干净").data
    assert "hidden: 干净" in table and "<i>gānjìng</i>&ensp;clean" in table
    assert table.count("<i>") == 3 and f"<i>{TABLE['净'].pinyin}</i>" in table  # 干净 as a whole, 干, 净
    apart = draw_mask_guesses("干[MASK]的，很[MASK]净", {"teacher": [[("净", 0.9)], [("净", 0.9)]]}, truth="干净").data
    assert apart.count("干净 <i>gānjìng</i>&ensp;clean") == 1  # the first gap's; the second's 净净 is no word
    assert "hidden: 干净 </span>" in apart  # two gaps that are not one word's


def test_the_cloze_table_glosses_the_word_that_a_guess_makes():
    question = {"text": "今天天[MASK]很好。", "answer": "气", "pinyin": "p", "english": "e", "kind": "k"}
    table = draw_cloze([question], {"teacher": [[[("气", 0.9), ("[UNK]", 0.1)]]]}).data
    assert table.count("天气 <i>tiānqì</i>&ensp;weather") == 2 == table.count("&ensp;")  # what is hidden, and the guess
