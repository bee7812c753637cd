#!/usr/bin/env bash
# Train on several nodes under SLURM:
#
#     sbatch --nodes=4 launch/slurm.sh --config symop:base --workdir /shared/runs/base --config.data.train=/shared/train.npz ...
#
# One process a GPU; they find each other by SLURM's variables. Two minutes before the time is up (and when the job is preempted)
# SLURM sends SIGTERM: the run saves, ends with code 75, and the job is queued again. Any other end is the job's own.
#
# Variables: SYMJAX, how the program is called (symjax); STAGE, files that are copied to each node's own disk first, into
# SCRATCH (/tmp); paths in the options that begin with @ are then taken from there (--config.data.train=@train.npz).
#SBATCH --job-name=symjax
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-task=1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --signal=TERM@120
set -uo pipefail

scratch=${SCRATCH:-/tmp}/symjax-${SLURM_JOB_ID:?this is a batch script: sbatch launch/slurm.sh ...}
read -ra program <<< "${SYMJAX:-symjax train}"
read -ra stage <<< "${STAGE:-}"

# compiled programs outlive a requeue where all nodes see the same folder
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$HOME/.cache/symjax/compiled}

if ((${#stage[@]})); then
    srun --ntasks-per-node=1 mkdir -p "$scratch" &&
        srun --ntasks-per-node=1 cp "${stage[@]}" "$scratch/" || exit 2
fi

srun --kill-on-bad-exit=0 "${program[@]}" "${@//=@/=$scratch/}"
code=$?
if ((code == 75)); then
    echo "stopped by a signal and saved: queued again"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
