"""Runs the committed pipeline in a fresh clone and compares its dvc.lock with the committed one, stage by stage.

python benchmarks/verify.py

What is not committed takes no part. Stages that only prepare data must agree on every machine, or this ends with
status 1. Weights, and what is measured with them, agree on the same family of processor with as many threads:
elsewhere sums are made in another order, and their last bits differ.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

from plotwright.errors import PlotwrightError, run_or_explain

ROOT = Path(__file__).resolve().parent.parent
DATA_STAGES = ("prepare", "split")

Lock = dict[str, dict[str, Any]]


def read_lock(project: Path) -> Lock:
    """The stages of a project's dvc.lock.

    Raises PlotwrightError when there is none.
    """
    try:
        return yaml.safe_load((project / "dvc.lock").read_text())["stages"]
    except FileNotFoundError:
        raise PlotwrightError("the last commit has no dvc.lock; run dvc repro and commit dvc.lock first.") from None


def outputs_that_differ(committed: dict[str, Any], made: dict[str, Any]) -> list[str]:
    """Paths of a stage's outputs whose hash is not the same on both sides, or that one side lacks."""
    one, other = ({out["path"]: out["md5"] for out in stage.get("outs", [])} for stage in (committed, made))
    return sorted(path for path in one | other if one.get(path) != other.get(path))


def compare_locks(committed: Lock, made: Lock) -> dict[str, list[str]]:
    """For each stage of either side the outputs that differ; none where the stage agrees."""
    return {stage: outputs_that_differ(committed.get(stage, {}), made.get(stage, {})) for stage in committed | made}


def reproduce(clone: Path) -> None:
    """Run every stage in a clone, with its own code and this interpreter's packages."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(clone)}
    done = subprocess.run([sys.executable, "-m", "dvc", "repro"], cwd=clone, env=environment)
    if done.returncode:
        raise PlotwrightError("dvc repro did not get through in the clone; what it printed above says why.")


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch) / "plotwright"
        subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
        committed = read_lock(clone)
        reproduce(clone)
        differing = compare_locks(committed, read_lock(clone))
    for stage, outputs in differing.items():
        print(f"{stage:<10} {'differs in ' + ', '.join(outputs) if outputs else 'agrees'}")
    if any(differing.get(stage) for stage in DATA_STAGES):
        raise PlotwrightError("data stages must agree on every machine; commit dvc.lock anew, or find what changed.")
    if any(differing.values()):
        print("Weights, and what is measured with them, agree only on the same family of processor.")


if __name__ == "__main__":
    run_or_explain(main)
