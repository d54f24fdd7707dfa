"""The stages prepare and split as a person runs them: whole outputs or one sentence and none."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from tiny_project import run_here

import stages.prepare
import stages.split
from plotwright.errors import PlotwrightError
from plotwright.plots import COLUMNS
from plotwright.raw import read_raw
from plotwright.splitting import PARTS

ROOT = Path(__file__).parent.parent
HEADER = "Release Year,Title,Origin/Ethnicity,Director,Cast,Genre,Wiki Page,Plot\n"


def rows(number: int, words: int = 40) -> pd.DataFrame:
    random = np.random.default_rng(number)
    return pd.DataFrame(
        {
            "Release Year": [str(1950 + row % 60) for row in range(number)],
            "Title": [f"Film {row}" for row in range(number)],
            "Genre": [("drama", "comedy/horror", "short")[row % 3] for row in range(number)],
            "Plot": [" ".join(f"w{word}" for word in random.integers(0, 10**6, words)) for _ in range(number)],
        }
    )


@pytest.fixture
def folder(tmp_path):
    """A folder with a params.yaml; set_params changes it."""
    set_params(tmp_path, limit=None)
    return tmp_path


def set_params(folder: Path, **data: int | None) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["seed"] = 20
    params["data"] |= {"min_words": 10} | data
    params["split"] = {"validation": 0.1, "test": 0.1, "seed": 20}
    params["train"]["learning_rate"] = 0.001  # PyYAML reads 6e-4 as a string
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def prepare(folder: Path) -> subprocess.CompletedProcess:
    return run_here(stages.prepare.main, folder, "raw.csv", "prepared/plots.parquet", "metrics/prepare.json")


def split(folder: Path) -> subprocess.CompletedProcess:
    return run_here(stages.split.main, folder, "prepared/plots.parquet", "splits", "metrics/split.json")


def assert_one_sentence(finished: subprocess.CompletedProcess, *parts: str) -> None:
    assert finished.returncode != 0
    message = finished.stderr.strip()
    assert message.startswith("error: ")
    assert "\n" not in message
    for part in parts:
        assert part in message


GOOD_ROW = "1999,Film,American,A,B,drama,url," + " ".join(f"w{word}" for word in range(20)) + "\n"
BAD_FILES = {
    "a missing column": (b"Title,Genre,Plot\na,b,c\n", ["lacks the column Release Year", "Title, Genre, Plot"]),
    "an empty file": (b"", ["is empty"]),
    "only blanks": (b"\xef\xbb\xbf\n \n", ["is empty"]),
    "only a header": (HEADER.encode(), ["has a header and no rows"]),
    "JSON": (b'[{"Title": "a"}]', ["is JSON"]),
    "a web page": (b"\n<!DOCTYPE html><html></html>", ["is an HTML"]),
    "a zip archive": (b"PK\x03\x04" + bytes(range(256)), ["is a zip archive"]),
    "binary data": (bytes(range(256)) * 4, ["is binary data"]),
    "another encoding": (
        (HEADER + GOOD_ROW + GOOD_ROW.replace("Film", "Café")).encode("latin-1"),
        ["not UTF-8", "line 3", "iconv"],
    ),
    "UTF-16": ((HEADER + GOOD_ROW).encode("utf-16"), ["UTF-16", "iconv"]),
    "a null byte": ((HEADER + GOOD_ROW.replace("w3", "w\0")).encode(), ["null byte on line 2"]),
    "an open quote": ((HEADER + '1999,"Film,American\n').encode(), ["not a well-formed CSV"]),
    "a row too long": (
        (HEADER + GOOD_ROW + GOOD_ROW.strip() + ",more\n").encode(),
        ["not a well-formed CSV", "line 3"],
    ),
    "every row too long": ((HEADER + GOOD_ROW.strip() + ",more\n").encode(), ["not a well-formed CSV"]),
    "only short plots": (
        (HEADER + "1999,Film,American,A,B,drama,url,Too short.\n").encode(),
        ["no plot", "too_short 1"],
    ),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_stops_prepare_with_one_sentence_and_leaves_nothing(folder, kind):
    content, expected = BAD_FILES[kind]
    (folder / "raw.csv").write_bytes(content)
    assert_one_sentence(prepare(folder), "raw.csv", *expected)
    assert sorted(path.name for path in folder.rglob("*")) == ["params.yaml", "raw.csv"]


def test_the_advice_on_an_encoding_works_for_any_name_in_any_folder(tmp_path):
    raw = tmp_path / "raw {0} files" / "it's {}.csv"
    raw.parent.mkdir()
    raw.write_bytes((HEADER + GOOD_ROW.replace("Film", "Café")).encode("windows-1252"))
    with pytest.raises(PlotwrightError, match="is not UTF-8") as caught:
        read_raw(raw)
    subprocess.run(str(caught.value).split("with: ")[1], shell=True, check=True)
    assert read_raw(raw.with_name("it's {}.utf8.csv"))["Title"].tolist() == ["Café"]


def test_a_missing_file_stops_prepare_with_one_sentence(folder):
    assert_one_sentence(prepare(folder), "there is no file raw.csv", "data.raw")


def test_a_missing_package_stops_a_stage_with_one_sentence(folder):
    (folder / "pandas.py").write_text("raise ModuleNotFoundError(name='pandas')")
    (folder / "pydantic.py").write_text("raise ModuleNotFoundError(name='pydantic')")
    for script in sorted((ROOT / "stages").glob("*.py")):
        finished = subprocess.run(
            [sys.executable, script],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"},
            capture_output=True,
            text=True,
        )
        assert_one_sentence(finished, "is not installed", "make repro")


@pytest.mark.parametrize("stage", sorted(path.stem for path in (ROOT / "stages").glob("*.py")))
def test_a_wrong_number_of_arguments_shows_the_usage_and_help_the_description(folder, capsys, stage):
    module = import_module(f"stages.{stage}")
    wrong, asked = run_here(module.main, folder, "one"), run_here(module.main, folder, "--help")
    assert wrong.returncode == 2 and "the following arguments are required" in wrong.stderr
    assert asked.returncode == 0 and module.__doc__.splitlines()[0] in asked.stdout


def test_prepare_and_split_write_the_contract_and_the_same_bytes_again(folder):
    rows(60).to_csv(folder / "raw.csv", index=False)
    outputs = []
    for order_seed in (0, 1):
        rows(60).sample(frac=1, random_state=order_seed).to_csv(folder / "raw.csv", index=False)
        assert prepare(folder).stderr == ""
        assert split(folder).stderr == ""
        files = sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".parquet"))
        outputs.append({str(path.relative_to(folder)): path.read_bytes() for path in files})
    assert outputs[0] == outputs[1]
    assert set(outputs[0]) == {
        "prepared/plots.parquet",
        *(f"splits/{part}.parquet" for part in PARTS),
        "metrics/prepare.json",
        "metrics/split.json",
    }
    plots = pd.read_parquet(folder / "prepared/plots.parquet")
    parts = [pd.read_parquet(folder / f"splits/{part}.parquet") for part in PARTS]
    assert all(tuple(part.columns) == COLUMNS for part in parts)
    assert sorted(pd.concat(parts)["id"]) == plots["id"].tolist()
    assert set(plots["genre"]) == {"drama", "comedy", "unknown"}


def test_a_byte_order_mark_is_accepted(folder):
    (folder / "raw.csv").write_bytes(b"\xef\xbb\xbf" + (HEADER + GOOD_ROW).encode())
    assert prepare(folder).returncode == 0


def test_one_plot_can_be_prepared_and_not_be_split(folder):
    rows(1).to_csv(folder / "raw.csv", index=False)
    assert prepare(folder).returncode == 0
    assert_one_sentence(split(folder), "at least 3 plots")
    assert not (folder / "splits").exists()
    assert not (folder / "metrics/split.json").exists()


def test_a_missing_prepared_table_stops_split_with_one_sentence(folder):
    assert_one_sentence(split(folder), "there is no prepared/plots.parquet", "dvc repro")


def test_a_limit_above_the_number_of_plots_takes_all_and_says_so(folder):
    set_params(folder, limit=100)
    rows(30).to_csv(folder / "raw.csv", index=False)
    finished = prepare(folder)
    assert "data.limit is 100, above the number of plots: all are taken" in finished.stdout
    metrics = json.loads((folder / "metrics/prepare.json").read_text())
    assert (metrics["plots"], metrics["limit"], metrics["limit_above_available"]) == (30, 100, True)


def test_missing_values_repeated_rows_and_a_plot_of_five_megabytes_work(folder):
    raw = rows(10)
    raw.loc[0, "Title"] = None
    raw.loc[1, "Plot"] = None
    raw.loc[2, ["Genre", "Release Year"]] = None
    raw.loc[3, "Plot"] = " ".join(f"word{word}" for word in range(500_000))
    assert len(raw.loc[3, "Plot"]) > 5_000_000
    pd.concat([raw, raw.tail(2)]).to_csv(folder / "raw.csv", index=False)
    assert prepare(folder).stderr == ""
    metrics = json.loads((folder / "metrics/prepare.json").read_text())
    assert (metrics["read"], metrics["plots"], metrics["without_year"]) == (12, 8, 1)
    assert {reason: count for reason, count in metrics["dropped"].items() if count} == {
        "title_missing": 1,
        "plot_missing": 1,
        "exact_duplicate": 2,
    }
    assert split(folder).returncode == 0
