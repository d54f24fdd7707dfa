"""Altair charts of losses, perplexities and counts, drawn without network."""

from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

_HEIGHT = 300
_NEUTRAL = "#8a8178"  # readable on light and dark


def _show(chart: alt.Chart | alt.LayerChart, description: str) -> None:
    st.altair_chart(chart, width="stretch", alt=description)


def _ordered(names: pd.Series) -> list[Any]:
    """Names in the order in which they first stand."""
    return list(dict.fromkeys(names))


def loss_curves(curves: pd.DataFrame) -> None:
    """Losses over steps. curves: columns run, step, split (train, validation), loss in nats a token."""
    colour = alt.Color("run:N", title=None, sort=_ordered(curves["run"])).legend(orient="top", labelLimit=220)
    x, y = alt.X("step:Q", title="optimizer step"), alt.Y("loss:Q", title="loss (nats a token)").scale(zero=False)
    base = alt.Chart(curves).encode(x=x, y=y, color=colour, tooltip=["run", "split", "step", "loss"])
    train = base.transform_filter("datum.split == 'train'").mark_line(opacity=0.45, strokeWidth=1.5)
    validation = base.transform_filter("datum.split == 'validation'").mark_line(point=True, strokeWidth=2.5)
    _show((train + validation).properties(height=_HEIGHT), "Training and validation loss over optimizer steps")


def intervals(table: pd.DataFrame, unit: str) -> None:
    """Estimates with their 95 % intervals. table: columns run, value, low, high."""
    y = alt.Y("run:N", title=None, sort=_ordered(table["run"]), axis=alt.Axis(labelLimit=170))
    tips: list[str | alt.Tooltip] = [
        "run",
        alt.Tooltip("value", format=".4f"),
        alt.Tooltip("low", format=".4f"),
        alt.Tooltip("high", format=".4f"),
    ]
    base = alt.Chart(table).encode(y=y, tooltip=tips)
    x = alt.X("low:Q", title=unit).scale(zero=False, padding=12)
    bars = base.mark_rule(strokeWidth=2, color=_NEUTRAL).encode(x=x, x2="high:Q")
    points = base.mark_point(filled=True, size=70, opacity=1).encode(x="value:Q")
    _show((bars + points).properties(height=75 + 26 * len(table)), f"{unit} with 95 % intervals")


def by_genre(table: pd.DataFrame) -> None:
    """Perplexity by genre. table: columns run, genre, perplexity, plots."""
    y = alt.Y(
        "genre:N", title=None, axis=alt.Axis(labelOverlap=False), sort=alt.EncodingSortField("perplexity", op="mean")
    )
    colour = alt.Color("run:N", title=None, sort=_ordered(table["run"])).legend(orient="top", labelLimit=220)
    chart = alt.Chart(table).mark_point(filled=True, size=80, opacity=0.85)
    chart = chart.encode(
        x=alt.X("perplexity:Q", title="test perplexity (lower is better)").scale(zero=False),
        y=y,
        color=colour,
        tooltip=["run", "genre", "plots", alt.Tooltip("perplexity", format=".1f")],
    )
    _show(chart.properties(height=24 * table["genre"].nunique() + 60), "Test perplexity by genre")


def counts(table: pd.Series, name: str, horizontal: bool = False) -> None:
    """Bars of how many plots there are of each value, in the order given."""
    frame = table.rename("plots").rename_axis(name).reset_index()
    value = alt.X if horizontal else alt.Y
    kind = alt.Y if horizontal else alt.X
    chart = (
        alt.Chart(frame)
        .mark_bar()
        .encode(
            value("plots:Q", title="plots"),
            kind(f"{name}:O", title=None, sort=None, axis=alt.Axis(labelOverlap=False)),
            tooltip=[name, "plots"],
        )
    )
    height = 24 * len(frame) + 60 if horizontal else 220
    _show(chart.properties(height=height), f"Number of plots by {name}")
