"""Kneser-Ney against the formulas written out one n-gram at a time."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plotwright.documents import Documents, join_documents
from plotwright.kneser_ney import FALLBACK, discounts, kneser_ney_nats

CORPUS = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=12), min_size=1, max_size=6)
Gram = tuple[object, ...]


def documents(token_lists: list[list[int]]) -> Documents:
    """A cue of two tokens, which is context only, before each list."""
    return join_documents([(np.array([7, 8]), np.array(tokens, dtype=int)) for tokens in token_lists])


def grams_of(tokens: list[int], size: int) -> list[Gram]:
    padded = ["begin"] * (size - 1) + tokens
    return [tuple(padded[at : at + size]) for at in range(len(tokens))]


class PlainKneserNey:
    """Equations 17 and 26 of Chen and Goodman (1999), looked up one n-gram at a time."""

    def __init__(self, training: list[list[int]], vocabulary: int, order: int):
        self.vocabulary, self.order = vocabulary, order
        self.counts: dict[int, Counter[Gram]] = {order: Counter(g for t in training for g in grams_of(t, order))}
        for size in range(order - 1, 0, -1):
            different = {gram for tokens in training for gram in grams_of(tokens, size + 1)}
            self.counts[size] = Counter(gram[1:] for gram in different)
        self.discounts = {size: discounts(np.array(list(self.counts[size].values()))) for size in self.counts}

    def probability(self, gram: Gram) -> float:
        if not gram:
            return 1 / self.vocabulary
        size = len(gram)
        lower = self.probability(gram[1:])
        following = [count for other, count in self.counts[size].items() if other[:-1] == gram[:-1]]
        if not following:
            return lower
        taken = [self.discounts[size][min(count, 3) - 1] for count in following]
        own = self.counts[size][gram]
        kept = own - self.discounts[size][min(own, 3) - 1] if own else 0
        return (kept + sum(taken) * lower) / sum(following)

    def nats(self, tokens: list[int]) -> float:
        return sum(-np.log(self.probability(gram)) for gram in grams_of(tokens, self.order))


@given(CORPUS, CORPUS, st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_document_nats_equal_the_formulas_one_n_gram_at_a_time(training, test, order):
    plain = PlainKneserNey(training, 6, order)
    found = kneser_ney_nats(documents(training), documents(test), 6, order)
    np.testing.assert_allclose(found, [plain.nats(tokens) for tokens in test], rtol=1e-9)


def test_estimated_discounts_and_not_only_the_fallback_agree_with_the_formulas():
    generator = np.random.default_rng(0)
    training = [(generator.zipf(1.5, 400) % 60).tolist() for _ in range(3)]
    test = [(generator.zipf(1.5, 40) % 60).tolist()]
    plain = PlainKneserNey(training, 61, 3)
    assert sum(plain.discounts[size] != FALLBACK for size in (1, 2, 3)) >= 2
    found = kneser_ney_nats(documents(training), documents(test), 61, 3)
    np.testing.assert_allclose(found, [plain.nats(test[0])], rtol=1e-9)


@pytest.mark.parametrize("context", [[], [0], [0, 1, 2], [5, 5, 5], [3, 0, 1, 2, 0]])
def test_the_probabilities_of_all_next_tokens_sum_to_one(context):
    training = documents([[0, 1, 2, 0, 1, 3], [0, 1, 2, 4], [2, 2, 0, 1, 2, 0, 1]])
    whole = kneser_ney_nats(training, documents([[*context, token] for token in range(6)]), 6)
    before = kneser_ney_nats(training, documents([context]), 6) if context else 0.0
    assert np.exp(before - whole).sum() == pytest.approx(1)


def test_discounts_agree_with_a_hand_computation():
    # Four n-grams seen once, two twice, one three times, one four times: rest = 4 / 8.
    assert discounts(np.array([1, 1, 1, 1, 2, 2, 3, 4])) == pytest.approx((1 - 0.5, 2 - 0.75, 3 - 2))


def test_a_text_it_has_read_costs_less_than_a_new_one_of_the_same_tokens():
    training = documents([[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]] * 3)
    read, shuffled = kneser_ney_nats(training, documents([[0, 1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1, 0]]), 10)
    assert read < shuffled / 3
