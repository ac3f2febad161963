#!/usr/bin/env bash
# Packages: nbformat==5.11.1 jsonschema==4.26.0 jupyter-events==0.12.1 rfc3987-syntax==1.1.0 lark==1.3.1
# Guess: what a program imports does not depend on what lies beside it: `import nbformat` (papermill, nbclient and
#   Jupytext do it) takes as long with a Jupyter server in the environment as without.
# What happens: jupyter-events, which comes with every Jupyter server, asks for jsonschema's extra `format-nongpl`. With it
#   `import jsonschema` compiles the whole grammar of international addresses, 39 times, before
#   anything is checked. On two cores `import nbformat` took 2.2 s with it and 0.3 s without; no notebook has such a field.
# What to do: in programs that start often, sys.modules["rfc3987_syntax"] = None before nbformat is imported.
# Expected output:
#   alone:              0 parsers
#   beside a server:    39 parsers
#   with the one line:  0 parsers
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
cat > parsers.py <<'PY'
import sys

if "--without" in sys.argv:
    sys.modules["rfc3987_syntax"] = None
made = 0
try:
    import lark
except ModuleNotFoundError:
    pass
else:
    first = lark.Lark.__init__

    def counted(self, *arguments, **options):
        global made
        made += 1
        first(self, *arguments, **options)

    lark.Lark.__init__ = counted
import nbformat

nbformat.validate(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 + 1")]))
print(made, "parsers")
PY
seen() {
    printf '%-20s' "$1"
    venv/bin/python -E -W ignore parsers.py "${@:3}" | tee said
    [ "$(cat said)" = "$2" ] || { echo "not as described above: this finding is out of date" >&2; exit 1; }
}
venv/bin/pip install --quiet --disable-pip-version-check nbformat==5.11.1 jsonschema==4.26.0
seen "alone:" "0 parsers"
venv/bin/pip install --quiet --disable-pip-version-check jupyter-events==0.12.1 rfc3987-syntax==1.1.0 lark==1.3.1
seen "beside a server:" "39 parsers"
seen "with the one line:" "0 parsers" --without
