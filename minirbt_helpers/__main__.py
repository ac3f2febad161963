"""The command line: ``minirbt`` (= ``python -m minirbt_helpers``)."""

import sys

from .commands import app
from .errors import CourseError, Interrupted
from .workspace import check_libraries


def main() -> None:
    """Run the command line; a :class:`CourseError` ends it with one clear message and status 1."""
    try:
        check_libraries()
        app()
    except CourseError as problem:
        print(f"minirbt: {problem}", file=sys.stderr)
        sys.exit(130 if isinstance(problem, Interrupted) else 1)


if __name__ == "__main__":
    main()
