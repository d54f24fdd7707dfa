"""Experiments: what was tried, what came of it, and the training that runs now."""

from collections.abc import Mapping

import charts
import pandas as pd
import streamlit as st
from history import COMMITS, Run, all_runs, differing, distinct, tables_of
from look import guarded, lead, small
from progress import training_now

_FIGURES = {
    "test.bits_per_byte": "Bits per byte",
    "test.perplexity": "Perplexity",
    "gain.bits_per_byte": "Gain over the base",
}
_SHOWN = 3  # runs whose curves are drawn before anybody has chosen


def show() -> None:
    """The page."""
    st.title("Experiments")
    lead("Every experiment and commit that DVC knows, measured on the same test plots.")
    _watch_training()
    runs = all_runs()
    measured = distinct(runs)
    if not measured:
        st.info(
            "No measured model yet. `dvc repro` makes and measures the one that params.yaml describes; "
            "`dvc exp run -S train.epochs=2` tries another.",
            icon=":material/info:",
        )
        return
    _draw_results(measured)
    _draw_table(measured, runs)
    _draw_comparison(measured)


@st.fragment(run_every=2)
def _watch_training() -> None:
    """The curve of a training that runs now, drawn anew every two seconds; then nothing else guards it."""
    guarded(_draw_training)


def _draw_training() -> None:
    progress = training_now()
    if progress is None:
        return
    with st.container(border=True):
        share = progress.step / max(1, progress.steps)
        if progress.running:
            st.markdown("**A training runs now.**")
        else:
            st.markdown("**A training was cut off.** `dvc repro` goes on from its last checkpoint.")
        st.progress(min(1.0, share), f"Step {progress.step:,} of {progress.steps:,} ({share:.0%})")
        if progress.curve:
            charts.loss_curves(pd.DataFrame(progress.curve).assign(run="now"))
        small(f"Last heard of {_ago(progress.age)}.")


def _ago(seconds: float) -> str:
    if seconds < 120:
        return f"{max(0, round(seconds))} seconds ago"
    return f"{round(seconds / 60)} minutes ago" if seconds < 7200 else f"{round(seconds / 3600)} hours ago"


def with_interval(metrics: Mapping[str, float], name: str) -> str:
    """A figure with its 95 % interval as text, a dash where there is none."""
    if name not in metrics:
        return "–"
    digits = 1 if metrics[name] >= 10 else 3
    value = f"{metrics[name]:.{digits}f}"
    if f"{name}_low" not in metrics:
        return value
    return f"{value}  [{metrics[f'{name}_low']:.{digits}f}, {metrics[f'{name}_high']:.{digits}f}]"


def _value(parameter: object) -> str:
    """A parameter as params.yaml would show it; DVC gives whole numbers as floats."""
    if parameter is None:
        return "–"
    return f"{parameter:g}" if isinstance(parameter, float) else str(parameter)


def _draw_results(measured: list[Run]) -> None:
    rows = [
        {
            "run": run.name,
            "value": run.metrics["test.bits_per_byte"],
            "low": run.metrics["test.bits_per_byte_low"],
            "high": run.metrics["test.bits_per_byte_high"],
        }
        for run in measured
        if "test.bits_per_byte_low" in run.metrics
    ]
    if rows:
        st.subheader("How well each predicts plots it has never seen")
        charts.intervals(pd.DataFrame(rows), "bits per byte on the test plots, lower is better")


def _draw_table(measured: list[Run], runs: list[Run]) -> None:
    names = differing(measured)
    rows = [
        {
            "Run": run.name,
            "Made": run.created,
            **{label: with_interval(run.metrics, name) for name, label in _FIGURES.items()},
            **{name: _value(run.params.get(name)) for name in names},
        }
        for run in measured
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")
    with st.expander("Every commit and experiment, those without a measured model too"):
        everything = [
            {"Run": run.name, "Made": run.created, "Bits per byte": with_interval(run.metrics, "test.bits_per_byte")}
            for run in runs
        ]
        st.dataframe(pd.DataFrame(everything), hide_index=True, width="stretch")
    small(
        "In brackets 95 % intervals over test plots. Commits with the same figures and parameters stand once. "
        + ("Columns on the right: the parameters that differ. " if names else "")
        + f"DVC is asked for the last {COMMITS} commits of each branch and all their experiments."
    )


def _draw_comparison(measured: list[Run]) -> None:
    st.subheader("Side by side")
    by_name = {run.name: run for run in measured}
    chosen = st.multiselect("Runs", list(by_name), default=list(by_name)[:_SHOWN], label_visibility="collapsed")
    runs = [by_name[name] for name in chosen]
    curves = tables_of("plots/loss.csv", runs)
    if len(curves):
        small("<b>Loss</b> over the training. Thin: training. Thick, with points: validation.")
        charts.loss_curves(curves)
    genres = tables_of("plots/genres.csv", runs)
    if len(genres):
        small("<b>Perplexity by genre</b> of the test plots: how many tokens the model wavers between, as it were.")
        charts.by_genre(genres)
    if chosen and not len(curves) and not len(genres):
        small("These runs have neither plots/loss.csv nor plots/genres.csv.")
