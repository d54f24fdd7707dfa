"""The table of bad inputs in docs/RELIABILITY.md is what the stages really say.

Write the table anew, after a sentence was changed on purpose, with `python tests/test_bad_input_table.py`.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from html import escape
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

import yaml
from conftest import CONTEXT, ROOT, make_plots
from test_prepare_stage import BAD_FILES, HEADER
from test_settings import WRONG_VALUES, changed
from test_trust import plant
from tiny_project import lay_out, run_here
from transformers import PreTrainedTokenizerBase

from plotwright.pretraining import train_tokenizer

DOCUMENT = ROOT / "docs/RELIABILITY.md"
BEGIN, END = "<!-- bad inputs -->\n", "<!-- end of bad inputs -->\n"
ARGUMENTS = {
    "prepare": ("raw.csv", "prepared.parquet", "prepare.json"),
    "split": ("prepared.parquet", "data/splits", "split.json"),
    "train": ("base", "data/splits", "models/plot-generator", "train.json", "loss.csv", "loss.png"),
    "download_data": ("download.yaml", "plots.csv"),
}
Row = tuple[str, str]  # what is wrong, and what the user sees


def said(project: Path, stage: str) -> str:
    """The last line that a stage prints when it stops, with the test's own folder left out."""
    with patch.dict(os.environ, {"DVC_ROOT": str(project)}):
        done = run_here(import_module(f"stages.{stage}").main, project, *ARGUMENTS[stage])
    assert done.returncode == 1, done.stderr
    return done.stderr.strip().splitlines()[-1].replace(f"{project.resolve()}/", "")


def bad_tables(project: Path) -> Iterator[Row]:
    """CSV files that prepare refuses."""
    raw = project / "raw.csv"
    for name, (content, _) in BAD_FILES.items():
        raw.write_bytes(content)
        yield f"CSV: {name}", said(project, "prepare")
    raw.unlink()
    yield "CSV: no such file", said(project, "prepare")
    raw.mkdir()
    yield "CSV: a folder", said(project, "prepare")
    raw.rmdir()


def bad_params(project: Path) -> Iterator[Row]:
    """Values and files that no stage takes as params.yaml."""
    params = project / "params.yaml"
    good = params.read_bytes()
    (project / "raw.csv").write_text(HEADER)
    for section, values, _ in WRONG_VALUES:
        changed(project, section, **values)
        ((key, value),) = values.items()
        yield f"`{f'{section}.' if section else ''}{key}: {value}`", said(project, "prepare")
    for name, content in {
        "a list": b"- a list",
        "empty": b"",
        "another encoding": "# fünf\nseed: 1".encode("latin-1"),
        "no YAML": b"train: [1, 2",
    }.items():
        params.write_bytes(content)
        yield f"params.yaml: {name}", said(project, "prepare")
    params.unlink()
    yield "params.yaml: not there", said(project, "prepare")
    params.write_bytes(good)


def bad_prepared(project: Path) -> Iterator[Row]:
    """Prepared tables that split refuses."""
    table = project / "prepared.parquet"
    yield "prepared table: not there", said(project, "split")
    table.write_bytes(b"PAR1 cut off")
    yield "prepared table: damaged", said(project, "split")
    make_plots(3).drop(columns="genre").to_parquet(table)
    yield "prepared table: without a column", said(project, "split")
    make_plots(2).to_parquet(table)
    yield "prepared table: two plots", said(project, "split")


def bad_bases(project: Path) -> Iterator[Row]:
    """Base models and training values that train refuses."""
    base, good, params = project / "base", project / "good", project / "params.yaml"
    (project / "data/splits").mkdir(parents=True)
    for part, plots in (("train", make_plots(12)), ("validation", make_plots(15).tail(3))):
        plots.to_parquet(project / f"data/splits/{part}.parquet")
    base.rename(good)
    yield "base model: no folder", said(project, "train")
    for name, damage in {
        "pickled weights alone": lambda: (plant(base, project / "marker"), (base / "model.safetensors").unlink()),
        "weights cut off": lambda: (base / "model.safetensors").write_bytes(b"\x10"),
        "no config.json": lambda: (base / "config.json").unlink(),
        "config.json is no JSON": lambda: (base / "config.json").write_text("{"),
    }.items():
        shutil.copytree(good, base)
        damage()
        yield f"base model: {name}", said(project, "train")
        shutil.rmtree(base)
    good.rename(base)
    settings = yaml.safe_load(params.read_text())
    for name, value in (("block_size", 2 * CONTEXT), ("learning_rate", 1e30)):
        params.write_text(yaml.safe_dump({**settings, "train": {**settings["train"], name: value}}))
        yield f"`train.{name}: {value}`", said(project, "train")


def bad_downloads(project: Path) -> Iterator[Row]:
    """What download refuses without asking a server."""
    digest = "0" * 64
    source = {"url": "https://example.org/a.zip", "page": "https://example.org/", "member": "a.csv", "size": 1}
    (project / "download.yaml").write_text(yaml.safe_dump({"download": {**source, "sha256": digest}}))
    (project / ".plotwright/downloads").mkdir(parents=True)
    (project / ".plotwright/downloads/a.csv").write_text("b")
    yield "placed by hand: another file", said(project, "download_data")


def table(project: Path, tokenizer: PreTrainedTokenizerBase) -> str:
    """The table as it should stand in the document."""
    lay_out(project, tokenizer, epochs=1, evaluations=1)
    kinds = (bad_tables, bad_params, bad_prepared, bad_bases, bad_downloads)
    rows = [row for kind in kinds for row in kind(project)]
    assert all("Traceback" not in sentence and sentence.startswith("error: ") for _, sentence in rows), rows
    outputs = ("prepare.json", "split.json", "train.json", "loss.csv", "loss.png", "models", "plots.csv", "marker")
    assert not [name for name in outputs if (project / name).exists()]
    lines = [f"| {wrong} | {escape(sentence.removeprefix('error: '), quote=False)} |" for wrong, sentence in rows]
    return "\n".join(["| wrong | what the user sees, after `error: ` |", "| --- | --- |", *lines, ""])


def test_the_document_shows_what_the_stages_say_to_every_bad_input(tmp_path, tokenizer):
    document = DOCUMENT.read_text(encoding="utf-8")
    assert document[document.index(BEGIN) + len(BEGIN) : document.index(END)] == table(tmp_path / "project", tokenizer)


if __name__ == "__main__":
    fresh = train_tokenizer(iter(make_plots(40)["text"]), 400, CONTEXT)
    with tempfile.TemporaryDirectory() as scratch:
        made = table(Path(scratch).resolve() / "project", fresh)
    before, rest = DOCUMENT.read_text(encoding="utf-8").split(BEGIN)
    DOCUMENT.write_text(before + BEGIN + made + END + rest.split(END)[1], encoding="utf-8")
