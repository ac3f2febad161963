"""From text to blocks: ``minirbt references``, ``pack``, ``shard``."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import CourseError
from ..language import _
from .options import SAMPLE, TEXT, KnownMarks, Length, Match, Processes, SegmenterName, Teacher, app


@app.command()
def references(
    text: Annotated[Path, typer.Argument(help="text file, one paragraph per line, UTF-8; or a folder of *.txt")],
    output: Annotated[Path, typer.Argument(help="the reference file to write, one JSON list per line; or a folder")],
    teacher: Teacher = SAMPLE["teacher"],
    segmenter: SegmenterName = SAMPLE["segmenter"],
    words: Annotated[
        Path | None,
        typer.Option(
            help="file of your own words, one per line, to keep together; the fewest words win that make up a line, "
            "frequency does not count, and a neighbour may be torn"
        ),
    ] = None,
    match: Match = "segmentation",
    processes: Processes = None,
    known_marks: KnownMarks = False,
) -> None:
    """Write which tokens of a text continue a Chinese word."""
    from ..models import load_tokenizer
    from ..text import load_segmenter, read_words, text_files, write_references
    from ..workspace import resolve

    files = text_files(text)
    several = files != [resolve(text)]  # a folder, or a list
    targets = [output / f"{file.stem}.ref" if several else output for file in files]
    _check_targets(files, targets)
    own = read_words(words) if words else []
    cutter, tokenizer = load_segmenter(segmenter, words=own), load_tokenizer(teacher, known_marks)
    for file, target in zip(files, targets, strict=True):
        write_references(file, target, cutter, tokenizer, match, processes=processes)
        print(_("references of {file}: {target}").format(file=file, target=target))


def _check_targets(files: list[Path], targets: list[Path]) -> None:
    """Refuse reference files of one name, and one that would take the place of a text."""
    texts = {file.resolve() for file in files}
    for number, (file, target) in enumerate(zip(files, targets, strict=True)):
        if target.resolve() in texts:
            raise CourseError("the references would take the place of the text", where=target, fix="name another file")
        if target in targets[:number]:
            raise CourseError(
                "{one} and {other} would have their references in one file",
                where=target,
                fix="give each of the files a name of its own",
                one=files[targets.index(target)],
                other=file,
            )


@app.command()
def pack(
    text: Annotated[list[str], typer.Argument(help=TEXT)],
    output: Annotated[Path, typer.Option(help="folder for the blocks (Arrow)")],
    references: Annotated[
        list[Path] | None, typer.Option(help="reference files, one per text file, in order; or a folder of *.ref")
    ] = None,
    length: Length = SAMPLE["length"],
    teacher: Teacher = SAMPLE["teacher"],
    segmenter: Annotated[str, typer.Option(help="LTP, where no references are given")] = SAMPLE["segmenter"],
    processes: Processes = None,
    known_marks: KnownMarks = False,
) -> None:
    """Cut text into blocks of one length, references carried along."""
    from ..models import load_tokenizer
    from ..text import build_blocks, load_segmenter, reference_files

    if not references:
        references = [file for path in text if path.endswith(".json") for file in reference_files(path)] or None
    cutter, tokenizer = None if references else load_segmenter(segmenter), load_tokenizer(teacher, known_marks)
    blocks = build_blocks(
        text,
        tokenizer,
        output,
        length=length,
        segmenter=cutter,
        references=references,
        processes=processes,
    )
    _report(blocks, length, output, tokenizer)


@app.command()
def shard(
    text: Annotated[list[str], typer.Argument(help=TEXT)],
    output: Annotated[Path, typer.Option(help="folder that all machines share: text/, blocks/ and logs/")],
    step: Annotated[
        Literal["references", "blocks", "all"],
        typer.Option(help="one of the two, or both (waiting in between until all machines have their references)"),
    ] = "all",
    tasks: Annotated[int | None, typer.Option(help="shards; default: one per file, or per 64 MiB", min=1)] = None,
    workers: Annotated[int, typer.Option(help="shards at a time (with Ray: in one job)", min=1)] = 1,
    machine: Annotated[int, typer.Option(help="which of the machines this is, from 0 ($SLURM_PROCID)")] = 0,
    machines: Annotated[int, typer.Option(help="how many machines work at it ($SLURM_NTASKS)", min=1)] = 1,
    executor: Annotated[
        Literal["local", "ray"], typer.Option(help="processes of this machine, or a Ray cluster ($RAY_ADDRESS)")
    ] = "local",
    length: Length = SAMPLE["length"],
    teacher: Teacher = SAMPLE["teacher"],
    segmenter: SegmenterName = SAMPLE["segmenter"],
    match: Match = "segmentation",
    known_marks: KnownMarks = False,
) -> None:
    """References and blocks of a big corpus, on several processes and machines (extra: full); run again to go on."""
    from ..models import load_tokenizer

    try:
        from ..text.pipeline import ShardedCorpus
    except ModuleNotFoundError as problem:
        raise CourseError(
            "{name} is not installed", fix="pip install 'minirbt-helpers[full]'", name=problem.name
        ) from problem
    settings = {"length": length, "match": match, "tasks": tasks}
    tokenizer = load_tokenizer(teacher, known_marks)
    corpus = ShardedCorpus(text, output, tokenizer, segmenter, **settings)
    share = {"workers": workers, "machine": machine, "machines": machines}
    blocks = corpus.run(step, executor=executor, **share)
    if blocks is None:
        said = _("this share is done ({step}); other shards or steps of {folder} are not, yet")
        print(said.format(step=step, folder=output))
    else:
        _report(blocks, length, corpus.blocks, tokenizer)


def _report(blocks, length: int, folder: Path, tokenizer) -> None:
    """Say what was made, and how much of it the vocabulary lacks."""
    from ..marks import tell_unknown

    print(_("{count:,} blocks of {length} tokens: {folder}").format(count=len(blocks), length=length, folder=folder))
    if told := tell_unknown(blocks, tokenizer):
        print(told)
