"""The genre reader learns what can be learnt, and reads requests."""

import numpy as np
import pandas as pd
import pytest

from plotwright.obedience import GenreReader, learnable_genres, requested_probability

WORDS = {
    "war": "soldier trench army battle",
    "western": "cowboy saddle ranch sheriff",
    "comedy": "joke prank clown pie",
}


def text(genre: str, seed: int) -> str:
    generator = np.random.default_rng(seed)
    return " ".join(generator.choice([*WORDS[genre].split(), "house", "letter", "morning"], 20))


@pytest.fixture(scope="module")
def train() -> pd.DataFrame:
    rows = [(genre, text(genre, 100 * place + seed)) for place, genre in enumerate(WORDS) for seed in range(20)]
    rows += [("unknown", text("war", 900 + seed)) for seed in range(20)] + [("musical", "a song")]
    return pd.DataFrame(rows, columns=["genre", "text"])


def test_rare_and_unknown_genres_are_not_learnt(train):
    assert learnable_genres(train) == ["comedy", "war", "western"]
    assert GenreReader(train, 0).genres == ["comedy", "war", "western"]


def test_new_texts_are_read_as_what_they_are(train):
    requested = [genre for genre in WORDS for _ in range(5)]
    texts = [text(genre, 5000 + number) for number, genre in enumerate(requested)]
    reader = GenreReader(train, 0)
    assert reader.read(texts) == requested
    assert reader.probabilities(texts).sum(axis=1) == pytest.approx(1)
    assert (requested_probability(reader, texts, requested) > 0.5).all()
    assert (requested_probability(reader, texts, ["war"] * 15)[5:] < 0.5).all()
