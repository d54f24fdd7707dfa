"""Pretraining on a few kilobytes: the whole script, and the tokenizer bit for bit."""

import json

import numpy as np
import pytest
import yaml
from conftest import ROOT, make_plots, sentence
from tiny_project import run_here
from transformers import AutoModelForCausalLM, AutoTokenizer

import stages.pretrain
from plotwright.documents import Plots
from plotwright.pretraining import BaseParams, Books, Phase, phase_documents, take_texts, write_books
from plotwright.settings import load_settings

STORYTELLER = ROOT / "models/base/storyteller"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Three small books, sixty plots and parameters for a model that trains in seconds."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "books").mkdir()
    for book in range(3):
        texts = ["\n".join(sentence(100 * book + 10 * i + k, 12) for k in range(12)) for i in range(4)]
        (folder / "books" / f"{book}.txt").write_text("\n\n".join(texts))
    plots = make_plots(60, words=30)
    raw = plots.rename(columns={"year": "Release Year", "title": "Title", "genre": "Genre", "text": "Plot"})
    raw.drop(columns="id").to_csv(folder / "plots.csv", index=False)
    raw.drop(columns="id").head(20).assign(Plot=lambda rows: rows["Plot"].str[::-1]).to_csv(folder / "invented.csv")
    params = yaml.safe_load((ROOT / "models/base/params.yaml").read_text())
    settings = params["pretrain"]
    settings["shape"] = {"vocabulary": 400, "context": 64, "layers": 2, "heads": 2, "width": 16}
    settings["held_out"] = {"books": 1, "plots": 5}
    tiny = {"block_size": 64, "batch_size": 4, "evaluations": 2, "precision": "fp32", "compile": False}
    phases = [
        [{"books": 0.5, "plots": 0.5, "invented": 0.0}, {"books": 0.5, "plots": 1.0, "invented": 0.5}],
        [{"books": 0.1, "plots": 0.2, "invented": 1.0}],
    ]
    settings["runs"] = [
        {"phases": phases[i], "training": run["training"] | tiny} for i, run in enumerate(settings["runs"])
    ]
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    return folder


def pretrain(corpus, output):
    arguments = [
        corpus / "params.yaml",
        corpus / "books",
        corpus / "plots.csv",
        corpus / "invented.csv",
        output / "model",
        output / "metrics.json",
    ]
    return run_here(stages.pretrain.main, output, *arguments)


def test_the_script_makes_a_model_that_opens_and_the_same_bytes_again(corpus, tmp_path):
    done = pretrain(corpus, tmp_path)
    assert done.returncode == 0, done.stderr
    names = {file.name for file in (tmp_path / "model").iterdir()}
    expected = {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert names == expected
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert str(model.dtype) == "torch.float16"
    report = json.loads((tmp_path / "metrics.json").read_text())
    assert report["books"]["documents"] == 1
    assert report["plots"]["documents"] == 5
    assert 0 < report["plots"]["bits_per_byte"] < 8
    assert [run["steps"] > 0 for run in report["runs"]] == [True, True]
    assert not list(tmp_path.glob(".plotwright/checkpoints/*"))
    again = tmp_path / "again"
    again.mkdir()
    assert pretrain(corpus, again).returncode == 0
    for name in expected:
        assert (tmp_path / "model" / name).read_bytes() == (again / "model" / name).read_bytes(), name


def test_an_empty_folder_of_books_stops_with_one_sentence(corpus, tmp_path):
    (tmp_path / "empty").mkdir()
    texts = [tmp_path / "empty", corpus / "plots.csv", corpus / "invented.csv"]
    arguments = [corpus / "params.yaml", *texts, tmp_path / "m", tmp_path / "j"]
    done = run_here(stages.pretrain.main, tmp_path, *arguments)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
    assert "holds no .txt file" in done.stderr
    assert not (tmp_path / "m").exists()


def test_numbers_are_read_digit_by_digit_and_text_comes_back_as_it_was(tokenizer):
    text = 'In 1934, "Ézra" didn\'t pay £25.\nNever!'
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.tokenize(" 1934")[-3:] == ["9", "3", "4"]


def test_books_come_back_from_disk_as_they_were(tokenizer, tmp_path):
    texts = [sentence(1, 5), sentence(2, 30), sentence(3, 9)]
    (tmp_path / "book.txt").write_text("\n\n".join(texts))
    write_books([tmp_path / "book.txt"], tokenizer, tmp_path / "encoded")
    documents = Books(tmp_path / "encoded").documents(np.array([2, 0]))
    assert [tokenizer.decode(documents[i][1:-1]) for i in range(2)] == [texts[2], texts[0]]
    assert documents[0][0] == documents[0][-1] == tokenizer.eos_token_id


def test_shares_one_after_another_read_every_text_once_before_any_twice():
    lengths = np.random.default_rng(0).integers(1, 50, 200)
    parts = [take_texts(lengths, start, end, seed=5) for start, end in ((0, 0.3), (0.3, 0.8), (0.8, 1.5))]
    read = np.concatenate(parts)
    counts = np.bincount(read, minlength=200)
    assert counts.min() == 1
    assert counts.max() == 2
    assert abs(lengths[read].sum() / lengths.sum() - 1.5) < 0.03


def test_a_run_takes_up_each_kind_of_text_where_the_one_before_stopped(tokenizer, tmp_path):
    (tmp_path / "book.txt").write_text("\n\n".join(f"{sentence(i, 8)} {i}" for i in range(30)))
    write_books([tmp_path / "book.txt"], tokenizer, tmp_path / "encoded")
    books, plots, invented = Books(tmp_path / "encoded"), make_plots(40, words=9), make_plots(25, words=5)
    settings = load_settings(ROOT / "models/base/params.yaml", BaseParams).pretrain
    shares = [[(0.2, 0.4, 0.0), (0.3, 0.3, 0.5)], [(0.5, 0.3, 0.5)]]
    runs = [
        run.model_copy(update={"phases": [Phase(books=b, plots=p, invented=i) for b, p, i in phases]})
        for run, phases in zip(settings.runs, shares, strict=True)
    ]
    settings = settings.model_copy(update={"runs": runs})
    read = [
        document
        for run, phases in enumerate(shares)
        for phase in range(len(phases))
        for document in map(
            list, phase_documents(books, Plots(plots, tokenizer), Plots(invented, tokenizer), settings, run, phase)
        )
    ]
    assert len(read) == 30 + 40 + 25
    texts = [
        " ".join(tokenizer.decode(tokens).replace("<|endoftext|>", "").split("Plot: ")[-1].split()) for tokens in read
    ]
    expected = [*(f"{sentence(i, 8)} {i}" for i in range(30)), *plots["text"], *invented["text"]]
    assert sorted(texts) == sorted(" ".join(text.split()) for text in expected)


def test_the_embedded_base_opens_without_network_and_is_small_enough():
    model = AutoModelForCausalLM.from_pretrained(STORYTELLER, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(STORYTELLER, local_files_only=True)
    assert len(tokenizer) == model.config.vocab_size
    assert model.config.max_position_embeddings == 512
    assert sum(file.stat().st_size for file in STORYTELLER.iterdir()) <= 40e6


def test_a_clone_has_every_dependency_of_the_frozen_stage_which_a_forced_repro_asks_for():
    stage = yaml.safe_load((ROOT / "models/base/dvc.yaml").read_text())["stages"]["pretrain"]
    assert stage["frozen"]
    assert [path for path in stage.get("deps", []) if not (ROOT / path).exists()] == []
