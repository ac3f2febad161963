"""What this machine has, and which scale it can run (``minirbt doctor``, notebook 08)."""

import os
import shutil

from .course import notebooks
from .language import N_, _, padded
from .recipe import load_recipe
from .workspace import existing_parent, machine_memory, project_root, versions

GIB = 2**30
SAMPLE_MEMORY, SAMPLE_DISK = 3 * GIB, 2 * GIB
FULL_MEMORY, FULL_DISK = 11 * GIB, 50 * GIB  # of a GPU: the assistant's stage takes 8.5; blocks of a corpus come on top


def examine() -> dict[str, str]:
    """What this machine has: versions, processors, memory, GPUs, free disk, hub; and which scale it can run."""
    import torch

    total, free = machine_memory()
    disk = shutil.disk_usage(existing_parent(load_recipe().output_dir)).free
    gpus = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    gpu_memory = min((gpu.total_memory for gpu in gpus), default=0)
    full = _fits({N_("GPU memory"): (gpu_memory, FULL_MEMORY), "disk": (disk, FULL_DISK)})
    start = _("torchrun --standalone --nproc-per-node {count} …, after a --dry-run")
    offline = os.environ.get("HF_HUB_OFFLINE") == "1"
    return {
        **versions(),
        N_("processors"): str(os.cpu_count()),
        N_("memory"): _("{total:.0f} GiB, {free:.0f} free").format(total=total / GIB, free=free / GIB),
        N_("GPU"): " + ".join(f"{gpu.name} ({gpu.total_memory / GIB:.0f} GiB)" for gpu in gpus) or _("none"),
        N_("free disk"): f"{disk / GIB:.0f} GiB",
        "hub": _("offline") if offline else os.environ.get("HF_ENDPOINT", "https://huggingface.co"),
        N_("sample data"): str(project_root() / "data_samples"),
        N_("notebooks"): str(len(notebooks())),
        N_("sample scale"): _fits({N_("memory"): (free, SAMPLE_MEMORY), N_("disk"): (disk, SAMPLE_DISK)}),
        N_("full scale"): _("{fits}: {start}").format(fits=full, start=start.format(count=len(gpus))) if gpus else full,
    }


def report(*names: str) -> str:
    """What :func:`examine` finds, line by line in the language that is set; of these names alone, if there are any."""
    found = examine()
    return "\n".join(f"{padded(_(name), 14)}{found[name]}" for name in names or found)


def _fits(resources: dict[str, tuple[float, float]]) -> str:
    """``"yes"``, or what is missing of (what there is, what it takes)."""
    lack = _("{name} {there:.0f} of {takes:.0f} GiB")
    short = [
        lack.format(name=_(name), there=there / GIB, takes=takes / GIB)
        for name, (there, takes) in resources.items()
        if there < takes
    ]
    return _("no: {short}").format(short=_(", ").join(short)) if short else _("yes")
