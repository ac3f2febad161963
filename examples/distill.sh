#!/bin/sh
# The published recipe on all GPUs of one machine: text to student. Run it again to go on after a break.
#
#   TEXT=my-corpus HELDOUT=my-heldout sh examples/distill.sh [options of `minirbt distill` …]
#
# TEXT and HELDOUT: a file or a folder of *.txt, one paragraph a line. PROCESSES: default one per GPU.
set -eu
TEXT=${TEXT:-data/text} HELDOUT=${HELDOUT:-data/heldout} PROCESSES=${PROCESSES:-gpu}
TEACHER=${TEACHER:-hfl/chinese-roberta-wwm-ext} SEGMENTER=${SEGMENTER:-LTP/small} LENGTH=${LENGTH:-512}
BLOCKS=${BLOCKS:-data/blocks}
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1   # restarted processes must not look for each other at old addresses

for part in train heldout; do   # once: word boundaries, then blocks of LENGTH tokens
    [ "$part" = train ] && text=$TEXT || text=$HELDOUT
    [ -d "$BLOCKS/$part" ] || python -m minirbt_helpers pack "$text" --output "$BLOCKS/$part" \
        --teacher "$TEACHER" --segmenter "$SEGMENTER" --length "$LENGTH"
done

distill() {
    python -m torch.distributed.run --standalone --nproc-per-node "$PROCESSES" --max-restarts 3 \
        -m minirbt_helpers distill --scale full --teacher "$TEACHER" --length "$LENGTH" \
        --blocks "$BLOCKS/train" --heldout-blocks "$BLOCKS/heldout" "$@"
}
distill --stage assistant --dry-run "$@"   # hours, memory and disk, before anything long starts
distill --stage assistant "$@"
distill --stage student "$@"
