"""The sample corpus keeps the bounds that its data card promises."""

import re
from collections import Counter, defaultdict
from itertools import pairwise

import pandas as pd
import pytest
from conftest import ROOT

from plotwright.genres import normalise_genre

COLUMNS = ["Release Year", "Title", "Origin/Ethnicity", "Director", "Cast", "Genre", "Wiki Page", "Plot"]
WORD = re.compile(r"[A-Za-z']+")
# Capitalised words that are no names of persons.
NO_NAMES = {
    *("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December", "Christmas", "Easter"),
    *("Mrs", "Miss", "Madame", "Doctor", "Captain", "Sergeant", "Inspector", "Professor", "Father", "Uncle", "Aunt"),
}


@pytest.fixture(scope="module")
def sample() -> pd.DataFrame:
    return pd.read_csv(ROOT / "data/sample/plots.csv", dtype=str, keep_default_na=False)


@pytest.fixture(scope="module")
def words(sample) -> list[list[str]]:
    return [WORD.findall(plot) for plot in sample["Plot"]]


def runs_of(words: list[str], length: int) -> list[str]:
    """The runs of `length` words in one plot."""
    return [" ".join(words[i : i + length]).lower() for i in range(len(words) - length + 1)]


def shared_runs(words: list[list[str]], length: int) -> float:
    """The share of runs of `length` words that also stand in another plot."""
    plots_of = defaultdict(set)
    runs = [runs_of(ws, length) for ws in words]
    for plot, own in enumerate(runs):
        for run in own:
            plots_of[run].add(plot)
    flat = [run for own in runs for run in own]
    return sum(len(plots_of[run]) > 1 for run in flat) / len(flat)


def test_it_has_the_columns_of_the_wikipedia_file(sample):
    assert list(sample.columns) == COLUMNS
    assert (sample["Wiki Page"] == "").all()


def test_it_has_a_thousand_plots_with_titles_of_their_own(sample):
    assert len(sample) == 1000
    assert sample["Title"].str.casefold().nunique() == 1000


def test_plots_are_as_long_as_promised(sample):
    lengths = sample["Plot"].str.split().str.len()
    assert lengths.sum() >= 130_000
    assert lengths.min() >= 80
    assert lengths.max() <= 260


def test_plots_share_hardly_any_wording(words):
    assert shared_runs(words, 6) <= 0.005
    assert shared_runs(words, 8) <= 0.001


def test_openings_differ(words):
    openings = Counter(" ".join(ws[:3]).lower() for ws in words)
    assert len(openings) / len(words) >= 0.85
    assert openings.most_common(1)[0][1] / len(words) <= 0.02


def test_the_vocabulary_is_wide(words):
    first = [word.lower() for ws in words for word in ws][:50_000]
    assert len(set(first)) >= 6_500


def test_no_personal_name_is_a_favourite(words):
    """A name: capitalised inside a sentence, never in lower case, not right after "in", "at", "of" and the like."""
    lower = {word for ws in words for word in ws if word.islower()}
    places = Counter(
        following
        for ws in words
        for word, following in pairwise(ws)
        if word in {"in", "at", "from", "near", "of", "to", "the", "outside"}
    )
    names: Counter[str] = Counter()
    everywhere = Counter(word for ws in words for word in ws)
    for ws in words:
        names.update({w.removesuffix("'s") for w in ws[1:] if w[0].isupper() and len(w) > 2 and w.lower() not in lower})
    personal = {
        name: count for name, count in names.items() if name not in NO_NAMES and places[name] < 0.4 * everywhere[name]
    }
    favourite, count = max(personal.items(), key=lambda item: item[1])
    assert count <= 0.015 * len(words), favourite


def test_genres_years_and_origins_are_spread(sample):
    genres = sample["Genre"].map(normalise_genre).value_counts(normalize=True)
    known = genres.drop("unknown")
    assert len(known) >= 14
    assert known.max() <= 0.15
    assert known.min() >= 0.02
    years = sample["Release Year"].astype(int)
    assert years.min() >= 1910
    assert years.max() <= 2024
    assert years.floordiv(10).value_counts(normalize=True).max() <= 0.2
    assert sample["Origin/Ethnicity"].nunique() >= 15


def test_the_blemishes_of_the_real_file_are_there(sample):
    plots = sample["Plot"]
    assert plots.str.contains(r"\[\d+\]").sum() >= 8
    assert plots.str.contains("[citation needed]", regex=False).sum() >= 3
    assert plots.str.contains("\r\n", regex=False).sum() >= 8
    assert plots.str.contains(r"\S  +\S").sum() >= 5
    assert plots.str.contains("&amp;", regex=False).sum() >= 3
    assert (sample["Director"] == "Unknown").sum() >= 5


def test_the_plots_invented_for_the_base_are_others_than_the_sample(sample, words):
    invented = pd.read_csv(ROOT / "models/base/invented.csv", dtype=str, keep_default_na=False)
    assert list(invented.columns) == COLUMNS
    assert invented["Title"].str.casefold().nunique() == len(invented)
    assert not set(invented["Title"].str.casefold()) & set(sample["Title"].str.casefold())
    of_sample = {run for ws in words for run in runs_of(ws, 8)}
    for plot in invented["Plot"]:
        assert not of_sample & set(runs_of(WORD.findall(plot), 8))
