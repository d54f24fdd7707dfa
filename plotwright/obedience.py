"""Does the model obey a requested genre? A reader trained on human plots says what genre a text looks like."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from plotwright.genres import UNKNOWN

FEWEST = 5  # training plots of a genre from which on it can be learnt


class GenreReader:
    """TF-IDF over words and logistic regression, trained on the training plots whose genre is known.

    genres: those that it tells apart, in the order of its probabilities.
    """

    def __init__(self, train: pd.DataFrame, seed: int):
        """`train` has the columns genre and text; at least two of its genres must be learnable."""
        known = train[train["genre"].isin(learnable_genres(train))]
        self._pipeline = make_pipeline(
            TfidfVectorizer(sublinear_tf=True, min_df=2, stop_words="english"),
            # Balanced: texts are requested equally often of every genre, while half the plots are of three genres.
            LogisticRegression(C=10.0, class_weight="balanced", max_iter=500, random_state=seed),
        )
        self._pipeline.fit(known["text"], known["genre"])
        self.genres: list[str] = self._pipeline.classes_.tolist()

    def probabilities(self, texts: Sequence[str]) -> npt.NDArray[np.float64]:
        """The probability of each genre, shape (texts, genres)."""
        return np.asarray(self._pipeline.predict_proba(list(texts)))

    def read(self, texts: Sequence[str]) -> list[str]:
        """The likeliest genre of each text."""
        return [self.genres[place] for place in self.probabilities(texts).argmax(axis=1)]


def learnable_genres(train: pd.DataFrame) -> list[str]:
    """The genres but UNKNOWN with at least FEWEST training plots, in alphabetical order."""
    counts = train["genre"].value_counts()
    return sorted(genre for genre in counts.index[counts >= FEWEST] if genre != UNKNOWN)


def requested_probability(reader: GenreReader, texts: Sequence[str], requested: Sequence[str]) -> np.ndarray:
    """The reader's probability of the genre that each text was requested in, shape (texts,)."""
    places = [reader.genres.index(genre) for genre in requested]
    return reader.probabilities(texts)[np.arange(len(places)), places]
