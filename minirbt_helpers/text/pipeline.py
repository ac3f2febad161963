"""A big corpus on several processes and machines: references and blocks as two steps of datatrove (notebook 08).

`datatrove` (Hugging Face's engine for corpora, ``pip install 'minirbt-helpers[full]'``) shares the
shards out, marks the finished ones and runs only the others when it is started again. What the steps
leave is what the small path leaves: ``text/00003.txt`` and ``text/00003.ref`` in step, and one dataset
of blocks, the very blocks of :func:`~minirbt_helpers.text.build_blocks` over the whole text.
"""

import json
import os
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from datasets import Dataset
from datatrove.data import Document, DocumentsPipeline
from datatrove.executor import LocalPipelineExecutor, RayPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from transformers import PreTrainedTokenizerBase

from ..errors import CourseError
from ..language import N_
from ..workspace import atomic_file
from .corpus import (
    CARD,
    BlockText,
    BlockWriter,
    Packer,
    Stream,
    describe_blocks,
    load_blocks,
    referenced_batches,
    vocabulary_of,
)
from .processes import WORTH_A_PROCESS
from .references import Match, check_match, continued_words, positions_of
from .segmentation import Segmenter, load_segmenter
from .sources import Files, HubText, Paths, text_source
from .tokens import encoder

