"""A virtual environment with what Colab has of the course's needs and nothing else, as a Jupyter kernel, for tests."""

import json
import subprocess
import venv
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

COLAB = ("numpy", "torch", "transformers", "datasets", "accelerate", "scikit-learn", "nltk",
         "matplotlib", "tensorboard", "sphinx", "ipython", "ipykernel", "pip")  # fmt: skip


def needed_by(names: tuple[str, ...]) -> list[metadata.Distribution]:
    """Installed packages, with all that they need; what is for other systems is not there, and not needed."""
    found, asked = {}, list(names)
    while asked:
        name = canonicalize_name(asked.pop())
        wanted = map(Requirement, metadata.requires(name) or [])
        found[name] = metadata.distribution(name)
        here = [one.name for one in wanted if not one.marker or one.marker.evaluate({"extra": ""})]
        asked += [one for one in here if canonicalize_name(one) not in found]
    return list(found.values())


def make_kernel(folder: Path, name: str) -> Path:
    """Make the environment, its packages lent by this one, with a kernel; returns its ``site-packages``.

    The lent packages lie outside it, so that pip leaves them alone. ``JUPYTER_PATH`` must be the folder.
    """
    venv.create(folder / "environment", with_pip=False)
    (site,) = (folder / "environment").glob("lib/python*/site-packages")
    lent = folder / "lent" / "site-packages"  # by such a name dill knows a library, and does not pickle it
    lent.mkdir(parents=True)
    for package in needed_by(COLAB):
        for part in {Path(file).parts[0] for file in package.files} - {"..", "__pycache__"}:
            if not (lent / part).exists():  # packages may share a folder
                (lent / part).symlink_to(package.locate_file(part))
    (site / "lent.pth").write_text(f"{lent}\n")
    python = str(folder / "environment" / "bin" / "python")
    kernel = {"argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": name,
              "language": "python", "env": {"PYTHONPATH": ""}}  # fmt: skip
    (folder / "kernels" / name).mkdir(parents=True)
    (folder / "kernels" / name / "kernel.json").write_text(json.dumps(kernel))
    return site


def snapshot(root: Path, folder: Path) -> str:
    """The git address of a copy of a working tree, as it is now."""
    git = ["git", "--git-dir", str(folder), "--work-tree", str(root)]
    git += ["-c", "user.name=test", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "as it is"]):
        subprocess.run([*git, *command], check=True, cwd=root)
    return f"git+{folder.as_uri()}"
