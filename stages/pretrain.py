"""pretrain: make the embedded base model from a folder of books, a CSV of real plots and one of invented plots.

python stages/pretrain.py PARAMS BOOKS PLOTS_CSV INVENTED_CSV MODEL METRICS
"""

import functools
import json
import random
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

try:
    from plotwright.process import end_with_dvc, read_paths

    end_with_dvc()
    import numpy as np
    import pandas as pd
    from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

    from plotwright.documents import Documents, Plots
    from plotwright.errors import PlotwrightError, run_or_explain
    from plotwright.files import whole_folder, write_json
    from plotwright.machine import choose_precision, keep_freed_memory, processes, training_attention
    from plotwright.manifest import fingerprint, hash_files
    from plotwright.models import load_model
    from plotwright.packing import PackedEpochs
    from plotwright.plots import clean_rows, select
    from plotwright.pretraining import (
        BaseParams,
        Books,
        PretrainSettings,
        book_files,
        new_model,
        phase_documents,
        texts_of,
        train_tokenizer,
        write_books,
    )
    from plotwright.raw import read_raw
    from plotwright.scoring import document_scores, summarize, token_nats
    from plotwright.settings import load_settings
    from plotwright.training import checkpoint_folder, run_training
except ModuleNotFoundError as error:
    sys.exit(f"error: the package {error.name} is not installed here; run make repro, or activate .venv first.")

HELD_OUT_CHARACTERS = 40_000  # of each held-out book that are scored


def read_plots(csv: Path, settings: PretrainSettings) -> pd.DataFrame:
    """The CSV's plots, cleaned as prepare cleans them."""
    return select(clean_rows(read_raw(csv)), settings.min_words)[0]


def split_plots(csv: Path, settings: PretrainSettings) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The CSV's plots: those to train on and those held out."""
    plots = read_plots(csv, settings)
    if len(plots) <= settings.held_out.plots:
        raise PlotwrightError(f"{csv} has {len(plots)} plots, too few to hold out {settings.held_out.plots} of them.")
    held_out = plots.sample(settings.held_out.plots, random_state=settings.seed).index
    return plots.drop(held_out), plots.loc[held_out]


def split_books(folder: Path, settings: PretrainSettings) -> tuple[list[Path], list[Path]]:
    """The folder's books: those to train on and those held out."""
    files = book_files(folder)
    if len(files) <= settings.held_out.books:
        raise PlotwrightError(
            f"{folder} has {len(files)} books, too few to hold out {settings.held_out.books} of them."
        )
    held_out = set(random.Random(settings.seed).sample(files, settings.held_out.books))
    return [file for file in files if file not in held_out], sorted(held_out)