Step = Literal["references", "blocks", "all"]
ONE_THREAD = {"RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}  # in each of several workers
STARTS = 3  # of Ray, before it is given up


class ReadText(PipelineStep):
    """The lines of a rank's share of a text; a document is some of them, whole."""

    name, type = "MiniRBT text", "📖 - READER"

    def __init__(self, source: Files | HubText):
        super().__init__()
        self.source = source

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Yield the share's documents."""
        for number, lines in enumerate(self.source.batches(rank, world_size)):
            yield Document(text="\n".join(lines), id=f"{rank:05d}/{number}")


class MakeReferences(PipelineStep):
    """Writes the rank's documents as ``<rank>.txt``, their references as ``<rank>.ref``, and how many tokens they are.

    Any reader and any filter of datatrove's may stand before it.

    Args:
        folder: where the files go.
        tokenizer: a fast BERT tokenizer.
        segmenter: cuts the words.
        match: as in :func:`~minirbt_helpers.text.chinese_reference`.
    """

    name, type = "MiniRBT references", "✂️ - REFERENCES"

    def __init__(
        self, folder: Path, tokenizer: PreTrainedTokenizerBase, segmenter: Segmenter, match: Match = "segmentation"
    ):
        super().__init__()
        self.folder, self.tokenizer, self.segmenter, self.match = folder, tokenizer, segmenter, match

    def run(self, data: DocumentsPipeline, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Write the three files, each whole or not at all, and hand the documents on."""
        shard, size = Shard(self.folder, rank), 0
        with atomic_file(shard.text) as text, atomic_file(shard.references) as references:
            for document in data:
                lines = document.text.split("\n")
                tokens = encoder(self.tokenizer)(lines)
                flags = continued_words(lines, self.segmenter(lines), tokens, self.tokenizer, self.match)
                text.writelines(f"{line}\n" for line in lines)
                references.writelines(f"{row}\n" for row in positions_of(flags, tokens))
                size += len(tokens.ids) + int(np.count_nonzero(np.diff(tokens.borders)))  # a [SEP] after each line
                self.stat_update("lines", value=len(lines))
                yield document
        with atomic_file(shard.size) as file:
            json.dump({"tokens": size}, file)


class PackBlocks(PipelineStep):
    """Packs the rank's shard into an Arrow file: the blocks of the whole text that begin in this shard.

    The sizes of the shards before say where the first one begins; the last one is filled from the
    shards that follow. So no token is lost at a seam, and no block is short but the very last.

    Args:
        folder: what :class:`MakeReferences` left.
        output: the folder for the blocks.
        tokenizer: a fast BERT tokenizer.
        length: tokens per block.
    """

    name, type = "MiniRBT blocks", "💽 - WRITER"

    def __init__(self, folder: Path, output: Path, tokenizer: PreTrainedTokenizerBase, length: int):
        super().__init__()
        self.folder, self.output, self.tokenizer, self.length = folder, output, tokenizer, length

    def run(self, data: DocumentsPipeline = None, rank: int = 0, world_size: int = 1) -> DocumentsPipeline:
        """Write the rank's file, whole or not at all."""
        body = self.length - 2
        sizes = [Shard(self.folder, number).tokens for number in range(world_size)]
        start, end = sum(sizes[:rank]), sum(sizes[: rank + 1])
        first, beyond = (-(-place // body) for place in (start, end))  # the first blocks that begin here, and after
        streams = _skip(self._streams(rank, world_size), first * body - start)
        with (
            atomic_file(self.output / _data_file(rank, world_size), binary=True) as file,
            BlockWriter(file) as writer,
        ):
            for blocks in self._blocks(streams, beyond - first):
                writer.write(blocks)
        self.stat_update("blocks", value=writer.blocks)
        yield from ()

    def _streams(self, rank: int, world_size: int) -> Iterator[Stream]:
        shards = [Shard(self.folder, number) for number in range(rank, world_size)]
        texts, references = [shard.text for shard in shards], [shard.references for shard in shards]
        return map(BlockText(self.tokenizer), referenced_batches(texts, references))

    def _blocks(self, streams: Iterator[Stream], count: int) -> Iterator[Stream]:
        """The first ``count`` blocks of running text."""
        packer = Packer(self.tokenizer, self.length)
        while count and (stream := next(streams, None)) is not None:
            ids, flags = packer.add(stream)
            yield ids[:count], flags[:count]
            count -= min(count, len(ids))
        if count:
            yield packer.rest()  # where the whole text ends


def _skip(streams: Iterator[Stream], tokens: int) -> Iterator[Stream]:
    """Running text without its first tokens."""
    for ids, flags in streams:
        yield ids[tokens:], flags[tokens:]
        tokens = max(0, tokens - len(ids))


@dataclass(frozen=True)
class Shard:
    """The files of one shard."""

    folder: Path
    rank: int

    @property
    def text(self) -> Path:
        """One paragraph per line."""
        return self.folder / f"{self.rank:05d}.txt"

    @property
    def references(self) -> Path:
        """One JSON list per line of the text."""
        return self.text.with_suffix(".ref")

    @property
    def size(self) -> Path:
        """How many tokens the shard has as running text."""
        return self.text.with_suffix(".json")

    @property
    def tokens(self) -> int:
        """What :attr:`size` says."""
        return json.loads(self.size.read_text(encoding="utf-8"))["tokens"]


def _data_file(rank: int, world_size: int) -> str:
    return f"data-{rank:05d}-of-{world_size:05d}.arrow"


class RayExecutor(RayPipelineExecutor):
    """datatrove's, with processes that end when told to: a Ray worker's way with SIGTERM hangs in its forks."""

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return super()._run_for_rank(rank, local_rank, node_rank)


def _start(ray, workers: int) -> None:
    """Join the cluster of ``RAY_ADDRESS``, or start one here: Ray waits 30 s for it, too little on a busy machine."""
    joined = "RAY_ADDRESS" in os.environ
    local = {} if joined else {"num_cpus": max(workers, os.cpu_count() or 1), "include_dashboard": False}
    for left in reversed(range(STARTS)):
        try:
            ray.init(runtime_env={"env_vars": ONE_THREAD}, log_to_driver=False, **local)
            return
        except Exception as problem:  # a plain one: the node timed out
            ray.shutdown()
            if not left:
                raise CourseError(
                    "Ray did not start ({problem})",
                    fix="look at RAY_ADDRESS" if joined else "again when the machine is less busy, or --executor local",
                    problem=problem,
                ) from problem


class ShardedCorpus:
    """References and blocks of a text in a folder, made shard by shard.

    Args:
        text: see :func:`~minirbt_helpers.text.build_blocks`.
        output: the folder: ``text/``, ``blocks/`` and datatrove's ``logs/`` with the marks of finished shards.
        tokenizer: a fast BERT tokenizer.
        segmenter: cuts the words: a folder or a hub id.
        length: tokens per block.
        match: as in :func:`~minirbt_helpers.text.chinese_reference`.
        tasks: shards; None: one per file of the text, or per 64 MiB if that is more.

    Raises:
        CourseError: no such text or segmenter, a text that the shards would overwrite, settings that cannot be, or a
            folder begun with other ones.
    """

    def __init__(
        self,
        text: Paths,
        output: str | Path,
        tokenizer: PreTrainedTokenizerBase,
        segmenter: str | Path,
        *,
        length: int,
        match: Match = "segmentation",
        tasks: int | None = None,
    ):
        self.source, self.output, self.length = text_source(text), Path(output).resolve(), length
        self.source.require_text()
        if isinstance(self.source, Files) and any(self.text in file.resolve().parents for file in self.source.files):
            raise CourseError(
                "the text lies where its shards are to come",
                where=self.text,
                fix="name another output folder",
            )
        self.tokenizer, self.segmenter, self.match = tokenizer, segmenter, match
        self._keep_plan(tasks)

    @cached_property
    def text(self) -> Path:
        """The folder of texts and references."""
        return self.output / "text"

    @cached_property
    def blocks(self) -> Path:
        """The folder of the blocks."""
        return self.output / "blocks"

    def reference_steps(self) -> list[PipelineStep]:
        """The first pipeline, for an executor of datatrove's; filters may be put between the two."""
        segmenter = load_segmenter(self.segmenter)
        return [ReadText(self.source), MakeReferences(self.text, self.tokenizer, segmenter, self.match)]

    def block_steps(self) -> list[PipelineStep]:
        """The second pipeline, to be run when the first is done for every shard."""
        return [PackBlocks(self.text, self.blocks, self.tokenizer, self.length)]

    def run(
        self,
        step: Step = "all",
        *,
        executor: Literal["local", "ray"] = "local",
        workers: int = 1,
        machine: int = 0,
        machines: int = 1,
    ) -> Dataset | None:
        """Do what is not done yet; start it again if it was broken off.

        Args:
            step: one of the two pipelines, or both (the second then waits until all machines have done the first).
            executor: ``"local"``: processes of this machine; ``"ray"``: a cluster (``RAY_ADDRESS``; none: a local one).
            workers: how many shards at a time (with Ray: in one job, which is given so many CPUs).
            machine, machines: which share of the shards is this process's, counted from 0; Ray shares out itself.

        Returns:
            The blocks, once every shard is packed; None: other machines are still at it.

        Raises:
            CourseError: a shard could not be done; those that are done stay done.
        """
        if not 0 <= machine < machines:
            raise CourseError(
                "machine {machine} of {machines}",
                fix="--machine is one of 0 to {last}",
                machine=machine,
                machines=machines,
                last=machines - 1,
            )
        first, last = (self.tasks * part // machines for part in (machine, machine + 1))
        share = range(self.tasks) if executor == "ray" else range(first, last)
        make = {"local": self._local, "ray": self._ray}[executor]
        references = make(self.reference_steps(), "references", share, workers, None)
        blocks = make(self.block_steps(), "blocks", share, workers, references if step == "all" else None)
        if step == "blocks" and (left := references.get_incomplete_ranks()):
            raise CourseError(
                "{left} of {tasks} shards have no references yet",
                fix="--step references first",
                left=len(left),
                tasks=self.tasks,
            )
        if share:
            self._run(references if step == "references" else blocks, share)
        return None if step == "references" or blocks.get_incomplete_ranks() else self._finish()

    def _run(self, executor, share: range) -> None:
        try:
            executor.run()
        except CourseError:
            raise
        except Exception as problem:  # whatever a worker met
            raise self._undone(
                "a shard could not be done ({kind}: {problem})", kind=type(problem).__name__, problem=problem
            ) from problem
        if left := executor.get_incomplete_ranks(share):
            raise self._undone("{left} of {all} shards are not done", left=len(left), all=len(share))

    def _undone(self, what: str, **fields: object) -> CourseError:
        fix = N_("the logs say why; run again, and only those are done")
        return CourseError(what, where=self.output / "logs", fix=fix, **fields)

    def _local(self, steps: list[PipelineStep], name: str, share: range, workers: int, depends):
        if workers > 1:
            os.environ.update(ONE_THREAD)
        return LocalPipelineExecutor(
            steps,
            tasks=self.tasks,
            workers=max(1, min(workers, len(share))),
            logging_dir=str(self.output / "logs" / name),
            depends=depends,
            local_tasks=len(share),
            local_rank_offset=share.start,
        )

    def _ray(self, steps: list[PipelineStep], name: str, share: range, workers: int, depends):
        try:
            import ray
        except ModuleNotFoundError as problem:
            raise CourseError("ray is not installed", fix="pip install 'minirbt-helpers[full]'") from problem
        if not ray.is_initialized():
            _start(ray, workers)
        return RayExecutor(
            steps,
            tasks=self.tasks,
            tasks_per_job=workers,  # a job imports everything once, and then does so many shards at a time
            cpus_per_task=workers,
            mem_per_cpu_gb=0.5,
            logging_dir=str(self.output / "logs" / name),
            depends=depends,
        )

    def _keep_plan(self, tasks: int | None) -> None:
        """Write down what is made here, or take up what was written down when it was begun."""
        file = self.output / "plan.json"
        before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        asked = getattr(self.source, "revision", None)
        if isinstance(self.source, HubText):  # a branch moves on, and other machines are to read the same rows
            self.source = replace(self.source, revision=before.get("commit")) if before else self.source.pinned()
        self.tasks = tasks or before.get("tasks") or self._useful_tasks()
        plan = {
            "text": [str(name) for name in self.source.files] if isinstance(self.source, Files) else str(self.source),
            "revision": asked,
            "commit": getattr(self.source, "revision", None),
            "bytes": self.source.size,
            "tasks": self.tasks,
            "length": self.length,
            "match": self.match,
            "segmenter": str(self.segmenter),
            "vocabulary": vocabulary_of(self.tokenizer),
        }
        if changed := [name for name, value in plan.items() if before and before.get(name) != value]:
            raise CourseError(
                "begun with another {settings}",
                where=file,
                fix="go on as it was begun, or name another folder",
                settings=", ".join(changed),
            )
        if not before:
            Packer(self.tokenizer, self.length)  # what can be refused is, before anybody is held to it
            check_match(self.match)
            load_segmenter(self.segmenter)
            with atomic_file(file) as new:
                json.dump(plan, new, ensure_ascii=False, indent=2)

    def _useful_tasks(self) -> int:
        if isinstance(self.source, HubText):
            return self.source.shards
        return max(len(self.source.files), self.source.size // WORTH_A_PROCESS)

    def _finish(self) -> Dataset:
        """Make the shards' files one dataset; several machines may do so at the same time."""
        if not (self.blocks / CARD).is_file():
            tokens = sum(Shard(self.text, rank).tokens for rank in range(self.tasks))
            names = [_data_file(rank, self.tasks) for rank in range(self.tasks)]
            size = sum((self.blocks / name).stat().st_size for name in names)
            with tempfile.TemporaryDirectory(dir=self.blocks) as new:
                describe_blocks(Path(new), names, -(-tokens // (self.length - 2)), size, self.tokenizer)
                for file in sorted(Path(new).iterdir(), key=lambda file: file.name == CARD):  # the card last
                    os.replace(file, self.blocks / file.name)
        return load_blocks(self.blocks)
