"""Whatever a CSV holds, the data stages take it or refuse it in one sentence, and lose or double nothing."""

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from plotwright.documents import Documents
from plotwright.duplicates import find_runs
from plotwright.errors import PlotwrightError
from plotwright.genres import GENRES
from plotwright.packing import IGNORED, assemble, cut, pack
from plotwright.plots import clean_rows, draw, parse_year, plot_id, select, title_key
from plotwright.raw import RAW_COLUMNS, read_raw
from plotwright.scoring import windows_of
from plotwright.splitting import PARTS, find_groups, split_plots

# What a CSV in UTF-8 can carry: any Unicode but lone surrogates and null bytes.
FIELD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
ROWS = st.lists(st.tuples(FIELD, FIELD, FIELD, FIELD), max_size=12)
PLOT = ("1999", "A Film", "drama", "A man walks into a bar.")
MANY = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def table(rows: list[tuple[str, str, str, str]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(RAW_COLUMNS), dtype=object)


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")))
@example(b"Release Year,Title,Genre,Plot\n" + b'"' * 99)
@example(b"Release Year,Title,Genre,Plot\n,,,\n")
@example("Release Year,Title,Genre,Plot\n1,a,b,c".encode("utf-16"))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_table_or_are_refused_in_one_sentence(tmp_path_factory, data):
    path = Path(tmp_path_factory.getbasetemp()) / "any.csv"
    path.write_bytes(data)
    try:
        raw = read_raw(path)
    except PlotwrightError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
    else:
        assert tuple(raw.columns) == RAW_COLUMNS
        assert len(raw) > 0


@given(ROWS.filter(bool))
@settings(max_examples=60, deadline=None)
def test_what_pandas_wrote_is_read_as_it_was(tmp_path_factory, rows):
    path = Path(tmp_path_factory.getbasetemp()) / "written.csv"
    # A bare carriage return is written unquoted by pandas and would end a row.
    rows = [tuple(field.replace("\r", "") for field in row) for row in rows]
    table(rows).to_csv(path, index=False)
    read = read_raw(path).fillna("")
    assert list(read.itertuples(index=False, name=None)) == rows


@given(ROWS, st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_every_row_is_kept_or_counted_as_dropped_and_ids_do_not_depend_on_the_other_rows(rows, min_words):
    rows = [*rows, PLOT]
    cleaned = clean_rows(table(rows))
    kept, dropped = select(cleaned, min_words)
    assert len(kept) + sum(dropped.values()) == len(rows)
    assert set(kept["id"]) <= set(cleaned["id"])
    assert kept["id"].is_unique and kept["text"].is_unique
    assert set(kept["genre"]) <= set(GENRES)
    parts = (rows[: len(rows) // 2], rows[len(rows) // 2 :])
    assert [row for part in parts for row in clean_rows(table(part))["id"]] == cleaned["id"].tolist()


@pytest.mark.parametrize("rows", [[], [("1999", "A Film", "drama", "")], [("1999", "", "drama", "A plot.")]])
def test_a_table_of_which_nothing_is_left_is_counted_like_any_other(rows):
    kept, dropped = select(clean_rows(table(rows)), 1)
    assert len(kept) + sum(dropped.values()) == len(rows)


@given(ROWS, st.randoms(use_true_random=False), st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_neither_ids_nor_choice_depend_on_the_order_of_rows(rows, random, limit):
    rows = [*rows, PLOT]
    shuffled = random.sample(rows, len(rows))
    one, other = (draw(select(clean_rows(table(order)), 1)[0], limit, 7) for order in (rows, shuffled))
    assert one["id"].tolist() == other["id"].tolist()
    assert one["text"].tolist() == other["text"].tolist()


@given(FIELD)
def test_every_title_but_a_blank_one_has_a_key(title):
    assert bool(title_key(title)) == bool(title.strip())


@given(FIELD)
def test_any_year_is_four_digits_or_missing(raw):
    year = parse_year(raw)
    assert year is None or 1000 <= year <= 2999


@given(FIELD, FIELD)
def test_an_id_is_sixteen_hexadecimal_digits(title, text):
    assert int(plot_id(title, None, text), 16) >= 0
    assert len(plot_id(title, None, text)) == 16


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2, 500, 3000]), st.sampled_from([8, 64, 512]))
@MANY
def test_thousands_of_documents_are_packed_without_a_labelled_token_lost_or_doubled(seed, number, block_size):
    random = np.random.default_rng(seed)
    lengths = random.geometric(1 / 60, number) + 1
    starts = np.concatenate([[0], np.cumsum(lengths)])
    documents = Documents(np.arange(1, starts[-1] + 1), starts, random.integers(0, np.minimum(lengths, 5)))
    predicted: Counter[int] = Counter()
    for block in pack(cut(documents.lengths, block_size), block_size):
        labels = assemble(documents, block, block_size)["labels"]
        predicted.update(labels[labels != IGNORED].tolist())
    expected = [token for index in range(number) for token in documents[index][max(1, documents.label_from[index]) :]]
    assert predicted == Counter(map(int, expected))


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2000]), st.integers(2, 64))
@MANY
def test_thousands_of_documents_are_scored_each_token_once(seed, number, window):
    random = np.random.default_rng(seed)
    lengths = random.geometric(1 / 60, number) + 1
    starts = np.concatenate([[0], np.cumsum(lengths)])
    documents = Documents(np.zeros(starts[-1], int), starts, random.integers(0, np.minimum(lengths, 5)))
    scored = np.zeros(starts[-1], dtype=int)
    for part in windows_of(documents, window, max(1, window // 2)):
        scored[starts[part.document] + part.scored_from : starts[part.document] + part.end] += 1
    first = np.repeat(starts[:-1] + np.maximum(1, documents.label_from), lengths)
    assert (scored == (np.arange(starts[-1]) >= first)).all()


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 3, 40, 2000]))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_thousands_of_plots_are_split_into_disjoint_and_complete_parts(seed, number):
    random = np.random.default_rng(seed)
    plots = pd.DataFrame(
        {
            "id": [f"{row:016x}" for row in random.permutation(number)],
            "title": [f"Film {random.integers(0, 3 * number)}" for _ in range(number)],
            "genre": random.choice(list(GENRES), number),
            "text": [" ".join(map(str, random.integers(0, 10**6, 14))) for _ in range(number)],
        }
    )
    groups = find_groups(plots["title"].tolist(), find_runs(plots["text"].tolist())) if number else np.array([], int)
    if len(np.unique(groups)) < len(PARTS):
        with pytest.raises(PlotwrightError, match="at least 3 plots of different stories"):
            split_plots(plots, groups, 0.1, 0.1, 5)
        return
    parts = split_plots(plots, groups, 0.1, 0.1, 5)
    assert parts.index.equals(plots.index) and parts.isin(PARTS).all()
    assert set(parts) == set(PARTS)
    assert parts.groupby(groups).nunique().max() == 1
