"""Where a model does well and badly: by genre, decade, length and position."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from plotwright.bootstrap import bootstrap_interval
from plotwright.scoring import summarize

FEWEST = 5  # documents of a group from which on its interval says something
LENGTHS = (128, 256, 512, 1024)  # tokens: the bounds of the groups by length


def _figures(nats: np.ndarray, base_nats: np.ndarray, tokens: np.ndarray, size: np.ndarray) -> dict[str, np.ndarray]:
    return {**summarize(nats, tokens, size), "gain": (base_nats - nats) / np.log(2) / size}


def by_group(documents: pd.DataFrame, labels: Sequence[str], name: str, resamples: int, seed: int) -> pd.DataFrame:
    """A row each label, in sorted order: `name`, plots, and with their 95 % intervals loss, perplexity,
    bits_per_byte and gain, the bits a byte by which the tuned model is better than its base. A group of
    fewer than FEWEST documents has no interval.

    `documents` is the table of document scores, with the columns nats, base_nats, tokens and bytes.
    """
    rows = []
    for label, part in documents.groupby(np.asarray(labels)):
        sums = part[["nats", "base_nats", "tokens", "bytes"]].to_numpy(dtype=float)
        figures = bootstrap_interval(sums, _figures, resamples, seed)
        if len(part) < FEWEST:
            figures |= dict.fromkeys((key for key in figures if key.endswith(("_low", "_high"))), np.nan)
        rows.append({name: label, "plots": len(part), **figures})
    return pd.DataFrame(rows)


def decades(years: pd.Series) -> list[str]:
    """The decade of each year: "1930s", or "unknown"."""
    return ["unknown" if pd.isna(year) else f"{int(year) // 10 * 10}s" for year in years]


def lengths(tokens: pd.Series) -> list[str]:
    """The group by length of each document: "0129 to 0256" and so on, which sorts as it should."""
    bounds = [0, *LENGTHS]
    labels = [f"{low + 1:04} to {high:04}" for low, high in zip(bounds, LENGTHS, strict=False)]
    return [[*labels, f"{LENGTHS[-1] + 1:04} and more"][int(np.searchsorted(LENGTHS, count))] for count in tokens]


def by_position(nats: Sequence[np.ndarray], resamples: int, seed: int, bin_size: int = 32) -> pd.DataFrame:
    """Columns position, tokens, loss, loss_low, loss_high: mean nats of the tokens `position` to `position + bin_size`
    of their plots, with the 95 % interval over plots.

    Bins with fewer than 100 tokens are left out: their mean would be noise.
    """
    rows = []
    for start in range(0, max(map(len, nats), default=0), bin_size):
        parts = [scores[start : start + bin_size] for scores in nats if len(scores) > start]
        sums = np.array([(part.sum(), len(part)) for part in parts], dtype=float)
        if sums[:, 1].sum() >= 100:
            loss = bootstrap_interval(sums, lambda total, tokens: {"loss": total / tokens}, resamples, seed)
            rows.append({"position": start, "tokens": int(sums[:, 1].sum()), **loss})
    return pd.DataFrame(rows, columns=["position", "tokens", "loss", "loss_low", "loss_high"])
