"""The whole pipeline under DVC, on a tiny base and forty plots, as a person would run it."""

import json
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from conftest import ROOT
from safetensors import safe_open
from tiny_project import build, commit, output_files, run, run_stage_here
from transformers import AutoModelForCausalLM, AutoTokenizer


@pytest.fixture(scope="module")
def project(tmp_path_factory, tokenizer) -> Path:
    """A repository like ours with a tiny base and forty plots, after one `dvc repro`."""
    folder = tmp_path_factory.mktemp("project")
    build(folder, tokenizer)
    run(folder, "dvc", "repro")
    return folder


def test_repro_ends_with_a_model_metrics_plots_and_a_clean_status(project):
    model = project / "models/plot-generator"
    AutoModelForCausalLM.from_pretrained(model)
    AutoTokenizer.from_pretrained(model)
    assert [file.name for file in model.iterdir() if file.suffix in {".bin", ".pt", ".pkl"}] == []
    with safe_open(model / "model.safetensors", "pt") as weights:
        assert len(list(weights.keys())) > 10
    for name in ("prepare", "split", "train", "evaluate"):
        assert json.loads((project / f"metrics/{name}.json").read_text())
    assert "up to date" in run(project, "dvc", "status")


def test_the_manifest_says_what_the_model_was_made_from(project):
    manifest = json.loads((project / "models/plot-generator/manifest.json").read_text())
    assert manifest["train"]["epochs"] == 2
    assert manifest["precision"] == {"value": "fp32", "reason": "the setting precision asks for it"}
    assert set(manifest["sources"]) == {"base", "data", "code", "packages"}
    assert "model.safetensors" in manifest["sources"]["base"]["files"]
    assert set(manifest["sources"]["data"]) == {"data/splits/train.parquet", "data/splits/validation.parquet"}


def test_evaluate_writes_the_figures_that_others_rely_on(project):
    report = json.loads((project / "metrics/evaluate.json").read_text())
    for part in ("test", "base"):
        for figure in ("loss", "perplexity", "bits_per_byte"):
            low, value, high = (report[part][figure + end] for end in ("_low", "", "_high"))
            assert low <= value <= high
    gain = report["gain"]
    assert gain["bits_per_byte"] == pytest.approx(report["base"]["bits_per_byte"] - report["test"]["bits_per_byte"])
    assert gain["bits_per_byte_low"] <= gain["bits_per_byte"] <= gain["bits_per_byte_high"]


def test_another_seed_leaves_the_test_plots_as_they_are_so_that_two_seeds_can_be_compared():
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert stages["prepare"]["params"] == ["data"]
    assert stages["split"]["params"] == ["split"]
    assert "seed" in stages["train"]["params"]


def test_the_loss_curve_has_a_row_a_logged_point(project):
    curve = pd.read_csv(project / "plots/loss.csv")
    assert list(curve.columns) == ["step", "split", "loss"]
    assert (curve["split"] == "validation").sum() == 2
    assert (project / "plots/loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_second_repro_runs_nothing(project):
    assert "Data and pipelines are up to date" in run(project, "dvc", "repro")


def test_a_fresh_clone_comes_to_the_same_dvc_lock_and_make_verify_says_so(project):
    (project / "benchmarks").mkdir()
    shutil.copy(ROOT / "benchmarks/verify.py", project / "benchmarks")
    commit(project, "results")
    printed = run(project, sys.executable, "benchmarks/verify.py")
    for stage in ("prepare", "split", "train", "evaluate"):
        assert f"{stage:<10} agrees" in printed


def test_another_clone_pulls_the_model_from_a_remote_and_runs_nothing(project, tmp_path):
    clone = tmp_path / "clone"
    run(project, "dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    commit(project, "a remote")
    run(project, "dvc", "push")
    run(tmp_path, "git", "clone", "-q", str(project), str(clone))
    assert not (clone / "models/plot-generator").exists()
    run(clone, "dvc", "pull")
    AutoModelForCausalLM.from_pretrained(clone / "models/plot-generator")
    AutoTokenizer.from_pretrained(clone / "models/plot-generator")
    assert output_files(clone) == output_files(project)
    assert "Data and pipelines are up to date" in run(clone, "dvc", "repro")


def test_metrics_and_plots_show_loss_and_perplexity(project):
    shown = json.loads(run(project, "dvc", "metrics", "show", "--json"))
    report = shown[""]["data"]["metrics/evaluate.json"]["data"]
    assert {"loss", "perplexity", "bits_per_byte"} <= set(report["test"])
    assert "plots/loss.csv" in run(project, "dvc", "plots", "show", "--json")


def test_an_experiment_with_a_learning_rate_in_scientific_notation_runs_with_that_number(project):
    run(project, "dvc", "exp", "run", "--name", "slower", "-S", "train.learning_rate=3e-5", "train")
    manifest = json.loads((project / "models/plot-generator/manifest.json").read_text())
    assert manifest["train"]["learning_rate"] == 3e-5
    assert "slower" in run(project, "dvc", "exp", "show", "--csv")


def test_a_wrong_parameter_stops_with_one_sentence_and_checkout_brings_the_model_back(project):
    printed = run(project, "dvc", "exp", "run", "-S", "train.epochs=ten", fails=True)
    run(project, "git", "checkout", "params.yaml")
    run(project, "dvc", "checkout")
    assert "train.epochs is 'ten'" in printed
    assert "Traceback" not in printed
    assert (project / "models/plot-generator/model.safetensors").exists()


def test_a_block_larger_than_the_models_context_stops_with_one_sentence(project, tmp_path):
    for name in ("base", "data", "dvc.yaml", "plotwright", "stages"):
        (tmp_path / name).symlink_to(project / name)
    params = (project / "params.yaml").read_text().replace("block_size: 64", "block_size: 128")
    (tmp_path / "params.yaml").write_text(params)
    done = run_stage_here(tmp_path, "train")
    assert done.returncode == 1
    assert "error: train.block_size is 128, but base takes at most 64 tokens" in done.stderr
    assert not (tmp_path / "models").exists()
