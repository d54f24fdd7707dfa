"""params.yaml: right values pass as what they are, wrong ones stop with one sentence."""

from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from plotwright.documents import CUE
from plotwright.errors import PlotwrightError
from plotwright.settings import CUE_TOKENS, load_params, load_yaml

WRONG_VALUES: list[tuple[str, dict[str, object], list[str]]] = [
    ("train", {"epochs": "ten"}, ["train.epochs", "'ten'", "integer"]),
    ("train", {"epochs": True}, ["train.epochs", "True", "integer"]),
    ("train", {"epochs": 2.5}, ["train.epochs", "2.5", "integer"]),
    ("train", {"epochs": 0}, ["train.epochs", "0", "greater than or equal to 1"]),
    ("train", {"learning_rate": -1.0}, ["train.learning_rate", "-1.0", "greater than 0"]),
    ("train", {"learning_rate": float("inf")}, ["train.learning_rate", "inf", "finite"]),
    ("train", {"precision": "fp8"}, ["train.precision", "'fp8'", "'bf16'"]),
    ("train", {"lerning_rate": 1e-3}, ["train.lerning_rate", "remove it or mend its spelling"]),
    ("generate", {"top_p": 1.5}, ["generate.top_p", "1.5", "less than or equal to 1"]),
    ("data", {"limit": 0}, ["data.limit", "0", "greater than or equal to 1"]),
    ("split", {"test": 0.95}, ["validation (0.1)", "test (0.95)", "less than 1"]),
    ("evaluate", {"stride": 512}, ["evaluate.stride (512)", "train.block_size (512)"]),
    (
        "evaluate",
        {"opening_tokens": 460},
        ["evaluate.opening_tokens (460)", "evaluate.continuation_tokens (48)", "train.block_size (512)", "507"],
    ),
    ("train", {"epochs": {"x": 3}}, ["train.epochs", "{'x': 3}", "integer"]),
    ("", {"sead": 1}, ["sead", "remove it"]),
    ("", {"seed": -1}, ["seed", "-1"]),
]


def changed(folder: Path, section: str, **values: object) -> Path:
    """A copy of the repository's params.yaml with some keys of one section changed, written as DVC writes."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    (params[section] if section else params).update(values)
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(params))
    return path


def test_the_repositorys_own_params_are_valid():
    assert load_params(ROOT / "params.yaml").data.raw == "data/sample/plots.csv"


def test_the_room_kept_for_the_cue_is_enough_for_any_tokenizer_of_bytes():
    assert len(CUE.encode()) == CUE_TOKENS


def test_a_learning_rate_as_dvc_writes_it_is_a_number(tmp_path):
    path = changed(tmp_path, "train", learning_rate="RATE")
    path.write_text(path.read_text().replace("RATE", "3e-05"))
    assert "learning_rate: 3e-05" in path.read_text()
    assert load_params(path).train.learning_rate == 3e-05


@pytest.mark.parametrize(
    ("written", "read"),
    [
        *[("010", 10), ("0x10", 16), ("0o10", 8), ("-7", -7), ("1e3", 1e3), ("1.", 1.0), ("-.inf", float("-inf"))],
        *[("~", None), ("true", True), *((text, text) for text in ("1_000", "1:30", "no", "2026-11-26"))],
    ],
)
def test_scalars_are_read_as_yaml_1_2_has_them(tmp_path, written, read):
    (tmp_path / "a.yaml").write_text(f"key: {written}\n")
    found = load_yaml(tmp_path / "a.yaml")["key"]
    assert (found, type(found)) == (read, type(read))


@pytest.mark.parametrize(("section", "values", "words"), WRONG_VALUES)
def test_a_wrong_value_stops_with_one_sentence_that_names_it(tmp_path, section, values, words):
    path = changed(tmp_path, section, **values)
    with pytest.raises(PlotwrightError) as caught:
        load_params(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    for word in words:
        assert word in message


def test_a_missing_key_is_named(tmp_path):
    path = changed(tmp_path, "train")
    params = yaml.safe_load(path.read_text())
    del params["train"]["epochs"]
    path.write_text(yaml.safe_dump(params))
    with pytest.raises(PlotwrightError, match=r"lacks the key train\.epochs"):
        load_params(path)


def test_a_missing_file_says_where_to_be(tmp_path):
    with pytest.raises(PlotwrightError, match="run this from the repository's root"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("content", [b"", b"just words", b"- a list"])
def test_a_file_without_sections_says_so(tmp_path, content):
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(PlotwrightError, match="holds no sections"):
        load_params(tmp_path / "params.yaml")


def test_a_file_in_another_encoding_says_so(tmp_path):
    (tmp_path / "params.yaml").write_bytes("# fünf\nseed: 1".encode("latin-1"))
    with pytest.raises(PlotwrightError, match="is not UTF-8"):
        load_params(tmp_path / "params.yaml")


def test_what_is_not_yaml_says_so(tmp_path):
    (tmp_path / "params.yaml").write_text("train: [1, 2")
    with pytest.raises(PlotwrightError, match="is not valid YAML"):
        load_params(tmp_path / "params.yaml")
