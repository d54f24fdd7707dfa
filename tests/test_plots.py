"""The prepared table depends on the plots alone: not on the order of rows, not on the limit."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plotwright.errors import PlotwrightError
from plotwright.plots import COLUMNS, clean_rows, clean_title, draw, read_plots, select, title_key, write_plots


def raw_rows(number: int) -> pd.DataFrame:
    random = np.random.default_rng(number)
    return pd.DataFrame(
        {
            "Release Year": [str(1900 + row % 100) for row in range(number)],
            "Title": [f"Film {row}" for row in range(number)],
            "Genre": [("drama", "comedy", "unknown")[row % 3] for row in range(number)],
            "Plot": [" ".join(f"w{word}" for word in random.integers(0, 10**6, 40)) for _ in range(number)],
        }
    )


def prepare(raw: pd.DataFrame, limit: int | None = None, seed: int = 0) -> pd.DataFrame:
    return draw(select(clean_rows(raw), min_words=5)[0], limit, seed)


@given(st.permutations(range(12)), st.sampled_from([None, 5]))
@settings(max_examples=20, deadline=None)
def test_ids_and_choice_do_not_depend_on_row_order(order, limit):
    raw = raw_rows(10)
    raw = pd.concat([raw, raw.head(2).assign(Title="Another name", Genre="unknown")], ignore_index=True)
    pd.testing.assert_frame_equal(prepare(raw.iloc[order], limit), prepare(raw, limit))


def test_a_smaller_draw_is_part_of_a_larger_one_and_another_seed_draws_others():
    raw = raw_rows(60)
    small, large, other = prepare(raw, 20), prepare(raw, 40), prepare(raw, 20, seed=1)
    assert set(small["id"]) < set(large["id"]) < set(prepare(raw)["id"])
    assert set(small["id"]) != set(other["id"])


def test_an_id_depends_on_the_plot_alone():
    raw = raw_rows(10)
    assert prepare(raw.tail(1))["id"].isin(prepare(raw)["id"]).all()


def test_of_equal_texts_the_row_with_a_genre_and_a_year_stays():
    raw = raw_rows(1)
    raw = pd.concat([raw.assign(Genre="unknown"), raw.assign(Genre="horror"), raw.assign(**{"Release Year": None})])
    table, dropped = select(clean_rows(raw), min_words=5)
    assert dropped["exact_duplicate"] == 2
    assert (table["genre"].tolist(), table["year"].tolist()) == (["horror"], [1900])


def test_each_reason_to_drop_a_row_is_counted():
    raw = raw_rows(8)
    raw.loc[0, "Title"] = None
    raw.loc[1, "Plot"] = None
    raw.loc[2, "Plot"] = "No plot is available."
    raw.loc[3, "Plot"] = "Too short."
    raw.loc[4, "Plot"] = raw.loc[5, "Plot"]
    raw.loc[6, "Plot"] = raw.loc[7, "Plot"] + " And more."
    dropped = select(clean_rows(raw), min_words=5)[1]
    assert dropped == {
        "title_missing": 1,
        "plot_missing": 1,
        "says_no_plot": 1,
        "too_short": 1,
        "exact_duplicate": 1,
        "near_duplicate": 1,
    }


def test_a_year_that_is_none_is_missing():
    raw = raw_rows(4).assign(**{"Release Year": ["1999", "1984.0", "unknown", None]})
    assert clean_rows(raw)["year"].tolist() == [1999, 1984, pd.NA, pd.NA]


@pytest.mark.parametrize(
    "title",
    ["The Thing", "Thing, The", "the thing!", "Thing (film)", "The Thing (1982 film)", "The Thing (1951)", "Thïng"],
)
def test_titles_of_remakes_share_a_key(title):
    assert title_key(title) == "thing"


@pytest.mark.parametrize(
    "title", ["Thing 2", "The Things", "A", "The", "", "!!!", "羅生門", "Charley's (Big-Hearted) Aunt"]
)
def test_other_titles_keep_a_key_of_their_own(title):
    assert title_key(title) != "thing"
    assert bool(title_key(title)) == bool(title)


def test_a_title_loses_disambiguation_and_line_breaks_only():
    assert clean_title("Lola\r\n (1981 film)") == "Lola"
    assert clean_title("Kiss Kiss (Bang Bang)") == "Kiss Kiss (Bang Bang)"


def test_a_written_table_has_the_columns_and_the_same_bytes_each_time(tmp_path):
    plots = prepare(raw_rows(5).assign(**{"Release Year": ["1999", "", "2001", "", "2003"]}))
    write_plots(tmp_path / "one.parquet", plots)
    write_plots(tmp_path / "two.parquet", plots.copy())
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    again = read_plots(tmp_path / "one.parquet")
    assert tuple(again.columns) == COLUMNS
    assert again["year"].dtype == "Int64"
    pd.testing.assert_frame_equal(again, plots[list(COLUMNS)], check_dtype=False)


def test_reading_what_is_no_table_is_explained(tmp_path):
    with pytest.raises(PlotwrightError, match="there is no"):
        read_plots(tmp_path / "none.parquet")
    (tmp_path / "bad.parquet").write_bytes(b"no Parquet")
    with pytest.raises(PlotwrightError, match="cannot be read as Parquet"):
        read_plots(tmp_path / "bad.parquet")
    pd.DataFrame({"id": ["a"]}).to_parquet(tmp_path / "other.parquet")
    with pytest.raises(PlotwrightError, match="lacks the columns title"):
        read_plots(tmp_path / "other.parquet")
