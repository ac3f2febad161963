"""What a run runs on: its device, the other processes beside it, its number format, its memory."""

import atexit
import ctypes
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from transformers import BertForMaskedLM

from ..errors import CourseError
from ..recipe import Recipe
from ..workspace import machine_memory

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # names of mallopt(3)


@dataclass(frozen=True)
class World:
    """The processes of a run, as ``torchrun`` starts them; one alone otherwise.

    Attributes:
        rank: this process's number, from 0.
        size: how many there are.
        device: what this one computes on.
    """

    rank: int
    size: int
    device: torch.device

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and shows."""
        return self.rank == 0

    def wrap(self, learner: nn.Module, unused: bool) -> nn.Module:
        """The module in DDP where there is more than one process; ``unused``: not every weight gets a gradient."""
        if self.size == 1:
            return learner
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(learner, device_ids=devices, find_unused_parameters=unused)

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.size > 1:
            dist.barrier()

    @contextmanager
    def first_before_others(self) -> Iterator[None]:
        """The block is run by the first process, and then by the others, who find what it left on disk."""
        if not self.first:
            self.wait()
        yield
        if self.first:
            self.wait()


def join_world() -> World:
    """This process's place among those of ``torchrun``: NCCL between GPUs, gloo between CPUs.

    Raises:
        CourseError: a restart in which the processes would look for each other at the old ones' addresses.
    """
    if os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") != "0" and _meets_in_the_old_store():
        raise CourseError(
            "torchrun keeps the addresses of the processes that are gone, and the new ones would wait for those",
            fix="start it again with TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 set; the run goes on from its checkpoint",
        )
    cuda = torch.cuda.is_available()
    size, local = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("LOCAL_RANK", 0))
    device = torch.device("cuda", local) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if cuda else "gloo", device_id=device if cuda else None)
        atexit.register(dist.destroy_process_group)
    return World(int(os.environ.get("RANK", 0)) if size > 1 else 0, size, device)


def _meets_in_the_old_store() -> bool:
    """Whether torchrun lets the processes of every attempt share one store (its default)."""
    return os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"


def autocast(recipe: Recipe, device: torch.device) -> AbstractContextManager:
    """torch's autocast to the recipe's number format; nothing at fp32."""
    if recipe.precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, DTYPES[recipe.precision])


@torch.no_grad()
def compile_encoder(model: BertForMaskedLM) -> None:
    """torch.compile for a model's encoder, in place.

    It reads one token first: transformers then installs what collects the hidden states, behind a lock at which
    the graph would break.
    """
    training = model.training
    model.eval().bert(torch.zeros(1, 1, dtype=torch.long, device=model.device), output_hidden_states=True)
    model.train(training).bert.compile()


def free_memory(world: World) -> float:
    """Bytes a process may still take on its device: a GPU's own, or its share of the machine's."""
    if world.device.type == "cuda":
        return float(torch.cuda.mem_get_info(world.device)[0])
    return machine_memory()[1] / int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def synchronize(world: World) -> None:
    """Go on when this process's device has done all it was asked to, and all processes are here."""
    if world.device.type == "cuda":
        torch.cuda.synchronize(world.device)
    world.wait()


def timed(world: World, work: Callable[[], object]) -> float:
    """Seconds a piece of work takes on all processes together (their mean, the same number for each)."""
    synchronize(world)
    started = time.perf_counter()
    work()
    synchronize(world)
    seconds = torch.tensor(time.perf_counter() - started, device=world.device)
    return float(world.sum(seconds)) / world.size


def keep_freed_memory() -> None:
    """Let the process keep the memory it frees, for the next step needs it again (Linux with glibc).

    Otherwise every large tensor on a CPU comes as fresh pages from the system, which have to be
    cleared: in a distillation step at full size that takes about as long as the student's matrix products.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt:
            mallopt(M_MMAP_MAX, 0)
            mallopt(M_TRIM_THRESHOLD, -1)  # never
