#!/bin/sh
# The fine-tuning table at sample scale: the family on the real files of the seven tasks, three seeds a setting.
#
#   sh benchmarks/sample_tasks.sh FOLDER
#
# FOLDER holds the official files, a sub-folder per task; real_tasks.py says what stands in for a missing train file.
# About seven hours of one core. What stands in the results file is not repeated: stop and start it at will.
set -eu
cd "$(dirname "$0")/.."
python benchmarks/real_tasks.py "$1" runs/splits --rows 2000 1000 --questions 200 100

run() { minirbt sweep benchmarks/results/sample_tasks.jsonl --task-dir runs/splits --reference teacher "$@"; }
model() { printf ' --model %s=data_samples/models/%s --rate %s=%s' "$1" "$1" "$1" "$2"; }  # name, learning rate

large="$(model teacher 1e-4)$(model assistant 1e-4)$(model rbt3 3e-4)"
small="$(model h312 5e-4)$(model h288 5e-4)$(model student 5e-4)"
headlines="$(model teacher 3e-4)$(model assistant 3e-4)$(model rbt3 3e-4)$(model h312 1e-3)$(model h288 1e-3)$(model student 1e-3)"
labels="--task-batch-size 16 --task-rows 1500 --task chnsenticorp --task ocnli --task lcqmc --task bq"
random="no pre-training=random:MiniRBT-H256"
deep="no pre-training, 12 layers"

# the student taught by RBT3, which is the better teacher here, or by the 12 layers
run $labels $(model student 5e-4) $(model rbt3 3e-4) --taught-by rbt3 --try-epochs 5
run --task tnews $(model student 1e-3) $(model rbt3 3e-4) --taught-by rbt3 --try-epochs 5
