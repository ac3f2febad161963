"""The course itself and the machine it runs on: ``minirbt course``, ``doctor``."""

from pathlib import Path
from typing import Annotated

import typer

from ..language import _
from .options import app


@app.command()
def course(
    output: Annotated[Path | None, typer.Option(help="where executed notebooks go; default runs/<scale>")] = None,
    scale: Annotated[str, typer.Option(help="sample or full")] = "sample",
    only: Annotated[str, typer.Option(help="run the notebooks whose name begins so, such as 04")] = "",
) -> None:
    """Run the notebooks with papermill and leave them, executed, with a site of them."""
    from ..course import run_course

    print(_("done: {file}").format(file=run_course(scale, output, only)))


@app.command()
def site(
    output: Annotated[Path | None, typer.Option(help="folder of the site; default runs/site")] = None,
) -> None:
    """Build the course as a site, from the notebooks as they are stored."""
    from ..site import build_site
    from ..workspace import default_runs, project_root

    file = build_site(project_root() / "notebooks", output or default_runs() / "site")
    print(_("done: {file}").format(file=file))


@app.command(hidden=True)
def refresh(only: Annotated[str, typer.Option(help="the notebooks whose name begins so, such as 04")] = "") -> None:
    """Run the notebooks and keep their outputs (for the maintainers)."""
    from ..course import refresh as run

    run(only)


@app.command()
def doctor() -> None:
    """Print what this machine has, and whether the course can run here."""
    from ..doctor import report

    print(report())
