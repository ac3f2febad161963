"""Models from a folder, or from a hub that speaks Hugging Face's protocol."""

from pathlib import Path

from .errors import CourseError
from .workspace import resolve


def fetch_model(name_or_path: str | Path) -> Path:
    """The local folder of a model.

    Args:
        name_or_path: a folder (also one below the project's root, such as
            ``data_samples/models/teacher``), or a hub id such as ``hfl/minirbt-h256``, with
            ``@revision`` after it if wanted. ``HF_ENDPOINT`` names a mirror, and
            ``HF_HUB_OFFLINE=1`` keeps to what was downloaded before.

    Raises:
        CourseError: neither a folder nor a model that the hub hands out.
    """
    folder = resolve(name_or_path)
    if folder.is_dir():
        return folder
    name, _, revision = str(name_or_path).partition("@")
    if name.count("/") != 1 or name.startswith((".", "/", "~", "data_samples")):
        raise CourseError(
            "no such model folder", where=name_or_path, fix="check the path, or give a hub id (owner/name)"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        HfHubHTTPError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        return Path(snapshot_download(name, revision=revision or None, ignore_patterns=["*.msgpack", "*.h5", "*.ot"]))
    except RepositoryNotFoundError as problem:
        raise CourseError(
            f"the hub has no model {name!r}", fix="check the spelling, or log in if it is private"
        ) from problem
    except RevisionNotFoundError as problem:
        raise CourseError(
            f"{name!r} has no revision {revision!r}", fix="a branch, a tag or a commit of that model"
        ) from problem
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as problem:
        raise CourseError(
            f"cannot fetch {name!r} ({type(problem).__name__}: {str(problem).splitlines()[0][:120]})",
            fix="check the network, set HF_ENDPOINT to a mirror, or download the model and give its folder",
        ) from problem
