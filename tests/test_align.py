"""The align stage on a tiny model: it learns a taste, keeps the model folder's contract, and refuses too little."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import ROOT, make_model, make_plots
from tiny_project import tiny_params
from transformers import AutoModelForCausalLM, AutoTokenizer

from plotwright.documents import Plots
from plotwright.drift import Pair, choices_accuracy, divergence, gains, open_pair, thumbs_accuracy
from plotwright.errors import PlotwrightError
from plotwright.feedback import Comparison, FeedbackStore
from plotwright.files import write_json
from plotwright.identity import Source, source_of
from plotwright.models import load_model
from plotwright.plots import write_plots
from plotwright.preferences import (
    PARAMS,
    TABLES,
    AlignParams,
    hold_out,
    lack,
    mark,
    pairs_of,
    read_rows,
    thumbs_of,
    usable,
)
from plotwright.readers import export, read_feedback
from plotwright.settings import load_params, load_settings
from plotwright.writing import Request, Writer, collect
from stages.align import main as align

TINY = {"min_thumbs": 40, "min_choices": 10, "epochs": 10, "learning_rate": 3e-3}
MODEL = Path("models/plot-generator")


def load_benchmark():
    spec = importlib.util.spec_from_file_location("readers_benchmark", ROOT / "benchmarks/readers.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write_settings(project: Path, **changes: object) -> None:
    params = yaml.safe_load((ROOT / PARAMS).read_text())
    params["align"] |= TINY | changes
    (project / PARAMS).write_text(yaml.safe_dump(params))


def settings(**changes: object):
    return load_settings(ROOT / PARAMS, AlignParams).align.model_copy(update=TINY | changes)


@pytest.fixture(scope="module")
def project(tmp_path_factory, tokenizer) -> Path:
    """A folder with a tiny model, the test plots, and the feedback of readers who like a letter."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("plotwright", "stages"):
        (folder / name).symlink_to(ROOT / name)
    make_model(len(tokenizer)).save_pretrained(folder / MODEL)
    tokenizer.save_pretrained(folder / MODEL)
    write_json(folder / MODEL / "manifest.json", {"seed": 1, "sources": {"data": {"train": "1"}}})
    (folder / "data/splits").mkdir(parents=True)
    write_plots(folder / "data/splits/test.parquet", make_plots(5))
    (folder / "params.yaml").write_text(yaml.safe_dump(tiny_params()))
    (folder / PARAMS).parent.mkdir()
    write_settings(folder)
    return folder


@pytest.fixture
def here(project, monkeypatch) -> Iterator[Path]:
    monkeypatch.chdir(project)
    yield project
    write_settings(project)


def run_align(monkeypatch, feedback: Path, output: str = "model") -> dict:
    """What the stage writes into its metrics."""
    words = ["align", str(MODEL), str(feedback), "data/splits", str(feedback / output), str(feedback / "align.json")]
    monkeypatch.setattr(sys, "argv", words)
    align()
    return json.loads((feedback / "align.json").read_text())


@pytest.fixture(scope="module")
def benchmark(project):
    """benchmarks/readers.py with a taste that an untrained model's texts can have, and fewer of them."""
    module = load_benchmark()
    module.WORK, module.VERDICTS, module.COMPARED = project / "readers", 100, 100
    module.pleases = lambda text: sum(letter in "aeiou" for letter in text.lower()) >= 18
    with chdir(project):
        module.rate()
    return module


