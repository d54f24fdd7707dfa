"""evaluate as a whole on a tiny model: its files, its figures, and the same again when run again."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT, make_model, make_plots
from tiny_project import run_here

import stages.evaluate
from plotwright.documents import Plots
from plotwright.errors import PlotwrightError
from plotwright.evaluation import methods_table, served_report
from plotwright.models import load_model
from plotwright.scoring import document_scores, token_nats
from plotwright.settings import load_params
from plotwright.specimens import OPENINGS, _escape
from plotwright.writing import Writer

ARGUMENTS = ["base", "splits", "model", "metrics/evaluate.json", "scores/documents.parquet", "plots"]
SIZES = {
    "stride": 16,
    "train_sample": 8,
    "openings": 6,
    "opening_tokens": 8,
    "continuation_tokens": 8,
    "texts": 4,
    "texts_per_genre": 2,
    "text_tokens": 16,
    "resamples": 200,
}
TABLES = ["methods", "genres", "decades", "lengths", "positions", "novelty", "settings", "genre_reader", "obedience"]


def evaluate(folder: Path) -> None:
    done = run_here(stages.evaluate.main, folder, *ARGUMENTS)
    assert done.returncode == 0, done.stderr


def write_world(folder: Path, tokenizer, plots: pd.DataFrame) -> None:
    """A base, another model, three parts, and params.yaml with tiny sizes."""
    for name, width in (("base", 1.0), ("model", 0.9)):
        model = make_model(len(tokenizer))
        model.transformer.wte.weight.data *= width
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    (folder / "splits").mkdir()
    bounds = {"train": slice(0, 40), "validation": slice(40, 50), "test": slice(50, 62)}
    for part, rows in bounds.items():
        plots.iloc[rows].to_parquet(folder / f"splits/{part}.parquet")
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["train"] |= {"block_size": 64, "learning_rate": 0.001}
    params["evaluate"] |= SIZES
    params["generate"]["max_new_tokens"] = 12
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


@pytest.fixture(scope="module")
def world(tmp_path_factory, tokenizer) -> Path:
    folder = tmp_path_factory.mktemp("world")
    write_world(folder, tokenizer, make_plots(62, words=30))
    evaluate(folder)
    return folder


@pytest.fixture(scope="module")
def report(world) -> dict:
    return json.loads((world / "metrics/evaluate.json").read_text())


def figures_with_interval(part: dict):
    for name, value in part.items():
        if isinstance(value, dict):
            yield from figures_with_interval(value)
        elif f"{name}_low" in part:
            yield name, part[f"{name}_low"], value, part[f"{name}_high"]


def test_every_interval_holds_its_figure(report):
    found = list(figures_with_interval(report))
    assert len(found) > 30
    for name, low, value, high in found:
        assert low <= value <= high, name


def test_the_report_answers_every_question(report):
    assert set(report) == {
        *("test", "served", "base", "gain", "where", "overfitting", "opening", "baselines"),
        *("degeneration", "copying", "obedience"),
    }
    assert report["gain"]["bits_per_byte"] == pytest.approx(
        report["base"]["bits_per_byte"] - report["test"]["bits_per_byte"]
    )
    assert report["overfitting"]["gap"]["loss"] == pytest.approx(
        report["test"]["loss"] - report["overfitting"]["train"]["loss"]
    )
    assert report["overfitting"]["base_gap"]["loss_low"] < 0.1
    assert report["opening"]["plots"] == 6
    assert report["opening"]["gain"]["accuracy"] == pytest.approx(
        report["opening"]["tuned"]["accuracy"] - report["opening"]["base"]["accuracy"]
    )
    assert report["obedience"]["texts"] == 4
    assert report["copying"]["human"]["texts"] == 12
    assert set(report["degeneration"]["nearest_settings"]) == {
        *("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
    }


def test_the_figures_by_group_are_those_of_the_tables(world, report):
    assert set(report["where"]) == {"genres", "decades", "lengths", "positions"}
    for name, groups in report["where"].items():
        table = pd.read_csv(world / f"plots/{name}.csv")
        assert list(groups) == table.iloc[:, 0].astype(str).tolist()
        figure = "loss" if name == "positions" else "bits_per_byte"
        assert [group[figure] for group in groups.values()] == pytest.approx(table[figure])
    assert sum(group["plots"] for group in report["where"]["genres"].values()) == 12


def test_the_report_says_whether_the_default_settings_are_the_nearest_of_those_tried(world, report):
    table = pd.read_csv(world / "plots/settings.csv").iloc[:-1]
    found, nearest = report["degeneration"], table["distance"].idxmin()
    assert found["generate_is_nearest"] == (nearest == 0)
    assert found["nearest"]["distance"] == pytest.approx(table["distance"][nearest])
    assert found["generate"]["distance"] == pytest.approx(table["distance"][0])


def test_the_model_as_served_is_measured_beside_the_original(report):
    assert report["served"]["loss"] == pytest.approx(report["test"]["loss"] * (1 + report["served"]["loss_change"]))
    assert abs(report["served"]["loss_change"]) < 0.01


def test_a_model_that_is_served_differently_from_how_it_was_measured_fails(world):
    params, test = load_params(world / "params.yaml"), pd.read_parquet(world / "splits/test.parquet").head(2)
    writer = Writer(world / "model")
    nats = token_nats(load_model(world / "model"), Plots(test, writer.tokenizer).documents(), 64, 16, 4)
    scores = document_scores(nats, test["text"].tolist())
    better = replace(scores, nats=scores.nats / 1.02)
    wrong = r"\+[12]\.\d\d% from the original's, where at most 1% is allowed"
    with pytest.raises(PlotwrightError, match=wrong) as caught:
        served_report(writer, test, better, params)
    assert str(caught.value).endswith("choose another model.base.")
    assert ("ONEDNN_MAX_CPU_ISA=AVX2" in str(caught.value)) == ("int8" in writer.description)


def test_texts_longer_than_the_context_are_refused_before_anything_is_scored(world, monkeypatch):
    monkeypatch.setattr(stages.evaluate, "score", None)
    params = (world / "params.yaml").read_text()
    try:
        (world / "params.yaml").write_text(params.replace("text_tokens: 16", "text_tokens: 64"))
        done = run_here(stages.evaluate.main, world, *ARGUMENTS)
    finally:
        (world / "params.yaml").write_text(params)
    assert re.search(r"error: evaluate\.text_tokens is 64, but .* 64 tokens have room for (\d+); set", done.stderr)


def test_the_variable_that_a_failing_evaluate_names_turns_int8_off():
    answer = "from plotwright.linear import multiplies_int8_exactly as exactly; print(exactly())"
    without = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"}
    done = subprocess.run([sys.executable, "-c", answer], cwd=ROOT, env=without, capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def test_no_figure_is_missing_or_a_time_or_a_path(report):
    text = json.dumps(report)
    assert "NaN" not in text
    assert not re.search(r"[/\\]|seconds", text)


def test_the_tables_that_dvc_plots_are_there_with_their_columns(world):
    declared = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["evaluate"]["plots"]
    for entry in declared:
        (path, options), *_ = entry.items()
        table = pd.read_csv(world / path)
        assert {options["x"], options["y"]} <= set(table.columns), path
        assert len(table), path
    assert sorted(Path(path).stem for entry in declared for path in entry) == sorted(TABLES)


def test_document_scores_add_up_to_the_report_in_the_order_of_the_test_plots(world, report):
    scores, test = pd.read_parquet(world / "scores/documents.parquet"), pd.read_parquet(world / "splits/test.parquet")
    assert scores["id"].tolist() == test["id"].tolist()
    assert scores["genre"].tolist() == test["genre"].tolist()
    assert scores["bytes"].tolist() == [len(text.encode()) for text in test["text"]]
    for column, part in (("nats", "test"), ("base_nats", "base")):
        total = scores[column].sum()
        assert total / scores["tokens"].sum() == pytest.approx(report[part]["loss"])
        assert total / np.log(2) / scores["bytes"].sum() == pytest.approx(report[part]["bits_per_byte"])


def test_the_samples_page_shows_every_opening(world):
    page = (world / "plots/samples.md").read_text()
    assert page.index(f"**{OPENINGS[0]}**") < page.index(f"**{OPENINGS[1]}**")
    assert all(f"> **{opening}**" in page for opening in OPENINGS)
    assert page.count("training plot") == len(OPENINGS) + 1


def test_markup_in_a_text_is_shown_as_text():
    assert _escape("a *b* <c> & [d](e)") == "a &#42;b&#42; &#60;c&#62; &#38; &#91;d&#93;(e)"


def test_run_again_it_writes_the_same_bytes(world):
    files = [*world.glob("plots/*"), *world.glob("metrics/*"), *world.glob("scores/*")]
    before = {file.name: file.read_bytes() for file in files}
    evaluate(world)
    assert len(before) == len(TABLES) + 3
    assert {file.name: file.read_bytes() for file in files} == before


def test_plots_without_genres_and_too_few_to_tell_apart_leave_those_questions_out(tmp_path, tokenizer):
    plots = make_plots(62, words=8).assign(genre="unknown", year=pd.array([None] * 62, dtype="Int64"))
    write_world(tmp_path, tokenizer, plots)
    pd.read_parquet(tmp_path / "splits/test.parquet").head(1).to_parquet(tmp_path / "splits/test.parquet")
    pd.read_parquet(tmp_path / "splits/validation.parquet").head(1).to_parquet(tmp_path / "splits/validation.parquet")
    evaluate(tmp_path)
    report = json.loads((tmp_path / "metrics/evaluate.json").read_text())
    assert "obedience" not in report
    assert report["opening"] == {"plots": 0}
    assert report["test"]["plots"] == 1
    assert "NaN" not in json.dumps(report)


def test_the_table_of_methods_begins_with_the_worst():
    report = {
        "baselines": {"uniform_bytes": {"bits_per_byte": 8.0}},
        "test": {"bits_per_byte": 1.0, "bits_per_byte_low": 0.9, "bits_per_byte_high": 1.1},
        "base": {"bits_per_byte": 2.0, "bits_per_byte_low": 1.9, "bits_per_byte_high": 2.1},
    }
    assert methods_table(report)["method"].tolist() == ["uniform bytes", "untuned base", "tuned model"]
