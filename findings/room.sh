# Sourced by every finding: a virtual environment in a temporary folder with the packages named, removed at the end.
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
python3 -m venv "$room/venv"
"$room/venv/bin/pip" install --quiet --disable-pip-version-check "$@"
cd "$room"
export TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1

# Run the Python on standard input; a failed assertion ends the script with a status that is not 0.
run() { "$room/venv/bin/python" -W ignore -; }
