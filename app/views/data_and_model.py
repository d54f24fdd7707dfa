"""Data and model: what the model has read, and what is known of it."""

import json
import random
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

import charts
import numpy as np
import pandas as pd
import streamlit as st
from answers import answers, brackets
from look import figures, lead, sentence, small
from serving import offered
from texts import as_label, plot_html

from plotwright.errors import PlotwrightError
from plotwright.identity import manifest_if_readable
from plotwright.plots import read_plots

PREPARED = Path("data/prepared/plots.parquet")
TEST = Path("data/splits/test.parquet")
SCORES = Path("data/scores/documents.parquet")
_RANDOM, _EXTREMES = 10, 5
_REASONS = {
    "title_missing": "had no title",
    "plot_missing": "had no plot",
    "says_no_plot": "only said that the plot is not known",
    "too_short": "were shorter than data.min_words",
    "exact_duplicate": "were the same text again",
    "near_duplicate": "were nearly the same text again",
}
_BASELINES = {
    "kneser_ney_5_gram": "Kneser-Ney 5-gram",
    "xz": "xz after the training text",
    "gzip": "gzip with a dictionary",
    "uniform_bytes": "uniform bytes",
}
_LIMITS = (
    "It is a small language model: it knows how plots sound, not what is true, and it loses the thread of long ones.",
    "It writes as its training plots do, with their clichés and prejudices; what it says of people is no judgement.",
    "It may repeat passages of its training plots: every draft shows the longest one that it shares with them.",
    "It has read plots of one language; openings in others are answered badly.",
)


def show() -> None:
    """The page."""
    st.title("Data and model")
    lead("What the model has read, how it was chosen, and what the model can and cannot do.")
    data, model = st.tabs(["Data", "Model"])
    with data:
        _draw_data()
    with model:
        _draw_model()


def _metrics(name: str) -> dict[str, Any]:
    """metrics/<name>.json, empty where the stage that writes it has not run."""
    path = Path("metrics") / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


@st.cache_data(max_entries=4, show_spinner=False)
def _plots(path: Path, modified: int) -> pd.DataFrame:
    return read_plots(path)


def plots_of(path: Path) -> pd.DataFrame:
    """A table of plots as it is now. Raises PlotwrightError when it is missing or broken."""
    return _plots(path.absolute(), path.stat().st_mtime_ns) if path.exists() else read_plots(path)


def _draw_data() -> None:
    prepare, split = _metrics("prepare"), _metrics("split")
    if prepare:
        _draw_counts(prepare, split)
    try:
        plots = plots_of(PREPARED)
    except PlotwrightError as error:
        st.info(sentence(error), icon=":material/info:")
        return
    _draw_distributions(plots)
    if prepare:
        _draw_dropped(prepare)
    _draw_random(plots)


def _draw_counts(prepare: Mapping[str, Any], split: Mapping[str, Any]) -> None:
    parts = split.get("plots", {})
    words = prepare["words"]
    figures(
        [
            (f"{prepare['plots']:,}", "plots"),
            *((f"{parts[part]:,}", label) for part, label in _PARTS.items() if part in parts),
            (f"{words['median']:,}", "words in the median plot"),
            (f"{words['total']:,}", "words in all"),
        ]
    )


_PARTS = {"train": "to learn from", "validation": "to choose the best step", "test": "for measuring alone"}


