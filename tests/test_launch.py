"""The examples of launching, as far as one machine without a scheduler can run them."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

LAUNCH = Path(__file__).parents[1] / "launch"
SCRIPTS = sorted(LAUNCH.glob("*.sh"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_shell(script):
    """Bash can read it; shellcheck has nothing to say, where it is installed."""
    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", script], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", script], check=True)


def test_gke():
    """A service and an indexed job that fit each other, in which 75 is no failure and wrong input no reason for another try."""
    yaml = pytest.importorskip("yaml")
    service, job = yaml.safe_load_all((LAUNCH / "gke.yaml").read_text())
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    assert spec["completionMode"] == "Indexed" and spec["completions"] == spec["parallelism"]
    assert service["metadata"]["name"] == pod["subdomain"]
    assert service["spec"]["selector"] == job["spec"]["template"]["metadata"]["labels"]
    rules = {
        r["onExitCodes"]["values"][0]: r["action"] for r in spec["podFailurePolicy"]["rules"] if "onExitCodes" in r
    }
    assert rules == {75: "Ignore", 2: "FailJob"} and pod["restartPolicy"] == "Never"
    (container,) = pod["containers"]
    assert container["command"] == ["symjax", "train"] and not any("://" in word for word in container["args"])
    mounted = {mount["name"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


GCLOUD = """#!/usr/bin/env bash
echo "$*" >> "$LOG"
case "$*" in
    *scp*) tar -tzf "$5" > "$LOG.files" ;;
    *describe*) [[ -e $LOG.slice ]] && echo READY || exit 1 ;;
    *create*) touch "$LOG.slice" ;;
    *ssh*train*) n=$(grep -c "ssh.*train" "$LOG"); ((n == 1)) && rm -f "$LOG.slice"; codes=(0 255 75 $LAST); exit "${codes[n]}" ;;
esac
"""


@pytest.fixture
def tpu(tmp_path):
    """Run launch/tpu-vm.sh with a gcloud that writes down what it is asked for; the first run loses its slice, the second stops."""
    (tmp_path / "gcloud").write_text(GCLOUD)
    (tmp_path / "gcloud").chmod(0o755)

    def run(*arguments, last=0):
        own = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": f"{tmp_path}/log", "LAST": str(last), "PAUSE": "0"}
        own |= {"TPU": "slice", "ZONE": "zone", "ACCELERATOR": "v5litepod-16", "BUCKET": "mine"}
        done = subprocess.run(
            [LAUNCH / "tpu-vm.sh", *arguments], env=os.environ | own, capture_output=True, text=True, timeout=120
        )
        log = tmp_path / "log"
        return done, log.read_text().splitlines() if log.exists() else []

    return run


@pytest.mark.parametrize("last", [0, 2])
def test_tpu_loop(tpu, tmp_path, last):
    """A slice that went is made anew, a run that was stopped is started again, and only then does the end count."""
    done, asked = tpu("loop", "--config", "symop:base", "--config.train.steps=10", "it's", last=last)
    assert done.returncode == last, done.stderr
    trained = [line for line in asked if "train --config" in line]
    assert len(trained) == 3 and all("--worker=all" in line and r"it\'s" in line for line in trained)
    kinds = [line.split()[3] for line in asked]
    assert kinds.count("create") == 2 and kinds.count("scp") == 2 and sum("gcsfuse" in line for line in asked) == 2
    # the package and its weights, and nothing else that lies in the clone
    sent = set((tmp_path / "log.files").read_text().splitlines())
    assert {"pyproject.toml", "README.md", "configs/symop.py", "symjax/weights/symop/flow/config.json"} <= sent
    assert not any(name.startswith((".", "tests")) or "__pycache__" in name for name in sent)


def test_tpu_usage(tpu):
    done, asked = tpu("nothing")
    assert done.returncode == 2 and "launch/tpu-vm.sh create" in done.stderr and not asked


SRUN = """#!/usr/bin/env bash
echo "srun $*" >> "$LOG"
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""


@pytest.mark.parametrize("code", [0, 2, 75])
def test_slurm(tmp_path, code):
    """Files are staged, options that name them follow, and only a run that was stopped by a signal is queued again."""
    program = f"#!/usr/bin/env bash\nprintf '%s\\n' \"$@\" > '{tmp_path}/given'\nexit {code}\n"
    for name, text in {
        "srun": SRUN,
        "scontrol": SRUN.replace("srun", "scontrol").replace("exec", "true"),
        "program": program,
    }.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "train.npz").write_text("arrays")
    (tmp_path / "scratch").mkdir()
    own = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "LOG": f"{tmp_path}/log", "SLURM_JOB_ID": "17"}
    own |= {"SYMJAX": "program train", "STAGE": f"{tmp_path}/train.npz", "SCRATCH": f"{tmp_path}/scratch"}
    options = ["--config.data.train=@train.npz", "--workdir", "a place", "--config.x=it's"]
    done = subprocess.run(
        [LAUNCH / "slurm.sh", *options], env=os.environ | own, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, done.stderr
    staged = tmp_path / "scratch" / "symjax-17" / "train.npz"
    assert staged.read_text() == "arrays"
    given = (tmp_path / "given").read_text().splitlines()
    assert given == ["train", f"--config.data.train={staged}", "--workdir", "a place", "--config.x=it's"]
    asked = (tmp_path / "log").read_text().splitlines()
    assert [line for line in asked if line.startswith("scontrol")] == (["scontrol requeue 17"] if code == 75 else [])
    own["STAGE"] = f"{tmp_path}/nothing.npz"
    (tmp_path / "given").unlink()
    done = subprocess.run([LAUNCH / "slurm.sh"], env=os.environ | own, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and not (tmp_path / "given").exists()