def bare_documents(tokenizer: PreTrainedTokenizerBase, texts: list[str]) -> Documents:
    """Texts as pretraining reads books: the end-of-text token, the text, the end-of-text token."""
    end = tokenizer.eos_token_id
    tokens = [[end, *tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"], end] for text in texts]
    starts = np.cumsum([0, *map(len, tokens)])
    return Documents(np.concatenate(tokens), starts, np.ones(len(texts), dtype=np.int64))


def measure(model: PreTrainedModel, documents: Documents, texts: list[str], window: int) -> dict[str, float]:
    """Loss, perplexity and bits per byte on held-out texts."""
    nats = token_nats(model, documents, window, window // 4, batch_size=8, progress="Scoring")
    scores = document_scores(nats, texts)
    figures = summarize(scores.nats.sum(), scores.tokens.sum(), scores.bytes.sum())
    return {"documents": len(texts), **{name: float(value) for name, value in figures.items()}}


def read_texts(
    books: list[Path], plots: pd.DataFrame, texts: list[Path], settings: PretrainSettings
) -> tuple[PreTrainedTokenizerBase, Path, Books]:
    """A tokenizer of books and real plots, the runs' folder, and the books in tokens, which lie there.

    `texts` are all files that the model reads; with other ones, or another tokenizer, the folder is another.
    """

    def everything() -> Iterator[str]:
        yield from plots["text"]
        for file in books:
            yield from texts_of(file)

    tokenizer = train_tokenizer(everything(), settings.shape.vocabulary, settings.shape.context)
    sources = [settings.model_dump(exclude={"runs"}), hash_files(texts), tokenizer.backend_tokenizer.to_str()]
    work = checkpoint_folder(fingerprint(sources))
    if not (work / "starts.npy").exists():
        write_books(books, tokenizer, work)
    return tokenizer, work, Books(work)


def do_run(
    model: PreTrainedModel,
    documents: Callable[[int], Documents],
    validation: Documents,
    settings: PretrainSettings,
    number: int,
    work: Path,
) -> tuple[PreTrainedModel, dict[str, Any]]:
    """The model after run `number`, and how that went; both from `work` where the run was done before."""
    run = settings.runs[number]
    without = {"training": {"evaluations", "compile"}}  # what does not change the weights
    until_now = [run.model_dump(exclude=without) for run in settings.runs[: number + 1]]
    checkpoints = work / f"run-{number}-{fingerprint(until_now)}"
    done = checkpoints.with_name(f"{checkpoints.name}-done")
    if not done.exists():
        precision = choose_precision(run.training.precision)
        print(f"run {number + 1} of {len(settings.runs)}; precision: {precision.value}, because {precision.reason}")
        data = PackedEpochs(
            documents,
            len(run.phases),
            run.training.block_size,
            settings.seed,
            multiple=run.training.batch_size * processes(),
        )
        trained = run_training(model, data, validation, run.training, precision, settings.seed, checkpoints)
        report = {"steps": trained.steps, "labelled_tokens": data.labelled, "precision": precision.value}
        with whole_folder(done) as partial:
            model.save_pretrained(partial)
            write_json(partial / "report.json", {**report, "curve": trained.curve})
        shutil.rmtree(checkpoints)
    return load_model(done, training_attention()), json.loads((done / "report.json").read_text(encoding="utf-8"))


def save(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, output: Path) -> None:
    """The model in half precision, its tokenizer, and the model card that is written by hand."""
    with whole_folder(output) as partial:
        if (output / "README.md").exists():
            shutil.copy(output / "README.md", partial)
        model.half().save_pretrained(partial)
        tokenizer.save_pretrained(partial)


def main() -> None:
    params, folder, csv, invented_csv, output, metrics = read_paths(
        __doc__, "params", "books", "plots_csv", "invented_csv", "model", "metrics"
    )
    settings = load_settings(params, BaseParams).pretrain
    keep_freed_memory()
    books, held_books = split_books(folder, settings)
    plots, held_plots = split_plots(csv, settings)
    invented = read_plots(invented_csv, settings)
    tokenizer, work, encoded_books = read_texts(books, plots, [csv, invented_csv, *books], settings)
    encoded_plots, encoded_invented = Plots(plots, tokenizer), Plots(invented, tokenizer)
    validation = Plots(held_plots, tokenizer).documents()
    set_seed(settings.seed)
    model: PreTrainedModel = new_model(settings.shape, tokenizer.eos_token_id)
    runs = []
    for number in range(len(settings.runs)):
        read = functools.partial(phase_documents, encoded_books, encoded_plots, encoded_invented, settings, number)
        model, report = do_run(model, read, validation, settings, number, work)
        runs.append(report)
    book_texts = [file.read_text(encoding="utf-8")[:HELD_OUT_CHARACTERS] for file in held_books]
    documents, context = bare_documents(tokenizer, book_texts), settings.shape.context
    report = {
        "parameters": model.num_parameters(),
        "tokens_in_books": int(encoded_books.starts[-1]),
        "tokens_in_plots": sum(map(len, encoded_plots.texts)),
        "tokens_in_invented": sum(map(len, encoded_invented.texts)),
        "books": measure(model, documents, book_texts, context),
        "plots": measure(model, validation, held_plots["text"].tolist(), context),
        "held_out_books": [file.stem for file in held_books],
        "runs": runs,
    }
    save(model, tokenizer, output)
    write_json(metrics, report)
    shutil.rmtree(work)


if __name__ == "__main__":
    run_or_explain(main)