def _draw_distributions(plots: pd.DataFrame) -> None:
    st.subheader("Genres")
    charts.counts(plots["genre"].value_counts(), "genre", horizontal=True)
    st.subheader("Decades")
    decades = (plots["year"].dropna().astype(int) // 10 * 10).astype(str) + "s"
    charts.counts(decades.value_counts().sort_index(), "decade")
    unknown = int(plots["year"].isna().sum())
    if unknown:
        small(f"{unknown:,} plots have no year.")
    st.subheader("Lengths")
    charts.counts(_lengths(plots["text"]), "words")


def _lengths(texts: pd.Series) -> pd.Series:
    """How many texts there are of each length in words, in about fifteen bins of a round width."""
    words = texts.str.split().str.len()
    width = max(10, int(np.ceil(words.quantile(0.99) / 150)) * 10)
    starts = (words // width * width).clip(upper=width * 19)
    counted = starts.value_counts().sort_index()
    last = width * 19
    return counted.rename(lambda start: f"{start}+" if start == last else f"{start}–{start + width - 1}")


def _draw_dropped(prepare: Mapping[str, Any]) -> None:
    st.subheader("What prepare left out")
    dropped = [(count, _REASONS.get(reason, reason)) for reason, count in prepare["dropped"].items() if count]
    lines = [f"<li>{count:,} {escape(why)}</li>" for count, why in dropped] or ["<li>nothing</li>"]
    spare = prepare["available"] - prepare["plots"]
    if spare:
        lines.append(f"<li>{spare:,} are good plots that data.limit left out</li>")
    small(f"Of {prepare['read']:,} rows read:<ul>{''.join(lines)}</ul>")


def _draw_random(plots: pd.DataFrame) -> None:
    st.subheader("Ten plots at random")
    seed = st.session_state.setdefault("random_plots", 0)
    rows = random.Random(seed).sample(range(len(plots)), min(_RANDOM, len(plots)))
    for row in rows:
        draw_plot(plots.iloc[row])
    st.button("Ten others", icon=":material/shuffle:", on_click=_draw_others)


def _draw_others() -> None:
    st.session_state.random_plots += 1


def draw_plot(plot: pd.Series, note: str = "") -> None:
    """A plot behind its title, genre and year. `note` stands before the title."""
    about = [str(part) for part in (plot["genre"], plot["year"]) if not pd.isna(part)]
    with st.expander(f"{note}**{as_label(plot['title'])}** · {as_label(', '.join(about))}"):
        st.html(plot_html("", plot["text"], writing=False))


def _draw_model() -> None:
    evaluate = _metrics("evaluate")
    if not evaluate:
        st.info("The model has not been measured yet; `dvc repro` does it.", icon=":material/info:")
    else:
        _draw_card(evaluate)
    st.subheader("Limits")
    small(f"<ul>{''.join(f'<li>{escape(limit)}</li>' for limit in _LIMITS)}</ul>")
    _draw_extremes()
    st.subheader("What it was made from")
    for folder in offered().values():
        _draw_manifest(folder)


def _draw_manifest(folder: Path) -> None:
    manifest = manifest_if_readable(folder)
    if not manifest:
        small(f"There is no {escape(str(folder / 'manifest.json'))} that can be read.")
        return
    with st.expander(f"{folder}/manifest.json"):
        st.json(manifest, expanded=1)


def _draw_card(evaluate: Mapping[str, Any]) -> None:
    test, base = evaluate["test"], evaluate.get("base", {})
    pairs = [
        (f"{test['bits_per_byte']:.3f}", f"bits per byte on {test.get('plots', 'the')} test plots{brackets(test)}")
    ]
    if base:
        pairs.append((f"{base['bits_per_byte']:.3f}", f"of the base model before fine-tuning{brackets(base)}"))
    if "gain" in evaluate:
        pairs.append((f"{evaluate['gain']['bits_per_byte']:.3f}", f"bits per byte gained{brackets(evaluate['gain'])}"))
    pairs.append((f"{test['perplexity']:.1f}", f"perplexity a token{brackets(test, 'perplexity', 1)}"))
    figures(pairs)
    rows = [{"Method": "this model", "Bits per byte": test["bits_per_byte"]}]
    if base:
        rows.append({"Method": "its base, untuned", "Bits per byte": base["bits_per_byte"]})
    for name, found in evaluate.get("baselines", {}).items():
        rows.append({"Method": _BASELINES.get(name, name.replace("_", " ")), "Bits per byte": found["bits_per_byte"]})
    table = pd.DataFrame(rows).sort_values("Bits per byte")
    st.dataframe(table.style.format({"Bits per byte": "{:.3f}"}), hide_index=True, width="stretch")
    small("Fewer bits per byte: the text surprises less. In brackets 95 % intervals over test plots.")
    st.subheader("What a sceptic asks")
    st.table(pd.DataFrame(answers(evaluate)).set_index("Question"))


def _draw_extremes() -> None:
    if not (SCORES.exists() and TEST.exists()):
        return
    scores = pd.read_parquet(SCORES)
    scored = plots_of(TEST).merge(scores.drop(columns="genre", errors="ignore"), on="id")
    scored["bits_per_byte"] = scored["nats"] / np.log(2) / scored["bytes"]
    ranked = scored.sort_values("bits_per_byte")
    for title, rows in [
        ("The test plots it predicts best", ranked.head(_EXTREMES)),
        ("The test plots it predicts worst", ranked.tail(_EXTREMES)[::-1]),
    ]:
        st.subheader(title)
        for _, plot in rows.iterrows():
            draw_plot(plot, f"{plot['bits_per_byte']:.2f} bits per byte · ")
