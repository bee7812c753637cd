#!/usr/bin/env bash
# Train on a TPU slice by gcloud, from a machine outside it:
#
#     export TPU=my-slice ZONE=us-east5-b ACCELERATOR=v5litepod-64
#     launch/tpu-vm.sh create                 # a slice that may be preempted
#     launch/tpu-vm.sh install                # the package of this clone, on all its workers
#     launch/tpu-vm.sh mount my-bucket        # at ~/bucket, with gcsfuse
#     launch/tpu-vm.sh train --config symop:base --workdir bucket/runs/base --config.data.train=bucket/train.npz ...
#     launch/tpu-vm.sh delete
#
# `train` starts the same line on every worker; they find each other by the slice's metadata. It ends with the code of the run: 75
# where a signal stopped it. `loop` does the whole again and again until the run is finished, through preemptions of the slice.
set -euo pipefail

: "${TPU:?name of the slice}" "${ZONE:?zone of the slice}"
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

on_all() { gcloud compute tpus tpu-vm ssh "$TPU" --zone="$ZONE" --worker=all --command="$1"; }

create() {
    gcloud compute tpus tpu-vm create "$TPU" --zone="$ZONE" --spot \
        --accelerator-type="${ACCELERATOR:?such as v5litepod-64}" --version="${RUNTIME:-v2-alpha-tpuv5-lite}"
}

install() {
    local archive
    archive=$(mktemp)
    # by name: a clone may also hold an environment of gigabytes, data and runs
    tar -czf "$archive" -C "$here" --exclude=__pycache__ pyproject.toml setup.py README.md LICENSE constraints.txt symjax experiments configs
    gcloud compute tpus tpu-vm scp "$archive" "$TPU:symjax.tar.gz" --zone="$ZONE" --worker=all
    rm -f "$archive"
    on_all "mkdir -p symjax && tar -xzf symjax.tar.gz -C symjax && pip install -q 'jax[tpu]' -e symjax"
}

mount() { on_all "mkdir -p bucket && mountpoint -q bucket || gcsfuse --implicit-dirs ${1:?name of the bucket} bucket"; }

train() {
    local line
    printf -v line ' %q' "$@"
    on_all "JAX_COMPILATION_CACHE_DIR=${CACHE:-\$HOME/.cache/symjax/compiled} ${SYMJAX:-symjax train}$line"
}

state() { gcloud compute tpus tpu-vm describe "$TPU" --zone="$ZONE" --format='value(state)' 2>/dev/null || echo ABSENT; }

delete() { gcloud compute tpus tpu-vm delete "$TPU" --zone="$ZONE" --quiet; }

loop() {
    local code
    while true; do
        case $(state) in
            READY) ;;
            ABSENT) create && install && mount "${BUCKET:?bucket to mount on a new slice}" ;;
            *) delete || true; create && install && mount "${BUCKET:?bucket to mount on a new slice}" ;;
        esac
        code=0
        train "$@" || code=$?
        if ((code == 0)); then return 0; fi
        # 75: stopped and saved; or the slice has gone, and ssh with it. Anything else is a mistake that a new try would repeat.
        if ((code != 75)) && [[ $(state) == READY ]]; then return "$code"; fi
        echo "the run was stopped (code $code): once more in ${PAUSE:-60} s"
        sleep "${PAUSE:-60}"
    done
}

case ${1:-} in
    create | install | delete | state) "$1" ;;
    mount | train | loop) "$@" ;;
    *) sed -n '2,13s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac
