"""What this machine has, and which scale it can run (``minirbt doctor``, notebook 08)."""

import os
import shutil

from .course import notebooks
from .recipe import load_recipe
from .workspace import existing_parent, machine_memory, project_root, versions

GIB = 2**30
SAMPLE_MEMORY, SAMPLE_DISK = 3 * GIB, 2 * GIB
FULL_MEMORY, FULL_DISK = 11 * GIB, 50 * GIB  # of a GPU, with a small micro-batch; blocks of a corpus come on top


def examine() -> dict[str, str]:
    """What this machine has: versions, processors, memory, GPUs, free disk, hub; and which scale it can run."""
    import torch

    total, free = machine_memory()
    disk = shutil.disk_usage(existing_parent(load_recipe().output_dir)).free
    gpus = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    offline = os.environ.get("HF_HUB_OFFLINE") == "1"
    return {
        **versions(),
        "processors": str(os.cpu_count()),
        "memory": f"{total / GIB:.0f} GiB, {free / GIB:.0f} free",
        "GPU": " + ".join(f"{gpu.name} ({gpu.total_memory / GIB:.0f} GiB)" for gpu in gpus) or "none",
        "free disk": f"{disk / GIB:.0f} GiB",
        "hub": "offline" if offline else os.environ.get("HF_ENDPOINT", "https://huggingface.co"),
        "sample data": str(project_root() / "data_samples"),
        "notebooks": str(len(notebooks())),
        "sample scale": _fits({"memory": (free, SAMPLE_MEMORY), "disk": (disk, SAMPLE_DISK)}),
        "full scale": _fits(
            {
                "GPU memory": (min((gpu.total_memory for gpu in gpus), default=0), FULL_MEMORY),
                "disk": (disk, FULL_DISK),
            }
        )
        + (f": torchrun --standalone --nproc-per-node {len(gpus)} …, after a --dry-run" if gpus else ""),
    }


def _fits(resources: dict[str, tuple[float, float]]) -> str:
    """``"yes"``, or what is missing of (what there is, what it takes)."""
    short = [
        f"{name} {there / GIB:.0f} of {takes / GIB:.0f} GiB"
        for name, (there, takes) in resources.items()
        if there < takes
    ]
    return "no: " + ", ".join(short) if short else "yes"
