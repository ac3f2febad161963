"""The course as a site: executed notebooks, the pages of docs/ and the package's reference, built by Sphinx.

It opens from the file system and fetches nothing: formulas are MathML, pictures are in the pages.
"""

import shutil
import tempfile
from pathlib import Path

from .errors import CourseError
from .workspace import atomic_folder, check_folder, project_root


def build_site(notebooks: Path, output: Path, about: str = "") -> Path:
    """Build the site.

    Args:
        notebooks: folder of executed notebooks; those of the course that are not there are taken as they are stored.
        output: folder of the site; an earlier site there is replaced.
        about: Markdown that the first page ends with, such as how long each notebook took.

    Returns:
        Its ``index.html``.

    Raises:
        CourseError: a page that Sphinx cannot make, a link that leads nowhere (an earlier site stays as it was), or a
            folder with other files.
    """
    from sphinx.cmd.build import build_main

    check_folder(output, "searchindex.js", "minirbt site")
    pages = project_root() / "docs"
    with tempfile.TemporaryDirectory() as scratch, atomic_folder(output) as folder:
        source = Path(scratch) / "source"
        shutil.copytree(pages / "site", source)
        shutil.copytree(pages, source / "docs", ignore=shutil.ignore_patterns("site"))
        shutil.copytree(project_root() / "notebooks", source / "notebooks")
        for file in notebooks.glob("*.ipynb"):
            shutil.copy(file, source / "notebooks")
        with (source / "index.md").open("a", encoding="utf-8") as index:
            index.write(f"\n{about}\n")
        warnings = Path(scratch) / "warnings"
        options = ["--quiet", "--jobs", "2", "--doctree-dir", f"{scratch}/doctrees", "--warning-file", str(warnings)]
        status = build_main([*options, "--builder", "html", str(source), str(folder)])
        said = warnings.read_text(encoding="utf-8").replace(f"{source}/", "").strip() if warnings.exists() else ""
        if status or said:
            raise CourseError(f"the site was not built as it should be: {said or status}", where=output)
    return output / "index.html"
