"""What the user is told to do about a model that is missing or broken fits the folder that it is missing from."""

from pathlib import Path

import pytest
from conftest import ROOT, make_model

from plotwright.errors import PlotwrightError
from plotwright.folders import how_to_make
from plotwright.identity import data_of, manifest_if_readable, read_manifest, source_of
from plotwright.models import load_model, load_tokenizer


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("models/plot-generator", "`dvc repro` makes it"),
        ("models/plot-generator-aligned", "`dvc repro models/aligned/dvc.yaml` makes it"),
        ("models/base/gpt2-medium", "`dvc repro models/base/dvc.yaml:download@gpt2-medium` downloads it"),
        ("models/base/storyteller", "`git checkout models/base/storyteller` brings it back"),
        ("models/base/mine", "put a model in Transformers' format with model.safetensors there"),
        ("models/mine", "put a model in Transformers' format with model.safetensors there"),
    ],
)
def test_each_folder_has_its_own_command(monkeypatch, folder, words):
    monkeypatch.chdir(ROOT)
    assert how_to_make(Path(folder)) == how_to_make(Path(folder).absolute()) == words


@pytest.mark.parametrize("opening", [load_model, load_tokenizer, source_of])
def test_whatever_opens_a_missing_model_says_what_makes_it(monkeypatch, tmp_path, opening):
    monkeypatch.chdir(tmp_path)
    folder = Path("models/plot-generator-aligned")
    with pytest.raises(PlotwrightError) as caught:
        opening(folder)
    assert str(caught.value) == f"there is no model in {folder}; `dvc repro models/aligned/dvc.yaml` makes it."


@pytest.mark.parametrize("content", ['{"sources": {"da', "[]", '{"sources": 1}', "\ud800"])
def test_a_broken_manifest_is_one_sentence_or_nothing(tmp_path, content):
    make_model(50).save_pretrained(tmp_path)
    (tmp_path / "manifest.json").write_text(content, encoding="utf-8", errors="surrogatepass")
    with pytest.raises(PlotwrightError, match=r"manifest\.json does not say in JSON .*; remove that file") as caught:
        source_of(tmp_path)
    assert "\n" not in str(caught.value)
    assert manifest_if_readable(tmp_path) == {} and data_of({}) == ""


def test_a_base_model_says_nothing_of_what_made_it(tmp_path):
    assert read_manifest(tmp_path) == {}
