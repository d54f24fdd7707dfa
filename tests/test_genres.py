"""Every spelling is read as exactly one of the documented genres."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plotwright.genres import GENRES, WORDS, normalise_genre, unread_spellings


@given(st.text())
def test_any_text_is_read_as_one_of_the_genres(raw):
    assert normalise_genre(raw) in GENRES


@given(st.lists(st.sampled_from(GENRES), min_size=1, max_size=4), st.sampled_from(["/", ", ", " & ", "; "]))
def test_the_first_part_counts_but_drama_and_unknown_yield(genres, separator):
    strong = [genre for genre in genres if genre not in ("drama", "unknown")]
    expected = strong[0] if strong else "drama" if "drama" in genres else "unknown"
    assert normalise_genre(separator.join(genres)) == expected


@pytest.mark.parametrize(
    ("raw", "genre"),
    [
        ("Comedy", "comedy"),
        ("comedy/drama", "comedy"),
        ("drama, crime", "crime"),
        ("crime drama, comedy", "crime"),
        ("romantic comedy", "comedy"),
        ("romantic drama", "romance"),
        ("rom-com", "comedy"),
        ("action–comedy", "comedy"),
        ("comedy western", "western"),
        ("sci-fi", "science fiction"),
        ("Science-Fiction horror", "horror"),
        ("World War II drama", "war"),
        ("musical comedy", "musical"),
        ("sword and sandal", "historical"),
        ("film noir[1]", "crime"),
        ("biopic", "historical"),
        ("masala", "action"),
        ("social", "drama"),
        ("mythological", "fantasy"),
        ("kaiju", "science fiction"),
        ("wuxia", "action"),
        ("anime", "animation"),
        ("spy/action", "thriller"),
        ("slasher", "horror"),
        ("sports", "drama"),
        ("silent short", "unknown"),
        ("documentary", "unknown"),
        ("war documentary", "war"),
        ("", "unknown"),
        ("reese witherspoon", "unknown"),
        ("warning", "unknown"),
    ],
)
def test_known_spellings(raw, genre):
    assert normalise_genre(raw) == genre


def test_a_word_of_the_table_means_one_genre_and_is_read_as_it():
    words = [(" ".join(word.split()), genre) for genre, listed in WORDS.items() for word in listed.split(",")]
    assert len({word for word, _ in words}) == len(words)
    assert [word for word, genre in words if normalise_genre(word) != genre] == []


def test_only_spellings_without_a_known_word_count_as_unread():
    assert unread_spellings(["drama", "short", "reese witherspoon", " ", "unknown"]) == ["reese witherspoon"]
