"""Intervals that say how much another draw of test documents would change a figure."""

from collections.abc import Callable, Mapping

import numpy as np

LEVEL = 0.95
Figures = Mapping[str, np.ndarray]


def resample_counts(documents: int, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """How often each document is drawn in each bootstrap resample: (resamples, documents)."""
    return generator.multinomial(documents, np.full(documents, 1 / documents), size=resamples)


def resampled_sums(sums: np.ndarray, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """Sums of (documents, quantities) over documents drawn with replacement: (resamples, quantities)."""
    documents = len(sums)
    # A chunk at a time: the counts of all resamples over 3,500 test plots would take half a gigabyte.
    chunk = max(1, 2_000_000 // documents)
    return np.concatenate(
        [
            resample_counts(documents, min(chunk, resamples - done), generator) @ sums
            for done in range(0, resamples, chunk)
        ]
    )


def with_interval(figures: Figures, drawn: Figures) -> dict[str, float]:
    """Each figure with `_low` and `_high`, the 95 % percentile interval of its values over resamples."""
    tail = 100 * (1 - LEVEL) / 2
    result: dict[str, float] = {}
    for name, value in figures.items():
        low, high = np.percentile(drawn[name], [tail, 100 - tail])
        result |= {name: float(value), f"{name}_low": float(low), f"{name}_high": float(high)}
    return result


def bootstrap_interval(
    sums: np.ndarray, figures: Callable[..., Figures], resamples: int, seed: int
) -> dict[str, float]:
    """Figures of summed document quantities, each with `_low` and `_high`, its 95 % percentile interval.

    sums: (documents, quantities). `figures` takes one array a quantity, summed over the documents of a
    resample, and returns named figures. Documents are drawn with replacement (Efron 1979), since tokens
    of one document are not independent.
    """
    drawn = resampled_sums(sums, resamples, np.random.default_rng(seed))
    return with_interval(figures(*sums.sum(axis=0)), figures(*drawn.T))


def difference_interval(
    one: np.ndarray, other: np.ndarray, figures: Callable[..., Figures], resamples: int, seed: int
) -> dict[str, float]:
    """Figures of `one` less those of `other`, two sets of different documents, each drawn by itself."""
    generator = np.random.default_rng(seed)
    seen = [figures(*sums.sum(axis=0)) for sums in (one, other)]
    drawn = [figures(*resampled_sums(sums, resamples, generator).T) for sums in (one, other)]
    return with_interval(*({name: a[name] - b[name] for name in a} for a, b in (seen, drawn)))


def mean_interval(name: str, values: np.ndarray, resamples: int, seed: int) -> dict[str, float]:
    """The mean of one value a document, called `name`, with its interval."""
    sums = np.stack([values, np.ones(len(values))], axis=1)
    return bootstrap_interval(sums, lambda total, count: {name: total / count}, resamples, seed)
