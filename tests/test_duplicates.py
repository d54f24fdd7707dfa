"""Shared runs are found exactly, boilerplate links nothing, and the longer of two near duplicates stays."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from plotwright import duplicates
from plotwright.duplicates import COMMON, find_runs, linked_pairs, near_duplicates, words_of

# Few different words, so that runs of three are often shared, also within one text.
SMALL_TEXTS = st.lists(st.lists(st.sampled_from("ab"), max_size=9).map(" ".join), max_size=COMMON)


def story(seed: int, words: int) -> list[str]:
    """Words that no other seed shares in the same order."""
    return [f"w{number}" for number in np.random.default_rng(seed).integers(0, 10**6, words)]


def brute_force_runs(text: str, run_words: int) -> set[tuple[str, ...]]:
    words = words_of(text)
    if len(words) < run_words:
        return {tuple(words)} if words else set()
    return {tuple(words[start : start + run_words]) for start in range(len(words) - run_words + 1)}


def components(number: int, pairs: list[tuple[int, int]]) -> list[int]:
    """The smallest member of each item's component, by repeated relabelling."""
    label = list(range(number))
    for _ in range(number):
        for one, other in pairs:
            label[one] = label[other] = min(label[one], label[other])
    return label


@given(SMALL_TEXTS)
@settings(deadline=None)
def test_shared_runs_and_links_equal_a_comparison_of_all_pairs(texts):
    expected = [brute_force_runs(text, 3) for text in texts]
    runs = find_runs(texts, 3)
    held = [set(runs.run[runs.plot == plot].tolist()) for plot in range(len(texts))]
    pairs = list(itertools.combinations(range(len(texts)), 2))
    assert [len(runs_of_one) for runs_of_one in held] == [len(runs_of_one) for runs_of_one in expected]
    assert [len(held[a] & held[b]) for a, b in pairs] == [len(expected[a] & expected[b]) for a, b in pairs]
    linked = [(a, b) for a, b in pairs if expected[a] & expected[b]]
    found = [(int(a), int(b)) for a, b in linked_pairs(runs)]
    assert components(len(texts), found) == components(len(texts), linked)


def test_a_hash_collision_links_nothing(monkeypatch):
    hash_windows = duplicates._hash_windows
    seeds = []

    def collide_at_first(words, starts, run_words, seed):
        seeds.append(seed)
        return np.zeros(len(starts), np.uint64) if seed == 0 else hash_windows(words, starts, run_words, seed)

    monkeypatch.setattr(duplicates, "_hash_windows", collide_at_first)
    runs = find_runs([" ".join(story(1, 20)), " ".join(story(2, 20))])
    assert seeds == [0, 1]
    assert linked_pairs(runs).size == 0


def test_case_and_punctuation_do_not_hide_a_shared_run():
    assert len(linked_pairs(find_runs(["A b, c!", "x a B—c y"], 3))) == 1


def test_a_run_in_many_plots_is_boilerplate_and_links_nothing():
    opening = " ".join(story(0, 15))
    texts = [opening + " " + " ".join(story(seed, 30)) for seed in range(1, COMMON + 2)]
    assert len(linked_pairs(find_runs(texts[:COMMON]))) > 0
    assert len(linked_pairs(find_runs(texts))) == 0


def test_of_two_near_duplicates_the_longer_stays():
    words = story(1, 100)
    texts = [" ".join(words[:60] + story(2, 10)), " ".join(words), " ".join(story(3, 50))]
    assert near_duplicates(texts, ["a", "b", "c"]) == {0}


def test_texts_that_share_less_than_half_both_stay():
    words = story(1, 40)
    texts = [" ".join(words + story(2, 60)), " ".join(words + story(3, 80))]
    assert near_duplicates(texts, ["a", "b"]) == set()


def test_of_many_copies_one_stays_although_their_runs_are_in_many_plots():
    words = story(1, 100)
    texts = [" ".join([*words, f"ending{number}"]) for number in range(3 * COMMON)]
    assert len(near_duplicates(texts, [str(number) for number in range(len(texts))])) == len(texts) - 1


def test_texts_without_words_are_no_duplicates_of_each_other():
    assert near_duplicates(["", "...", ""], ["a", "b", "c"]) == set()
