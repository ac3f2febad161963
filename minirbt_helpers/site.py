"""The course as a site: executed notebooks, the pages of docs/ and the package's reference, built by Sphinx.

It opens from the file system and fetches nothing: formulas are MathML, pictures are in the pages. The English pages lie
at the top, the Chinese ones in ``zh/``, and each page leads to the same one in the other language.
"""

import shutil
import tempfile
from pathlib import Path

from .errors import CourseError
from .language import LANGUAGES, chosen_language, edition
from .workspace import atomic_folder, check_folder, project_root


def build_site(notebooks: Path, output: Path, about: str = "") -> Path:
    """Build the site.

    Args:
        notebooks: folder of executed notebooks in the language that is set; those of the course that are not there are
            taken as they are stored, as those of the other language are.
        output: folder of the site; an earlier site there is replaced.
        about: Markdown that the first page in that language ends with, such as how long each notebook took.

    Returns:
        The ``index.html`` of that language.

    Raises:
        CourseError: a page that Sphinx cannot make, a link that leads nowhere (an earlier site stays as it was), or a
            folder with other files.
    """
    check_folder(output, "minirbt site", ["searchindex.js"])
    with tempfile.TemporaryDirectory() as scratch, atomic_folder(output) as folder:
        sources = {language: _lay_out(language, Path(scratch) / language) for language in LANGUAGES}
        own = sources[chosen_language()]
        for file in notebooks.glob("*.ipynb"):
            shutil.copy(file, own / "notebooks")
        with (own / "index.md").open("a", encoding="utf-8") as index:
            index.write(f"\n{about}\n")
        for language, source in sources.items():
            if said := _run_sphinx(language, source, edition(folder, language)):
                raise CourseError("the site was not built as it should be: {said}", where=output, said=said)
    return edition(output) / "index.html"


def _lay_out(language: str, source: Path) -> Path:
    """A folder with all that Sphinx reads for a language: the pages of docs/, the stored notebooks, the reference."""
    docs = project_root() / "docs"
    shutil.copytree(docs / "site", source, ignore=shutil.ignore_patterns("index*"))
    shutil.copy(docs / "site" / ("index.md" if language == "en" else f"index.{language}.md"), source / "index.md")
    for part in ("docs", "notebooks"):
        others = shutil.ignore_patterns("site", *LANGUAGES)
        shutil.copytree(edition(project_root() / part, language), source / part, ignore=others)
    return source


def _run_sphinx(language: str, source: Path, output: Path) -> str:
    """Build the pages of a language; what Sphinx said of them, which is nothing where all is well."""
    from sphinx.cmd.build import build_main

    warnings = source.parent / f"warnings-{language}"
    options = ["--quiet", "--jobs", "2", "--tag", language, "--doctree-dir", f"{source.parent}/doctrees-{language}"]
    status = build_main([*options, "--warning-file", str(warnings), "--builder", "html", str(source), str(output)])
    said = warnings.read_text(encoding="utf-8").replace(f"{source}/", "").strip() if warnings.exists() else ""
    return said or (f"Sphinx ends with {status}" if status else "")
