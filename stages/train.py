"""train: fine-tune the base model on the training plots.

python stages/train.py BASE SPLITS MODEL METRICS LOSS_CSV LOSS_FIGURE
"""

import shutil
import sys
from contextlib import nullcontext
from pathlib import Path

try:
    from plotwright.process import end_with_dvc, read_paths

    end_with_dvc()
    import numpy as np
    import pandas as pd
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

    from plotwright.documents import Plots
    from plotwright.errors import PlotwrightError, run_or_explain
    from plotwright.figures import draw_loss
    from plotwright.files import whole_file, whole_folder, write_json
    from plotwright.machine import choose_precision, is_first_process, keep_freed_memory, processes, training_attention
    from plotwright.manifest import describe_sources, fingerprint, refuse_change
    from plotwright.models import context_of, load_model, load_tokenizer
    from plotwright.packing import PackedEpochs
    from plotwright.plots import read_plots
    from plotwright.settings import Params, load_params
    from plotwright.training import Trained, checkpoint_folder, only_run, run_training
except ModuleNotFoundError as error:
    sys.exit(f"error: the package {error.name} is not installed here; run make repro, or activate .venv first.")

CODE = [Path("stages/train.py"), *(Path("plotwright") / f"{name}.py" for name in (
    "documents", "loss", "machine", "models", "optimizer", "packing", "scoring", "training"
))]  # fmt: skip


def describe_run(base: Path, splits: Path, params: Params) -> dict:
    """The manifest: everything that the weights depend on."""
    return {
        "seed": params.seed,
        "train": params.train.model_dump(),
        "processes": processes(),
        "sources": describe_sources(base, [splits / "train.parquet", splits / "validation.parquet"], CODE),
    }


def pack_plots(
    base: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, frame: pd.DataFrame, params: Params
) -> PackedEpochs:
    """All blocks of the run, after a check that they fit the model."""
    settings, context = params.train, context_of(base)
    if settings.block_size > context:
        raise PlotwrightError(
            f"train.block_size is {settings.block_size}, but {base.name_or_path} takes at most {context} tokens; "
            f"set train.block_size to {context} or less."
        )
    plots = Plots(frame, tokenizer)
    return PackedEpochs(
        lambda epoch: plots.with_random_prefix(settings.prefix_dropout, np.random.default_rng((params.seed, epoch))),
        settings.epochs,
        settings.block_size,
        params.seed,
        multiple=settings.batch_size * processes(),
    )


def summarize_run(trained: Trained, data: PackedEpochs, settings_epochs: int, precision: str) -> dict:
    """What metrics/train.json holds."""
    return {
        "validation": {"loss": trained.best_loss, "perplexity": float(np.exp(trained.best_loss))},
        "steps": trained.steps,
        "planned_steps": trained.planned_steps,
        "best_step": trained.best_step,
        "labelled_tokens_an_epoch": data.labelled // settings_epochs,
        "share_of_tokens_labelled": data.labelled / (len(data) * data.block_size),
        "precision": precision,
    }


def main() -> None:
    names = ("base", "splits", "model", "metrics", "loss_csv", "loss_figure")
    base, splits, output, metrics, curve, figure = read_paths(__doc__, *names)
    params = load_params()
    keep_freed_memory()
    precision = choose_precision(params.train.precision)
    train, validation = (read_plots(splits / f"{part}.parquet") for part in ("train", "validation"))
    manifest = describe_run(base, splits, params)
    manifest["precision"] = {"value": precision.value, "reason": precision.reason}
    if is_first_process():
        print(f"precision: {precision.value}, because {precision.reason}")
    set_seed(params.seed)
    model, tokenizer = load_model(base, training_attention()), load_tokenizer(base)
    data = pack_plots(model, tokenizer, train, params)
    held_out = Plots(validation, tokenizer).documents()
    checkpoints = checkpoint_folder(fingerprint(manifest))
    with only_run(checkpoints) if is_first_process() else nullcontext():
        trained = run_training(model, data, held_out, params.train, precision, params.seed, checkpoints)
        if not is_first_process():
            return
        refuse_change(manifest["sources"], describe_run(base, splits, params)["sources"])
        for settings in (vars(model.config), tokenizer.init_kwargs):
            settings.pop("auto_map", None)  # a base may name code of its own there; a model of ours names none
        with whole_folder(output) as partial:
            model.save_pretrained(partial)
            tokenizer.save_pretrained(partial)
            write_json(partial / "manifest.json", manifest)
        write_json(metrics, summarize_run(trained, data, params.train.epochs, precision.value))
        with whole_file(curve) as partial:
            pd.DataFrame(trained.curve, columns=["step", "split", "loss"]).to_csv(partial, index=False)
        draw_loss(trained.curve, figure)
        shutil.rmtree(checkpoints)


if __name__ == "__main__":
    run_or_explain(main)
