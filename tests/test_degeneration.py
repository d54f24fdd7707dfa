"""The measures of degenerate text, against hand computations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plotwright.degeneration import (
    LOOP_TIMES,
    LOOP_WORDS,
    MEASURES,
    Sample,
    distance,
    distinct,
    grid,
    loops,
    measure,
    measure_beside,
    name_of,
    repeated,
    wilson,
    yardstick,
)
from plotwright.sampling import check_sampling

OWN = check_sampling(temperature=0.8, top_k=50, top_p=0.95, min_p=0.0, repetition_penalty=1.0, max_new_tokens=99)
KNOWN = frozenset(f"w{number}" for number in range(90))


def test_distinct_and_repeated_agree_with_a_hand_computation():
    assert distinct([["a", "b", "a"], ["a", "b"]], 1) == pytest.approx(2 / 5)
    assert distinct([["a", "b", "a"], ["a", "b"]], 2) == pytest.approx(2 / 3)
    assert repeated(["a", "b", "c", "d", "a", "b", "c", "d"], 4) == pytest.approx(1 / 5)
    assert repeated(["a"], 4) == 0.0


@given(st.lists(st.sampled_from("abc"), max_size=40))
@settings(max_examples=300, deadline=None)
def test_a_loop_is_a_run_three_times_in_a_row_wherever_it_stands(words):
    expected = any(
        words[at : at + size] * LOOP_TIMES == words[at : at + size * LOOP_TIMES]
        for size in range(1, LOOP_WORDS + 1)
        for at in range(len(words) - size * LOOP_TIMES + 1)
    )
    assert loops(words) == expected


def test_measures_count_ends_and_words_and_bear_empty_texts():
    figures = measure([Sample("One two three.", True), Sample("", False)], {"one", "two"})
    assert tuple(figures) == MEASURES
    assert (figures["end_share"], figures["words"], figures["loop_rate"]) == (0.5, 1.5, 0.0)
    assert figures["unseen_words"] == pytest.approx((1 / 3 + 0) / 2)


def human_texts(number: int) -> list[Sample]:
    return [Sample(" ".join(f"w{(seed * 31 + i * i) % 97}" for i in range(60)), True) for seed in range(number)]


def test_looping_texts_are_farther_from_human_ones_than_other_human_texts():
    human = human_texts(40)
    usual = yardstick(human, 10, KNOWN, seed=0)
    looping = [Sample("he said that " * 20, False)] * 10
    assert distance(measure(human[:10], KNOWN), usual.mean, usual.deviation) < 3
    assert distance(measure(looping, KNOWN), usual.mean, usual.deviation) > 10
    assert usual.own_distance < 3


def test_the_intervals_of_the_measures_are_those_of_a_mean_where_a_measure_is_one():
    generator = np.random.default_rng(0)
    samples = [Sample(" ".join(["word"] * number), number % 2 == 0) for number in generator.integers(20, 90, 50)]
    usual = yardstick(human_texts(40), 10, KNOWN, seed=0)
    figures = measure_beside(samples, usual, KNOWN)
    words = np.array([len(sample.text.split()) for sample in samples])
    error = 1.96 * words.std(ddof=1) / np.sqrt(50)
    assert figures["words_low"] == pytest.approx(words.mean() - error)
    assert figures["words_high"] == pytest.approx(words.mean() + error)
    assert figures["distance"] == pytest.approx(distance(measure(samples, KNOWN), usual.mean, usual.deviation))
    for name in (*MEASURES, "distance"):
        assert figures[f"{name}_low"] <= figures[name] <= figures[f"{name}_high"]


def test_intervals_of_distinct_runs_hold_what_other_texts_of_the_same_kind_show():
    generator = np.random.default_rng(1)

    def draw() -> list[Sample]:
        return [Sample(" ".join(f"w{n}" for n in generator.zipf(1.6, 60) % 400), True) for _ in range(12)]

    usual = yardstick(draw(), 6, KNOWN, seed=0)
    true = np.mean([measure(draw(), KNOWN)["distinct_1"] for _ in range(60)])
    found = [measure_beside(draw(), usual, KNOWN) for _ in range(40)]
    covered = np.mean([figures["distinct_1_low"] <= true <= figures["distinct_1_high"] for figures in found])
    assert 0.85 <= covered <= 1


def test_the_interval_of_a_share_is_wilsons():
    assert wilson(0.0, 24) == pytest.approx((0, 0.1380), abs=1e-4)
    assert wilson(0.5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(1.0, 1)[1] == 1.0


def test_other_human_texts_are_as_far_from_the_yardstick_as_it_says_however_few_it_was_made_from():
    generator = np.random.default_rng(2)

    def draw(number: int) -> list[Sample]:
        texts = [[f"w{n}" for n in generator.zipf(1.4, generator.integers(40, 80)) % 400] for _ in range(number)]
        return [Sample(" ".join(words), len(words) % 3 > 0) for words in texts]

    own, found = [], []
    for _ in range(15):
        usual = yardstick(draw(30), 15, KNOWN, seed=0)
        own.append(usual.own_distance)
        found += [distance(measure(draw(15), KNOWN), usual.mean, usual.deviation) for _ in range(10)]
    assert np.mean(found) == pytest.approx(np.mean(own), rel=0.15)


def test_the_yardstick_is_the_same_for_the_same_seed():
    human = [Sample(f"word{seed} and {'more ' * seed}", seed % 2 == 0) for seed in range(20)]
    assert yardstick(human, 5, KNOWN, seed=3) == yardstick(human, 5, KNOWN, seed=3)


def test_the_grid_begins_with_the_own_settings_and_names_each_once():
    settings = grid(OWN)
    assert next(iter(settings.values())) == OWN
    assert len(set(settings.values())) == len(settings)
    assert all(setting.max_new_tokens == 99 for setting in settings.values())
    assert name_of(OWN) == "temperature 0.8, top-k 50, top-p 0.95"