def test_what_simulated_readers_liked_becomes_likelier_and_the_folder_keeps_its_contract(here, benchmark, monkeypatch):
    """Of the plots learnt from; that new plots please more is shown on the default model, by benchmarks/readers.py.

    So small a model, with random weights, learns such a taste by heart: whether new plots please then is chance.
    """
    report = run_align(monkeypatch, benchmark.WORK)
    rows = thumbs_of(read_rows(benchmark.WORK / "verdicts.jsonl", TABLES["thumbs"].columns))
    learnt, held_out = hold_out("thumbs", rows, settings().held_out, load_params().seed)
    gain = gains(open_pair(benchmark.WORK / "model", MODEL), learnt["prompt"], learnt["text"], 8)
    assert thumbs_accuracy(learnt, gain, 1000, 0)["accuracy_low"] > 0.8
    counts = report["rows"]["thumbs"]
    assert (counts["learnt_from"], counts["held_out"]) == (len(learnt), len(held_out))
    pairs = (held_out["verdict"] == "up").sum() * (held_out["verdict"] == "down").sum()
    assert report["preference"]["thumbs"]["pairs"] == pairs
    before, after = benchmark.tastes()
    assert before.shape == after.shape == (100,) and (before != after).any()
    for part in ("test", "parent"):
        for figure in ("loss", "perplexity", "bits_per_byte"):
            low, value, high = (report[part][figure + end] for end in ("_low", "", "_high"))
            assert low <= value <= high
    drift = report["drift"]
    assert drift["bits_per_byte"] == pytest.approx(report["test"]["bits_per_byte"] - report["parent"]["bits_per_byte"])
    assert drift["share"] == pytest.approx(drift["bits_per_byte"] / report["parent"]["bits_per_byte"])
    assert min(drift["kl_test_low"], drift["kl_written_low"]) > 0
    model = benchmark.WORK / "model"
    AutoModelForCausalLM.from_pretrained(model)
    AutoTokenizer.from_pretrained(model)
    assert {file.name for file in model.iterdir()} == {file.name for file in (here / MODEL).iterdir()}
    for name in ("config.json", "generation_config.json", "tokenizer.json"):
        assert (model / name).read_bytes() == (here / MODEL / name).read_bytes()
    manifest = json.loads((model / "manifest.json").read_text())
    assert manifest["aligned"]["parent"] == {"path": str(MODEL), "fingerprint": source_of(MODEL).model}
    assert len(manifest["aligned"]["feedback"]) == 64
    assert source_of(model).data == source_of(MODEL).data


def test_the_same_seed_gives_the_same_weights(here, benchmark, monkeypatch):
    run_align(monkeypatch, benchmark.WORK, "again")
    weights = [(benchmark.WORK / name / "model.safetensors").read_bytes() for name in ("model", "again")]
    assert weights[0] == weights[1]


def test_choices_move_the_model_towards_what_was_chosen(here, monkeypatch, tmp_path):
    write_settings(here, learn_from="choices")
    store, source, sampling = FeedbackStore(tmp_path / "feedback.sqlite"), source_of(MODEL), load_params().generate
    writer = Writer(MODEL)
    for number in range(20):
        texts = [written.text for written in collect(writer.write(Request(sampling, number, drafts=3)))]
        best = int(np.argmax([text.count("e") for text in texts]))
        store.add_comparison(Comparison(f"{number:02}", "Plot:", texts, best, number, {}, source.model, source.data))
    export(read_feedback(store.path, source), tmp_path)
    report = run_align(monkeypatch, tmp_path)
    pair, learnt = open_pair(tmp_path / "model", MODEL), report["rows"]["choices"]["learnt_from"]
    rows, _ = hold_out(
        "choices", pairs_of(read_rows(tmp_path / "comparisons.jsonl", TABLES["choices"].columns)), 0.2, 20
    )
    assert len(rows) == learnt
    margin = gains(pair, rows["prompt"], rows["chosen"], 8) - gains(pair, rows["prompt"], rows["rejected"], 8)
    assert (margin > 0).mean() > 0.8


def test_too_little_one_sided_or_missing_feedback_stops_with_one_sentence(here, benchmark, monkeypatch, tmp_path):
    for changes, words in [
        ({"min_thumbs": 500}, "there are 100 thumbs, and align.min_thumbs asks for 500"),
        ({"min_share": 0.5}, "align.min_share asks for 50.0%"),
        ({"learn_from": "choices"}, "there are 0 choices, and align.min_choices asks for 10"),
        ({"held_out": 0.001}, "align.held_out"),
    ]:
        write_settings(here, **changes)
        with pytest.raises(PlotwrightError, match=words) as told:
            run_align(monkeypatch, benchmark.WORK, "none")
        assert str(told.value).endswith(".") and "\n" not in str(told.value)
    write_settings(here)
    with pytest.raises(PlotwrightError, match="plotwright feedback export"):
        run_align(monkeypatch, tmp_path, "none")
    (tmp_path / "verdicts.jsonl").write_text("no json\n")
    with pytest.raises(PlotwrightError, match="not one JSON object a line"):
        run_align(monkeypatch, tmp_path, "none")
    (tmp_path / "verdicts.jsonl").write_text('{"draft": "a"}\n')
    with pytest.raises(PlotwrightError, match="rows without prompt"):
        run_align(monkeypatch, tmp_path, "none")
    assert not (benchmark.WORK / "none").exists()


def test_weights_that_are_no_longer_numbers_stop_with_one_sentence(here, benchmark, monkeypatch):
    def run_away(kind, models, *_):
        next(models.learner.parameters()).data.fill_(float("nan"))

    monkeypatch.setattr("stages.align.learn", run_away)
    with pytest.raises(PlotwrightError, match="learning_rate lower"):
        run_align(monkeypatch, benchmark.WORK, "none")
    assert not (benchmark.WORK / "none").exists()


