"""The parts of metrics/evaluate.json that rest on scores: docs/EVALUATION.md says what each figure means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from plotwright.baselines import gzip_bits, uniform_bits_per_byte, unigram_nats, xz_bits_per_byte
from plotwright.bootstrap import bootstrap_interval, difference_interval, mean_interval
from plotwright.documents import Documents, Plots, prompt
from plotwright.errors import PlotwrightError
from plotwright.genres import GENRES
from plotwright.kneser_ney import kneser_ney_nats
from plotwright.machine import accelerator
from plotwright.models import load_model, load_tokenizer
from plotwright.opening_use import OpeningUse, both_parts, choose, continuation_nats, long_enough, measure_opening_use
from plotwright.scoring import DocumentScores, document_scores, summarize, token_nats
from plotwright.served import served_nats
from plotwright.settings import Params
from plotwright.writing import Writer

Report = dict[str, Any]

MOST_CHANGE_IN_SERVING = 0.01  # of the loss

METHOD_NAMES = {
    "uniform_bytes": "uniform bytes",
    "kneser_ney_5_gram": "Kneser-Ney 5-gram",
    "base": "untuned base",
    "test": "tuned model",
}


@dataclass(frozen=True)
class Splits:
    """The three parts, as frames with the columns of data/splits/*.parquet."""

    train: pd.DataFrame
    validation: pd.DataFrame
    test: pd.DataFrame


@dataclass(frozen=True)
class Reading:
    """One model's scores. nats: of every token of each test plot. train: of a sample of the training plots.
    opening: None where there are too few long plots; of_same_genre: share of rivals of the asked plot's genre."""

    nats: Sequence[np.ndarray]
    test: DocumentScores
    train: DocumentScores
    opening: OpeningUse | None
    of_same_genre: float


def read_with(folder: Path, splits: Splits, params: Params) -> Reading:
    """Everything that is scored, scored with the model of a folder."""
    settings, tokenizer = params.evaluate, load_tokenizer(folder)
    model = load_model(folder)
    torch.nn.Module.to(model, device=accelerator())

    def score(documents: Documents, what: str) -> list[np.ndarray]:
        progress = f"{folder} reads {what}"
        return token_nats(model, documents, params.train.block_size, settings.stride, settings.batch_size, progress)

    choose_between = partial(
        continuation_nats, model, batch_size=settings.batch_size, progress=f"{folder} reads openings"
    )
    sample = splits.train.sample(min(settings.train_sample, len(splits.train)), random_state=params.seed)
    test, train = (score(Plots(part, tokenizer).documents(), "plots") for part in (splits.test, sample))
    rivals, of_test = both_parts(splits.test, splits.validation)
    plots = Plots(rivals, tokenizer)
    lengths = (settings.opening_tokens, settings.continuation_tokens)
    choices = choose(rivals["genre"].tolist(), long_enough(plots, *lengths), of_test, settings.openings, params.seed)
    return Reading(
        test,
        document_scores(test, splits.test["text"].tolist()),
        document_scores(train, sample["text"].tolist()),
        measure_opening_use(plots, choices, *lengths, choose_between) if choices else None,
        choices.of_same_genre if choices else 0.0,
    )


def sums_of(scores: DocumentScores) -> np.ndarray:
    """The columns that `summarize` takes."""
    return np.stack([scores.nats, scores.tokens, scores.bytes], axis=1)


def scores_report(scores: DocumentScores, params: Params) -> Report:
    """Loss, perplexity and bits per byte."""
    return bootstrap_interval(sums_of(scores), summarize, params.evaluate.resamples, params.seed)


def _bits_per_byte(nats: np.ndarray, size: np.ndarray) -> dict[str, np.ndarray]:
    return {"bits_per_byte": nats / np.log(2) / size}


def bits_report(nats: np.ndarray, size: np.ndarray, params: Params) -> Report:
    """Bits per byte of nats and bytes, one of each a document."""
    return bootstrap_interval(np.stack([nats, size], axis=1), _bits_per_byte, params.evaluate.resamples, params.seed)


def gain_report(base: DocumentScores, tuned: DocumentScores, params: Params) -> Report:
    """Bits per byte of the base less those of the tuned model, the same documents drawn for both."""
    return bits_report(base.nats - tuned.nats, tuned.bytes, params)


def served_report(writer: Writer, test: pd.DataFrame, tuned: DocumentScores, params: Params) -> Report:
    """The figures of the model as `writer` serves it (in int8 where that is in use), and `loss_change`, the share by
    which its loss is higher than the original's, the same documents drawn for both.

    Raises PlotwrightError where that share is more than MOST_CHANGE_IN_SERVING, up or down: what the app writes would
    not be what evaluate measures.
    """
    documents = Plots(test, writer.tokenizer).documents()
    nats = served_nats(writer, documents, params.train.block_size, params.evaluate.stride, "The served model reads")
    served = document_scores(nats, test["text"].tolist())
    change = bootstrap_interval(
        np.stack([served.nats - tuned.nats, tuned.nats], axis=1),
        lambda more, original: {"loss_change": more / original},
        params.evaluate.resamples,
        params.seed,
    )
    report = {"by": writer.description, **scores_report(served, params), **change}
    if not abs(change["loss_change"]) <= MOST_CHANGE_IN_SERVING:
        raise PlotwrightError(
            f"the model as it is served ({writer.description}) has a test loss of {report['loss']:.4f} nats a token, "
            f"{change['loss_change']:+.2%} from the original's, where at most {MOST_CHANGE_IN_SERVING:.0%} is allowed; "
            f"{_otherwise(writer.description)}."
        )
    return report


def _otherwise(description: str) -> str:
    """What to do about a model that is served too differently from how it was measured."""
    if "int8" not in description:
        return "choose another model.base"
    # oneDNN's own variable: without the instructions that it forbids, linear.py finds int8 sums inexact and unusable.
    return (
        "set ONEDNN_MAX_CPU_ISA=AVX2 in the environment of dvc repro and of the app, which then serve it in fp32, or "
        "choose another model.base"
    )


def overfitting_report(tuned: Reading, base: Reading, params: Params) -> Report:
    """The figures of the training sample, and by how much those of the test plots are higher.

    base_gap: the same of the base, which has seen neither: by so much the test plots are harder in themselves.
    """

    def gap(reading: Reading) -> Report:
        found = difference_interval(
            sums_of(reading.test), sums_of(reading.train), summarize, params.evaluate.resamples, params.seed
        )
        return {name: value for name, value in found.items() if not name.startswith("perplexity")}

    return {
        "train_plots": len(tuned.train.nats),
        "train": scores_report(tuned.train, params),
        "gap": gap(tuned),
        "base_gap": gap(base),
    }


def baselines_report(splits: Splits, model: Path, params: Params) -> Report:
    """Bits per byte of methods that anybody can check; the n-gram models count the model's own tokens."""
    tokenizer = load_tokenizer(model)
    read, scored = (Plots(frame, tokenizer).documents() for frame in (splits.train, splits.test))
    train, test = splits.train["text"].tolist(), splits.test["text"].tolist()
    size = np.array([len(text.encode("utf-8")) for text in test])
    bits = partial(bits_report, size=size, params=params)
    return {
        "uniform_bytes": {"bits_per_byte": uniform_bits_per_byte()},
        "gzip": bits(gzip_bits(train, test) * np.log(2)),
        "xz": {"bits_per_byte": xz_bits_per_byte(train, test)},
        "unigram": bits(unigram_nats(read, scored, len(tokenizer))),
        "kneser_ney_5_gram": bits(kneser_ney_nats(read, scored, len(tokenizer))),
    }


def methods_table(report: Report) -> pd.DataFrame:
    """Columns method, bits_per_byte, low, high: baselines, base and tuned model, the worst first."""
    rows = {**report["baselines"], "base": report["base"], "test": report["test"]}
    table = pd.DataFrame(
        [
            (
                METHOD_NAMES.get(name, name),
                row["bits_per_byte"],
                row.get("bits_per_byte_low"),
                row.get("bits_per_byte_high"),
            )
            for name, row in rows.items()
        ],
        columns=["method", "bits_per_byte", "low", "high"],
    )
    return table.sort_values("bits_per_byte", ascending=False, kind="stable")


def opening_report(tuned: Reading, base: Reading, params: Params) -> Report:
    """How often a model gives a plot's own continuation the highest likelihood of ten."""
    if tuned.opening is None or base.opening is None:  # both: they share their tokenizer, and so their choices
        return {"plots": 0}
    difference = tuned.opening.by_likelihood - base.opening.by_likelihood
    return {
        "plots": len(difference),
        "chance": 0.1,
        "rivals_of_same_genre": tuned.of_same_genre,
        "tuned": _opening_figures(tuned.opening, params),
        "base": _opening_figures(base.opening, params),
        "gain": mean_report("accuracy", difference, params),
    }


def _opening_figures(use: OpeningUse, params: Params) -> Report:
    return {
        **mean_report("accuracy", use.by_likelihood, params),
        **mean_report("accuracy_by_gain", use.by_gain, params),
    }


def where_report(tables: Mapping[str, pd.DataFrame]) -> Report:
    """Bits per byte and gain of each group, and the loss at each position, as the tables for plots hold them.

    `tables`: genres, decades, lengths and positions.
    """
    kept = {"positions": ("loss",)}
    return {
        name: {
            str(row[table.columns[0]]): {
                "plots" if "plots" in row else "tokens": row["plots" if "plots" in row else "tokens"],
                **{
                    figure + end: row[figure + end]
                    for figure in kept.get(name, ("bits_per_byte", "gain"))
                    for end in ("", "_low", "_high")
                    if not np.isnan(row[figure + end])
                },
            }
            for row in table.to_dict("records")
        }
        for name, table in tables.items()
    }


def refuse_too_long_texts(writer: Writer, params: Params) -> None:
    """Raise PlotwrightError if the context would cut written texts off before evaluate.text_tokens, which it would not
    do to the human ones that stand beside them."""
    room = writer.context - max(len(writer.encode(prompt("", genre))) for genre in GENRES)
    if params.evaluate.text_tokens > room:
        raise PlotwrightError(
            f"evaluate.text_tokens is {params.evaluate.text_tokens}, but after a request for a genre the model's "
            f"{writer.context} tokens have room for {room}; set it to {room} or less."
        )


def mean_report(name: str, values: np.ndarray, params: Params) -> Report:
    return mean_interval(name, np.asarray(values, dtype=float), params.evaluate.resamples, params.seed)
