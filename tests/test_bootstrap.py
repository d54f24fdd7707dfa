"""The intervals cover what they should as often as they should."""

import numpy as np
import pytest

from plotwright.bootstrap import bootstrap_interval, difference_interval, mean_interval
from plotwright.scoring import summarize


def paired(nats: np.ndarray, size: np.ndarray) -> dict[str, np.ndarray]:
    return {"bits_per_byte": nats / np.log(2) / size}


def test_intervals_cover_a_known_difference_in_92_to_98_percent_of_400_draws():
    generator = np.random.default_rng(1)
    true = 0.05  # bits per byte
    covered = 0
    for draw in range(400):
        size = generator.integers(400, 1500, 120)
        difference = size * np.log(2) * (true + generator.normal(0, 0.06, 120))
        figures = bootstrap_interval(np.stack([difference, size], axis=1), paired, 500, seed=draw)
        covered += figures["bits_per_byte_low"] <= true <= figures["bits_per_byte_high"]
    assert 0.92 <= covered / 400 <= 0.98


def test_the_point_estimate_is_the_figure_of_all_documents():
    sums = np.array([[10.0, 5, 20], [30.0, 10, 50]])
    figures = bootstrap_interval(sums, summarize, 100, seed=0)
    assert figures["loss"] == pytest.approx(40 / 15)
    assert figures["loss_low"] <= figures["loss"] <= figures["loss_high"]
    assert set(figures) == {
        name + end for name in ("loss", "perplexity", "bits_per_byte") for end in ("", "_low", "_high")
    }


def test_a_single_document_has_an_interval_of_no_width():
    figures = bootstrap_interval(np.array([[10.0, 5, 20]]), summarize, 100, seed=0)
    assert figures["loss_low"] == figures["loss"] == figures["loss_high"]


def test_the_same_seed_gives_the_same_interval_however_many_chunks_it_takes():
    sums = np.random.default_rng(0).uniform(1, 2, (3000, 3))
    assert bootstrap_interval(sums, summarize, 1000, 7) == bootstrap_interval(sums, summarize, 1000, 7)


def test_differences_of_unpaired_sets_cover_the_truth_in_92_to_98_percent_of_400_draws():
    generator = np.random.default_rng(2)
    covered = 0
    for draw in range(400):
        sets = []
        for level, plots in ((2.0, 80), (1.9, 120)):
            size = generator.integers(400, 1500, plots)
            sets.append(np.stack([size * np.log(2) * generator.normal(level, 0.2, plots), size], axis=1))
        figures = difference_interval(*sets, paired, 500, seed=draw)
        covered += figures["bits_per_byte_low"] <= 0.1 <= figures["bits_per_byte_high"]
    assert 0.92 <= covered / 400 <= 0.98


def test_the_interval_of_a_mean_has_the_width_of_its_standard_error():
    values = np.random.default_rng(0).normal(5, 2, 400)
    figures = mean_interval("value", values, 4000, seed=0)
    assert figures["value"] == pytest.approx(values.mean())
    assert figures["value_high"] - figures["value_low"] == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.08)
