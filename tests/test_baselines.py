"""Baselines that anybody can check by hand."""

import math
import zlib

import numpy as np
import pytest

from plotwright.baselines import gzip_bits, unigram_nats, xz_bits_per_byte
from plotwright.documents import join_documents


def documents(*token_lists: list[int]):
    return join_documents([(np.array([9]), np.array(tokens)) for tokens in token_lists])


def test_the_unigram_model_agrees_with_a_hand_computation():
    # Training counts: token 1 twice, token 2 once; add-one over a vocabulary of 10 makes 13.
    nats = unigram_nats(documents([1, 1, 2]), documents([1, 3], [2]), vocabulary=10)
    assert nats == pytest.approx([-math.log(3 / 13) - math.log(1 / 13), -math.log(2 / 13)])


def test_xz_needs_next_to_nothing_for_what_it_has_seen_and_much_for_noise():
    generator = np.random.default_rng(0)
    noise = ["".join(map(chr, generator.integers(97, 123, 4000))) for _ in range(2)]
    assert xz_bits_per_byte(noise[:1], noise[:1]) < 0.1
    assert 4 < xz_bits_per_byte(noise[:1], noise[1:]) < 6.5


def test_gzip_needs_next_to_nothing_for_what_its_dictionary_holds_and_as_much_as_zlib_without_one():
    generator = np.random.default_rng(0)
    seen, new = ("".join(map(chr, generator.integers(97, 123, 4000))) for _ in range(2))
    copied, noise, empty = gzip_bits([seen], [seen, new, ""])
    assert copied / 8 < 0.02 * len(seen)
    assert 4 < noise / len(new) < 6.5
    assert empty <= 16
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    assert gzip_bits([], [new])[0] == 8 * len(deflate.compress(new.encode()) + deflate.flush())
