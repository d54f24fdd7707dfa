"""align: teach the model what its readers liked, and measure what it gained and lost by it.

python stages/align.py PARENT FEEDBACK SPLITS MODEL METRICS
"""

import os
import sys
from importlib.metadata import version
from pathlib import Path

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # trl reports its use to the Hub unless told not to; read at import

try:
    from plotwright.process import end_with_dvc, read_paths

    end_with_dvc()
    import pandas as pd
    from transformers import PreTrainedModel, set_seed

    from plotwright.alignment import Models, learn
    from plotwright.drift import Pair, open_pair, plots_report, preference_report, written_report
    from plotwright.errors import PlotwrightError, run_or_explain
    from plotwright.evaluation import Report
    from plotwright.files import whole_folder, write_json
    from plotwright.identity import read_manifest, source_of
    from plotwright.machine import Choice, choose_precision, keep_freed_memory
    from plotwright.manifest import describe_sources, fingerprint, hash_files, refuse_change
    from plotwright.models import load_model, load_tokenizer
    from plotwright.plots import read_plots
    from plotwright.preferences import PARAMS, TABLES, AlignParams, AlignSettings, Kind, hold_out, read_preferences
    from plotwright.settings import Params, load_params, load_settings
except ModuleNotFoundError as error:
    sys.exit(
        f"error: the package {error.name} is not installed here; run make repro, or activate .venv first; trl comes "
        "with pip install -e '.[align]'."
    )

CODE = [Path("stages/align.py"), *(Path("plotwright") / f"{name}.py" for name in (
    "alignment", "machine", "models", "preferences"
))]  # fmt: skip

Rows = dict[Kind, pd.DataFrame]


def describe_run(parent: Path, feedback: Path, settings: AlignSettings, seed: int) -> dict:
    """What stands in the manifest beside what made the parent: everything else that the weights depend on."""
    files = [feedback / TABLES[kind].file for kind in settings.kinds]
    return {
        "seed": seed,
        "align": settings.model_dump(),
        "parent": {"path": parent.as_posix(), "fingerprint": source_of(parent).model},
        "feedback": fingerprint(list(hash_files(files).values())),
        "sources": describe_sources(parent, files, CODE),
    }


def train(parent: Path, rows: Rows, settings: AlignSettings, precision: Choice, seed: int) -> PreTrainedModel:
    """The aligned model, as `load_model` opens the parent but for its weights."""
    set_seed(seed)
    model, tokenizer = load_model(parent), load_tokenizer(parent)
    for kind, table in rows.items():
        learn(kind, Models(model, load_model(parent), tokenizer), table, settings, precision, seed)
    if not all(weights.isfinite().all() for weights in model.parameters()):
        raise PlotwrightError("the weights are no longer numbers; set align.learning_rate lower and run it again.")
    aligned = load_model(parent)  # trl has left its marks on the other: a pad token, a forward of its own
    aligned.load_state_dict(model.state_dict())
    return aligned


def measure(pair: Pair, folder: Path, test: pd.DataFrame, held: Rows, params: Params) -> Report:
    """What metrics/align.json holds but for the numbers of rows."""
    report = plots_report(pair, test, params)
    report["drift"] |= written_report(pair, folder, params)
    return report | {
        "preference": {kind: preference_report(kind, pair, table, params) for kind, table in held.items()},
    }


def print_summary(report: Report) -> None:
    drift = report["drift"]
    print(
        f"bits per byte {report['test']['bits_per_byte']:.3f}, the parent's {report['parent']['bits_per_byte']:.3f} "
        f"({drift['share']:+.2%} [{drift['share_low']:+.2%}, {drift['share_high']:+.2%}]); KL from the parent "
        f"{drift['kl_test']:.3f} nats a token of test plots, {drift['kl_written']:.3f} of its own"
    )
    for kind, part in report["preference"].items():
        print(f"held-out {kind}: {part['accuracy']:.0%} of {part['pairs']} pairs as readers would have them")


def main() -> None:
    parent, feedback, splits, output, metrics = read_paths(__doc__, "parent", "feedback", "splits", "model", "metrics")
    params, settings = load_params(), load_settings(PARAMS, AlignParams).align
    keep_freed_memory()
    precision = choose_precision(params.train.precision)
    preferences = read_preferences(feedback, source_of(parent), settings)
    parts = {kind: hold_out(kind, table, settings.held_out, params.seed) for kind, table in preferences.items()}
    run = describe_run(parent, feedback, settings, params.seed)
    run |= {"precision": {"value": precision.value, "reason": precision.reason}, "trl": version("trl")}
    model = train(parent, {kind: rows for kind, (rows, _) in parts.items()}, settings, precision, params.seed)
    refuse_change(run["sources"], describe_run(parent, feedback, settings, params.seed)["sources"])
    with whole_folder(output) as partial:
        model.save_pretrained(partial)
        load_tokenizer(parent).save_pretrained(partial)
        write_json(partial / "manifest.json", {**read_manifest(parent), "aligned": run})
    held = {kind: rows for kind, (_, rows) in parts.items()}
    report = measure(open_pair(output, parent), output, read_plots(splits / "test.parquet"), held, params)
    counts = {kind: {"learnt_from": len(rows), "held_out": len(others)} for kind, (rows, others) in parts.items()}
    write_json(metrics, {"rows": counts, **report})
    print_summary(report)


if __name__ == "__main__":
    run_or_explain(main)
