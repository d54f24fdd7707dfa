"""Every plot is in exactly one part, stories are never divided, and the shares are met."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plotwright.duplicates import COMMON, RUN_WORDS, find_runs
from plotwright.errors import PlotwrightError
from plotwright.splitting import PARTS, describe_split, find_groups, measure_leakage, split_plots


def made_up(genres: list[str], seed: int = 0) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "id": [f"{number:016x}" for number in random.permutation(len(genres))],
            "title": [f"Film {row}" for row in range(len(genres))],
            "year": pd.array([2000] * len(genres), dtype="Int64"),
            "genre": genres,
            "text": [" ".join(f"w{word}" for word in random.integers(0, 10**6, 30)) for _ in genres],
        }
    )


def thousand() -> tuple[pd.DataFrame, np.ndarray]:
    """1,000 plots of uneven genres, some 200 of them in groups of two to four."""
    random = np.random.default_rng(3)
    genres = random.choice(["drama", "comedy", "horror", "war", "family"], 1000, p=[0.5, 0.3, 0.15, 0.04, 0.01])
    groups = np.concatenate([np.arange(800), random.integers(0, 100, 200)])
    return made_up(genres.tolist()), groups


@given(
    st.lists(st.tuples(st.sampled_from(["drama", "comedy", "war"]), st.integers(0, 30)), min_size=1, max_size=60),
    st.sampled_from([(0.1, 0.1), (0.2, 0.05), (0.45, 0.5), (0.01, 0.9)]),
    st.integers(0, 3),
)
@settings(deadline=None, max_examples=60)
def test_parts_are_disjoint_complete_filled_and_never_divide_a_group(rows, shares, seed):
    plots = made_up([genre for genre, _ in rows])
    groups = np.unique([group for _, group in rows], return_inverse=True)[1]
    if groups.max() < 2:
        with pytest.raises(PlotwrightError, match="at least 3 plots of different stories"):
            split_plots(plots, groups, *shares, seed)
        return
    parts = split_plots(plots, groups, *shares, seed)
    assert parts.index.equals(plots.index)
    assert set(parts) == set(PARTS)
    assert parts.groupby(groups).nunique().max() == 1


@pytest.mark.parametrize(("validation", "test"), [(0.1, 0.1), (0.05, 0.15), (0.3, 0.3)])
def test_sizes_are_within_a_percent_and_genres_within_two(validation, test):
    plots, groups = thousand()
    parts = split_plots(plots, groups, validation, test, seed=1)
    assert (parts == "validation").mean() == pytest.approx(validation, abs=0.01)
    assert (parts == "test").mean() == pytest.approx(test, abs=0.01)
    shares = pd.crosstab(plots["genre"], parts, normalize="columns")
    assert (shares.sub(shares["train"], axis=0)).abs().max().max() < 0.02


def test_several_plot_groups_are_in_every_part():
    plots, groups = thousand()
    parts = split_plots(plots, groups, 0.1, 0.1, seed=1)
    of_several = pd.Series(groups).map(pd.Series(groups).value_counts()) > 1
    assert set(parts[of_several]) == set(PARTS)


def test_the_split_depends_on_the_seed_and_not_on_row_order():
    plots, groups = thousand()
    parts = split_plots(plots, groups, 0.1, 0.1, seed=1)
    order = np.random.default_rng(0).permutation(len(plots))
    relabelled = 5000 - groups[order]
    shuffled = split_plots(plots.iloc[order], np.unique(relabelled, return_inverse=True)[1], 0.1, 0.1, seed=1)
    pd.testing.assert_series_equal(shuffled.sort_index(), parts)
    assert not parts.equals(split_plots(plots, groups, 0.1, 0.1, seed=2))


@pytest.mark.parametrize("number", [1, 2])
def test_fewer_than_three_plots_are_refused_in_one_sentence(number):
    plots = made_up(["drama"] * number)
    with pytest.raises(PlotwrightError, match=f"at least 3 plots of different stories, and there are {number} "):
        split_plots(plots, np.arange(number), 0.1, 0.1, seed=0)


def test_fewer_plots_than_genres_still_fill_every_part():
    plots = made_up(["drama", "war", "comedy", "family"])
    assert sorted(split_plots(plots, np.arange(4), 0.1, 0.1, seed=0)) == ["test", "train", "train", "validation"]


def test_a_group_too_large_for_a_part_trains():
    plots = made_up(["drama"] * 100)
    groups = np.concatenate([np.zeros(60, int), np.arange(1, 41)])
    parts = split_plots(plots, groups, 0.1, 0.1, seed=0)
    assert set(parts[:60]) == {"train"}
    assert parts.value_counts()["test"] == 10


def test_remakes_and_shared_runs_are_grouped_also_through_a_third_plot():
    plots = made_up(["drama"] * 5)
    plots.loc[1, "title"] = "The Film 0 (1999 film)"
    plots.loc[2, "text"] += " " + " ".join(plots.loc[1, "text"].split()[:RUN_WORDS])
    groups = find_groups(plots["title"].tolist(), find_runs(plots["text"].tolist()))
    assert groups[0] == groups[1] == groups[2]
    assert len(set(groups[[0, 3, 4]])) == 3


def test_leakage_is_measured_including_boilerplate_that_links_nothing():
    number = COMMON + 5
    plots = made_up(["drama"] * number)
    boilerplate = " ".join(f"b{word}" for word in range(RUN_WORDS))
    plots["text"] += " " + boilerplate
    runs = find_runs(plots["text"].tolist())
    parts = split_plots(plots, find_groups(plots["title"].tolist(), runs), 0.2, 0.2, seed=0)
    leakage = measure_leakage(plots, parts, runs)["test"]
    assert leakage["shared_13_word_run"] == 1
    assert leakage["same_title_in_train"] == 0
    # 43 words make 36 runs of 8, and the 13 boilerplate words make 6 of them.
    assert leakage["mean_share_of_8_word_runs"] == pytest.approx(6 / 36, abs=1e-6)
    assert leakage["overlapping_in_8_word_runs"] == 1


def test_a_twin_title_in_train_would_be_reported():
    plots = made_up(["drama"] * 4)
    plots.loc[3, "title"] = "Film 0 (film)"
    parts = pd.Series(["train", "train", "validation", "test"])
    leakage = measure_leakage(plots, parts, find_runs(plots["text"].tolist()))
    assert (leakage["test"]["same_title_in_train"], leakage["validation"]["same_title_in_train"]) == (1, 0)


def test_the_description_counts_every_plot_once():
    plots, groups = thousand()
    parts = split_plots(plots, groups, 0.1, 0.1, seed=1)
    described = describe_split(plots, groups, parts)
    assert sum(described["plots"].values()) == 1000
    assert {part: sum(described["genres"][part].values()) for part in PARTS} == described["plots"]
    assert described["groups"]["count"] == len(np.unique(groups))
