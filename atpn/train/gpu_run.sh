#!/usr/bin/env bash
# Render faces and train landmarks on a GPU machine rented for minutes.
#
#   ASSETS=assets.pack COUNT=60000 MINUTES=60 atpn/train/gpu_run.sh
#
# The same command resumes after an interruption. However it ends, OUT then has the averaged weights of the last
# checkpoint and the log, to copy from the machine. Renders and the run's state stay in RUN.
set -euo pipefail
cd "$(dirname "$0")/../.."

PYTHON=${PYTHON:-python3}       # with the packages of pip install ".[train]"
ASSETS=${ASSETS:-}              # for `python -m atpn render --assets`; default: a procedural head
COUNT=${COUNT:-60000}           # images to render
MINUTES=${MINUTES:-60}          # of training, checkpoints excluded
RUN=${RUN:-runs/gpu}            # renders, state, TensorBoard scalars
OUT=${OUT:-$RUN/results}        # landmarks.safetensors and run.log
WORKERS=${WORKERS:-$(nproc)}    # renderer processes
TRAIN_OPTIONS=${TRAIN_OPTIONS:-} # more options of `python -m atpn train`, for example "--init shipped --batch-size 512"
MAX_BYTES=$((16 * 1024 * 1024)) # of each file in OUT

mkdir -p "$RUN" "$OUT"
touch "$RUN/run.log" # a stop may come before the first line
# After many restarts the log is long: only its end is copied.
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
# A stop signals the whole process group: the trainer saves and ends first, then `collect` runs.
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
