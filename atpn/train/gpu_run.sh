#!/usr/bin/env bash
# Render faces and train their landmarks on a machine with a GPU that is yours for minutes.
#
#   ASSETS=assets.pack COUNT=60000 MINUTES=60 atpn/train/gpu_run.sh
#
# The same command continues after an interruption, and whatever ends it, OUT then holds the averaged weights of the
# last checkpoint and the log: two files to bring home. Renders and the run's state stay in RUN.
set -euo pipefail
cd "$(dirname "$0")/../.."

PYTHON=${PYTHON:-python3}       # with the packages of pip install ".[train]"
ASSETS=${ASSETS:-}              # what `python -m atpn render --assets` takes; without, a procedural head
COUNT=${COUNT:-60000}           # images to render
MINUTES=${MINUTES:-60}          # of training, checkpoints excluded
RUN=${RUN:-runs/gpu}            # renders, state, TensorBoard scalars
OUT=${OUT:-$RUN/results}        # landmarks.safetensors and run.log
WORKERS=${WORKERS:-$(nproc)}    # renderer processes
TRAIN_OPTIONS=${TRAIN_OPTIONS:-} # more options of `python -m atpn train`, for example "--init shipped --batch-size 512"
MAX_BYTES=$((16 * 1024 * 1024)) # of each file in OUT

mkdir -p "$RUN" "$OUT"
# Only the end of a log that many restarts have made long comes home.
collect() {
    tail -c "$MAX_BYTES" "$RUN/run.log" > "$OUT/run.log"
    if [ ! -f "$RUN/landmarks.safetensors" ]; then
        echo "no checkpoint yet in $RUN" >&2
    elif [ "$(stat -c %s "$RUN/landmarks.safetensors")" -gt "$MAX_BYTES" ]; then
        echo "error: $RUN/landmarks.safetensors is larger than $MAX_BYTES bytes; fetch it from there" >&2
    else
        cp "$RUN/landmarks.safetensors" "$OUT/"
    fi
}
trap collect EXIT
# Whoever stops the run signals the whole process group: the trainer saves and ends first, then `collect` runs.
trap 'exit 130' INT
trap 'exit 143' TERM

{
    # A shard of 60 keeps every process busy to the end, and loses little when stopped.
    "$PYTHON" -m atpn render --out "$RUN/renders" --cache "$RUN/cache" --count "$COUNT" --shard-size 60 --seed 1 \
        --split train --workers "$WORKERS" ${ASSETS:+--assets "$ASSETS"}
    # shellcheck disable=SC2086 # several options
    "$PYTHON" -m atpn train landmarks --data "$RUN/renders" --out "$RUN" --minutes "$MINUTES" --loader device \
        --checkpoint-minutes 1 $TRAIN_OPTIONS
} 2>&1 | (trap '' INT TERM && exec tee -a "$RUN/run.log")
