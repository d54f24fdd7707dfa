"""Several processes: the same loss curve as one process with the same global batch, the output written once."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, make_model, make_plots
from tiny_project import run_here

import stages.train

ARGUMENTS = ["../base", "../splits", "model", "train.json", "loss.csv", "loss.png"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tokenizer) -> Path:
    """A base model and splits for stages/train.py."""
    folder = tmp_path_factory.mktemp("distributed")
    make_model(len(tokenizer)).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    (folder / "splits").mkdir()
    plots = make_plots(60)
    plots.head(50).to_parquet(folder / "splits/train.parquet")
    plots.tail(10).to_parquet(folder / "splits/validation.parquet")
    return folder


def work_folder(folder: Path, name: str, batch_size: int) -> Path:
    """A folder of its own for a run of the stage."""
    work = folder / name
    work.mkdir()
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    # No dropout: every process draws its own.
    params["train"] |= {"block_size": 64, "batch_size": batch_size, "epochs": 3, "dropout": 0.0, "precision": "fp32"}
    params["train"] |= {"learning_rate": 3e-3, "evaluations": 2}
    params["evaluate"] |= {"stride": 16, "opening_tokens": 16, "continuation_tokens": 16}
    (work / "params.yaml").write_text(yaml.safe_dump(params))
    for shared in ("stages", "plotwright"):
        (work / shared).symlink_to(ROOT / shared)
    return work


def train_together(work: Path) -> None:
    """Run the stage in two processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, *launcher, "stages/train.py", *ARGUMENTS],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]


def test_two_processes_give_the_loss_curve_of_one_and_write_once(folder):
    alone, together = work_folder(folder, "one", batch_size=4), work_folder(folder, "two", batch_size=2)
    assert run_here(stages.train.main, alone, *ARGUMENTS).returncode == 0
    train_together(together)
    one, two = (pd.read_csv(work / "loss.csv") for work in (alone, together))
    assert one[["step", "split"]].equals(two[["step", "split"]])
    np.testing.assert_allclose(one["loss"], two["loss"], atol=1e-3)
    assert {file.name for file in (together / "model").iterdir()} == {file.name for file in (alone / "model").iterdir()}
    manifests = [json.loads((work / "model/manifest.json").read_text()) for work in (alone, together)]
    assert manifests[0]["sources"] == manifests[1]["sources"]
    assert not list(together.glob(".plotwright/checkpoints/*"))
