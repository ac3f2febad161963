"""Work on a stream of text in several processes, in step (notebook 02)."""

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from ..errors import CourseError
from ..workspace import processors

Item = TypeVar("Item")
Result = TypeVar("Result")
WORTH_A_PROCESS = 2**26  # bytes of text; a process takes some seconds to start, and LTP has threads of its own
# What workers import is imported once and shared by all.
PRELOADED = [__package__, "ltp.legacy", "transformers.models.bert.tokenization_bert"]
_work: Callable | None = None  # of a worker process


def useful_processes(size: int | None) -> int:
    """How many processes a text of so many bytes is worth on this machine; None: nobody knows, all processors."""
    return processors() if size is None else max(1, min(processors(), size // WORTH_A_PROCESS))


def in_step(work: Callable[[Item], Result], items: Iterable[Item], processes: int) -> Iterator[tuple[Item, Result]]:
    """Yield every item with what ``work`` made of it, in order; few items are in memory at a time.

    Args:
        work: is sent to each process once, so it must be picklable; one process works right here.
        items: read as the work goes on.
        processes: how many.

    Raises:
        CourseError: a process was killed; and whatever ``work`` raises.
    """
    if processes == 1:
        for item in items:
            yield item, work(item)
        return
    kinds = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in kinds else "spawn")
    if "forkserver" in kinds:
        context.set_forkserver_preload(PRELOADED)
    pool = ProcessPoolExecutor(processes, context, initializer=_start, initargs=(work,))
    try:
        waiting: deque = deque()
        for item in items:
            waiting.append((item, pool.submit(_call, item)))
            if len(waiting) > 2 * processes:
                yield _finished(*waiting.popleft())
        while waiting:
            yield _finished(*waiting.popleft())
    except BrokenProcessPool as problem:
        raise CourseError(
            "a worker process died",
            fix="if memory ran out: one process; a script of your own must begin its work "
            'under `if __name__ == "__main__":`',
        ) from problem
    finally:
        pool.shutdown(cancel_futures=True)


def _finished(item: Item, future) -> tuple[Item, Result]:
    return item, future.result()


def _start(work: Callable) -> None:
    global _work
    os.environ["RAYON_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"  # one thread in each process is enough
    _work = work


def _call(item: Item) -> Result:
    return _work(item)
