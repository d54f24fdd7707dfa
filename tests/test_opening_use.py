"""The choice among ten continuations: chance is ten percent, and a model that reads the opening finds its own."""

import numpy as np
import pytest

from plotwright.documents import Plots, join_documents
from plotwright.opening_use import (
    RIVALS,
    choose,
    chosen_rightly,
    continuation_nats,
    long_enough,
    measure_opening_use,
)
from plotwright.scoring import token_nats


def test_rivals_are_of_the_same_genre_where_there_are_enough_and_never_the_plot_itself():
    genres = ["comedy"] * 12 + ["war"] * 3
    choices = choose(genres, np.ones(15, bool), np.ones(15, bool), 100, seed=0)
    assert choices is not None
    assert choices.asked.tolist() == list(range(15))
    for row in choices.candidates:
        assert len(set(row)) == 1 + RIVALS
        if row[0] < 12:
            assert (row < 12).all()
        else:
            assert sorted(row[row >= 12]) == [12, 13, 14]
    assert choices.of_same_genre == pytest.approx((12 * 9 + 3 * 2) / (15 * 9))


def test_only_test_plots_are_asked_and_only_long_ones_compete():
    fits, test = np.arange(30) % 2 == 0, np.arange(30) < 10
    choices = choose(["x"] * 30, fits, test, 3, seed=1)
    assert choices is not None
    assert len(choices.asked) == 3
    assert (choices.asked < 10).all()
    assert (choices.candidates % 2 == 0).all()


def test_too_few_plots_give_no_choice():
    assert choose(["x"] * 9, np.ones(9, bool), np.ones(9, bool), 5, seed=0) is None
    assert choose(["x"] * 20, np.ones(20, bool), np.zeros(20, bool), 5, seed=0) is None


def test_a_tie_is_shared_and_the_smallest_wins():
    own, rivals = np.array([1.0, 2.0, 3.0]), np.array([[2.0, 3.0], [2.0, 5.0], [1.0, 9.0]])
    assert chosen_rightly(own, rivals).tolist() == [1.0, 0.5, 0.0]


def test_a_scorer_that_goes_by_the_opening_is_right_and_one_that_does_not_is_right_by_chance(tokenizer, plots):
    read = Plots(plots, tokenizer)
    fits = long_enough(read, 8, 8)
    assert fits.sum() > 20
    choices = choose(plots["genre"].tolist(), fits, np.ones(len(plots), bool), 100, seed=0)
    assert choices is not None
    cue = len(read.cue)
    own = {tuple(text[:8]): tuple(text[8:16]) for text in read.texts}

    def knows(openings, ends):
        """Nats 0 for a plot's own continuation, 1 for any other; without an opening always 1."""
        return np.array(
            [
                [own.get(tuple(opening[cue:])) != tuple(end) for end in row]
                for opening, row in zip(openings, ends, strict=True)
            ],
            dtype=float,
        )

    def deaf(openings, ends):
        """Nats by the continuation alone."""
        return ends.sum(axis=2).astype(float)

    right = measure_opening_use(read, choices, 8, 8, knows)
    assert right.by_likelihood.mean() == right.by_gain.mean() == 1.0
    chance = measure_opening_use(read, choices, 8, 8, deaf)
    assert chance.by_gain.mean() == pytest.approx(0.1, abs=0.001)
    assert chance.by_likelihood.mean() < 0.35


def test_an_opening_read_once_for_all_its_continuations_scores_them_as_the_scorer_does(model):
    generator = np.random.default_rng(0)
    openings, ends = generator.integers(1, 300, (5, 9)), generator.integers(1, 300, (5, 3, 7))
    found = continuation_nats(model, openings, ends, batch_size=2)
    documents = join_documents([(opening, end) for opening, row in zip(openings, ends, strict=True) for end in row])
    expected = np.array([nats.sum() for nats in token_nats(model, documents, 64, 16, 4)]).reshape(5, 3)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert np.ptp(expected) > 0.5
