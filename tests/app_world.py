"""A folder like our repository after a pipeline run, as far as the app looks, with forty plots."""

import shutil
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from plotwright.files import write_json
from plotwright.plots import describe_plots, write_plots
from tests.conftest import ROOT, make_plots

MODEL = Path("models/plot-generator")


def save_model(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Put a model in the place of the one in `folder`, with a manifest that says where its data came from."""
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_json(folder / "manifest.json", {"seed": 20, "sources": {"data": {"train": "abc"}}})


def make_world(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Put params.yaml, the model, the plots and the metrics of prepare and split into `folder`."""
    shutil.copy(ROOT / "params.yaml", folder)
    save_model(folder / MODEL, model, tokenizer)
    plots = make_plots(40)
    for name, table in {"prepared/plots": plots, "splits/train": plots[:28], "splits/test": plots[28:]}.items():
        path = folder / "data" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_plots(path, table)
    counts = {"read": 45, "dropped": {"too_short": 3, "exact_duplicate": 2}, "available": 40, "limit": 1000}
    described = describe_plots(plots.assign(raw_genre=plots["genre"]))
    write_json(folder / "metrics/prepare.json", {**counts, **described})
    write_json(folder / "metrics/split.json", {"plots": {"train": 28, "validation": 0, "test": 12}})
