# ruff: noqa: E501 (a table)
"""Plants bugs in a copy of the text room (and the hub) and looks whether the tests see them: ``python tests/planted_bugs.py``.

Not a test itself: it takes minutes, and is run when the text room or its tests change.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent

# What is broken; the file; what stands there; what stands there instead; the test that must fail.
BUGS = [
    ("letters that the model drops are lost", "text/segmentation.py", "found += [letters[at:place], word]", "found += [word]", "test_segmentation.py::test_neural_words_joined_give_the_line_back"),
    ("spaces stay in words", "text/segmentation.py", 'for part in word.split()]  # LTP', 'for part in [word]]  # LTP', "test_segmentation.py::test_blanks_end_words_and_spoil_nothing"),
    ("a long line's rest is dropped", "text/segmentation.py", "    yield text[at:]\n", "    yield text[at : at + limit]\n", "test_segmentation.py::test_odd_lines_come_back_whole"),
    ("pieces one token too long", "text/segmentation.py", "while len(spans) - first > limit:", "while len(spans) - first > limit + 1:", "test_segmentation.py::test_long_lines_are_cut_at_the_limit_and_lose_nothing"),
    ("a callable is judged by its name alone", "text/segmentation.py", "and found.__module__.startswith(TRUSTED_PACKAGES)", "", "test_segmentation.py::test_a_config_that_runs_foreign_code_is_refused"),
    ("any callable of a trusted module is trusted", "text/segmentation.py", "return inspect.isclass(found) and issubclass(found, Module) and ", "return True or ", "test_segmentation.py::test_a_config_that_runs_foreign_code_is_refused"),
    ("weights are unpickled", "text/segmentation.py", "weights_only=True", "weights_only=False", "test_segmentation.py::test_weights_never_run_code"),
    ("special tokens in a text are split", "text/tokens.py", "kinds[slice(*match.span())] = RUN", "pass", "test_tokens.py::test_tokens_are_the_library_s"),
    ("tokens begin one character late", "text/tokens.py", "np.repeat(firsts, sizes) + self._run_starts", "np.repeat(firsts, sizes) + 1 + self._run_starts", "test_tokens.py::test_tokens_are_the_library_s"),
    ("digits between letters taken for words", "text/tokens.py", "if ids[::2] == self._letter * 2 and", "if len(ids) == 3 and", "test_tokens.py::test_every_character_in_every_company"),
    ("positions beyond the sequence", "text/references.py", "np.diff(ends)) + 1).tolist()", "np.diff(ends)) + 2).tolist()", "test_text.py::test_every_position_continues_a_chinese_word_of_the_line"),
    ("first characters are marked, too", "text/references.py", "letters[firsts] = False", "pass", "test_text.py::test_every_position_continues_a_chinese_word_of_the_line"),
    ("words that are not Chinese are marked, too", "text/references.py", "np.logical_and.reduceat(", "np.logical_or.reduceat(", "test_text.py::test_references_are_what_their_definition_says"),
    ("the shortest match is taken", "text/references.py", "range(min(longest, len(tokens) - at), 1, -1)", "range(2, min(longest, len(tokens) - at) + 1)", "test_text.py::test_greedy_matching_joins_what_was_cut_elsewhere"),
    ("U+2028 ends a line", "lines.py", 'raw.decode("utf-8").split("\\n")', 'raw.decode("utf-8").splitlines() or [""]', "test_text.py::test_no_line_shifts_whatever_the_lines_are"),
    ("blank lines are dropped", "lines.py", "                yield _split(raw, file, at)\n", "                yield [line for line in _split(raw, file, at) if line.strip()]\n", "test_text.py::test_no_line_shifts_whatever_the_lines_are"),
    ("packing loses a token", "text/corpus.py", "self._rest = ids[full:], flags[full:]", "self._rest = ids[full + 1 :], flags[full + 1 :]", "test_corpus.py::test_packing_loses_and_repeats_nothing"),
    ("packing repeats a token", "text/corpus.py", "self._rest = ids[full:], flags[full:]", "self._rest = ids[max(0, full - 1) :], flags[max(0, full - 1) :]", "test_corpus.py::test_packing_loses_and_repeats_nothing"),
    ("flags are one place off", "text/corpus.py", "    flags[places] = True\n", "    flags[places - 1] = True\n", "test_corpus.py::test_packing_loses_and_repeats_nothing"),
    ("references of another text pass", "text/corpus.py", "if wrong.any():", "if False:", "test_corpus.py::test_references_of_another_text_are_refused"),
    ("a damaged cache passes", "text/corpus.py", "    if not whole:\n", "    if False:\n", "test_corpus.py::test_a_damaged_cache_is_made_again_and_said_so"),
    ("labels where nothing is asked", "text/masking.py", "np.full(ids.shape, IGNORED, np.int64)", "ids.copy()", "test_masking.py::test_words_are_masked_whole_within_the_budget"),
    ("words are cut", "text/masking.py", "steps[firsts + sizes.ravel()[firsts]] -= 1", "steps[firsts + 1] -= 1", "test_masking.py::test_words_are_masked_whole_within_the_budget"),
    ("the budget is overdrawn", "text/masking.py", "np.maximum(1, np.rint(", "np.maximum(1, 1 + np.rint(", "test_masking.py::test_words_are_masked_whole_within_the_budget"),
    ("padding is masked", "text/masking.py", "self._text[ids] & inside", "(self._text[ids] | ~inside)", "test_masking.py::test_words_are_masked_whole_within_the_budget"),
    ("70/20/10", "text/masking.py", "dice < 1 - KEEP - RANDOM,", "dice < 0.7,", "test_masking.py::test_shares_over_a_million_tokens"),
    ("only the first words are looked at", "text/masking.py", "if full.all():", "if True:", "test_masking.py::test_a_word_that_fits_is_found_behind_many_that_do_not"),
    ("workers draw the same", "text/masking.py", "_mix(self.seed, self.rank, worker.seed)", "_mix(self.seed, self.rank)", "test_masking.py::test_workers_mask_differently_and_every_epoch_anew"),
    ("ranks draw the same", "text/masking.py", "manual_seed(_mix(seed, self.rank))", "manual_seed(_mix(seed))", "test_masking.py::test_ranks_mask_differently"),
    ("a share begins in the midst of a line", "lines.py", "stream.seek(start - 1)", "stream.seek(start)", "test_sharding.py::test_every_line_is_in_exactly_one_share"),
    ("a line at a share's end is read twice", "lines.py", 'raw += b"" if raw.endswith(b"\\n") else stream.readline()', "raw += stream.readline()", "test_sharding.py::test_every_line_is_in_exactly_one_share"),
    ("every shard starts a block of its own", "text/pipeline.py", "first * body - start)", "0)", "test_sharding.py::test_no_seam_shows"),
    ("the block at a seam is left out", "text/pipeline.py", "self._blocks(streams, beyond - first)", "self._blocks(streams, end // body - first)", "test_sharding.py::test_no_seam_shows"),
    ("the [SEP] of a line is not counted", "text/pipeline.py", " + int(np.count_nonzero(np.diff(tokens.borders)))", "", "test_sharding.py::test_no_seam_shows"),
    ("work begun with other settings is gone on with", "text/pipeline.py", "if before and before.get(name) != value", "if False", "test_sharding.py::test_a_shard_that_fails_leaves_the_others_done"),
    ("finished shards are done again", "text/pipeline.py", "logging_dir=str(self.output / \"logs\" / name),\n            depends=depends,\n            local_tasks", "logging_dir=str(self.output / \"logs\" / name),\n            skip_completed=False,\n            depends=depends,\n            local_tasks", "test_sharding.py::test_a_shard_that_fails_leaves_the_others_done"),
    ("checksums are not looked at", "hub.py", "return digest.hexdigest() == blob.name", "return True", "test_hub.py::test_a_wrong_checksum_is_refused_and_the_next_run_fetches_anew"),
    ("a damaged file stays in the cache", "hub.py", "            blob.unlink()\n            file.unlink()\n", "", "test_hub.py::test_a_wrong_checksum_is_refused_and_the_next_run_fetches_anew"),
    ("a full disk is called a bad network", "hub.py", "one.errno in NO_ROOM", "one.errno == 0", "test_hub.py::test_a_download_that_was_given_up_keeps_what_is_whole"),
    ("missing weights start at random", "models/initialisation.py", "if any(not name.startswith(\"cls.\") for name in missing):", "if False:", "test_hub.py::test_weights_that_are_not_whole_are_refused"),
]  # fmt: skip


def seen(folder: Path, file: str, old: str, new: str, test: str) -> bool:
    """Whether a test fails once a bug is planted in a copy of the package."""
    source = folder / "minirbt_helpers" / file
    content = source.read_text(encoding="utf-8")
    if old not in content:
        raise SystemExit(f"{file} has changed, and this bug has no place any more: {old!r}")
    source.write_text(content.replace(old, new), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"tests/{test}"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)
    source.write_text(content, encoding="utf-8")
    if done.returncode not in (0, 1):  # 1: a test failed
        raise SystemExit(done.stdout + done.stderr)
    return done.returncode == 1


def main() -> None:
    """Plant one bug after the other; status 1 if a test did not see its bug."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("minirbt_helpers", "tests", "data_samples"):
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        missed = []
        for what, *bug in BUGS:
            found = seen(folder, *bug)
            missed += [] if found else [what]
            print(f"{'seen  ' if found else 'MISSED'}  {what:<45} {bug[-1]}", flush=True)
    print(f"{len(BUGS) - len(missed)} of {len(BUGS)} bugs seen")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
