"""Matplotlib figures for the README."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from plotwright.files import whole_file

COLOURS = {"train": "#9a9a9a", "validation": "#b3403a"}


def draw_loss(curve: Sequence[dict[str, Any]], path: Path) -> None:
    """Training and validation loss in nats a token over optimizer steps, from rows of step, split, loss."""
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    for split, colour in COLOURS.items():
        rows = [row for row in curve if row["split"] == split]
        marker = "o" if split == "validation" else None
        axes.plot(
            [row["step"] for row in rows], [row["loss"] for row in rows], color=colour, marker=marker, label=split
        )
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("loss (nats a token)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=150)
    plt.close(figure)