def test_which_rows_count_is_a_parameter():
    rows = mark(pd.DataFrame({"model": ["m", "n", "n"], "data": ["d", "d", "e"]}), Source("m", "d"))
    counts = {which: len(usable(rows, settings(rows=which))) for which in ("same_model", "same_data", "all")}
    assert counts == {"same_model": 1, "same_data": 2, "all": 3}


def test_drafts_of_one_attempt_are_never_on_both_sides_and_more_rows_move_none():
    attempts = [f"a{number}" for number in range(200) for _ in range(2)]
    rows = pd.DataFrame({"attempt": attempts, "verdict": ["up", "down"] * 200})
    learnt, held = hold_out("thumbs", rows, 0.2, 0)
    assert not set(learnt["attempt"]) & set(held["attempt"])
    assert 0.1 < len(held) / len(rows) < 0.3
    fewer, _ = hold_out("thumbs", rows.head(100), 0.2, 0)
    assert set(fewer["attempt"]) <= set(learnt["attempt"])


def test_pairs_leave_out_empty_drafts_and_copies_of_the_best():
    rows = pd.DataFrame(
        {"attempt": ["a", "b"], "prompt": "Plot:", "texts": [["x", "", "x", "y"], ["", "z"]], "best": 0}
    )
    assert pairs_of(rows)[["attempt", "chosen", "rejected"]].values.tolist() == [["a", "x", "y"]]
    assert (
        lack("choices", pairs_of(rows), settings(min_choices=2))
        == "there is 1 choice, and align.min_choices asks for 2"
    )


def test_thumbs_accuracy_is_the_share_of_pairs_in_the_right_order():
    rows = pd.DataFrame({"attempt": list("abcd"), "verdict": ["up", "up", "down", "down"]})
    figures = thumbs_accuracy(rows, np.array([3.0, 1.0, 1.0, 0.0]), 500, 0)
    assert (figures["pairs"], figures["accuracy"]) == (4, 3.5 / 4)
    assert figures["accuracy_low"] <= figures["accuracy"] <= figures["accuracy_high"]


def test_choices_accuracy_counts_pairs_by_attempt():
    pairs = pd.DataFrame({"attempt": list("aab")})
    figures = choices_accuracy(pairs, np.array([1.0, 2.0, 0.0]), np.array([0.0, 3.0, 0.0]), 500, 0)
    assert (figures["pairs"], figures["accuracy"]) == (3, 0.5)


def test_divergence_is_that_of_the_definition_and_zero_from_itself(tokenizer, here):
    model, parent = make_model(len(tokenizer)), load_model(MODEL)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(1)))
    documents = Plots(make_plots(2), tokenizer).documents()
    (found, *_), (none, *_) = (
        divergence(Pair(one, parent, tokenizer), documents, 64, 16, "") for one in (model, parent)
    )
    tokens = torch.from_numpy(documents[0][:30].astype(np.int64))[None]
    log_p, log_q = (one(tokens).logits[0].log_softmax(-1) for one in (model, parent))
    by_hand = (log_p.exp() * (log_p - log_q)).sum(-1)[int(documents.label_from[0]) - 1 :]
    assert np.abs(none).max() < 1e-6
    np.testing.assert_allclose(found[: len(by_hand)], by_hand.detach().numpy(), rtol=1e-3, atol=1e-6)


def test_every_file_that_the_stage_depends_on_is_there_and_its_command_names_its_outputs():
    stage = yaml.safe_load((ROOT / "models/aligned/dvc.yaml").read_text())["stages"]["align"]
    code = [name for name in stage["deps"] if name.endswith(".py")]
    assert "stages/align.py" in code and all((ROOT / name).exists() for name in code)
    words = stage["cmd"].split()
    read = [name for name in stage["deps"] if name not in code]
    assert all(any(name == word or name.startswith(f"{word}/") for word in words) for name in read)
    assert {next(iter(out)) if isinstance(out, dict) else out for out in stage["outs"]} <= set(words)
    ignored = (ROOT / "models/.gitignore").read_text().splitlines()
    assert "/plot-generator-aligned" in ignored


def test_one_thumb_is_one_thumb():
    rows = pd.DataFrame({"attempt": ["a"], "verdict": ["up"]})
    assert lack("thumbs", rows, settings()) == "there is 1 thumb, and align.min_thumbs asks for 40"
    assert lack("choices", rows.head(0), settings()).startswith("there are 0 choices, and align.min_choices")
