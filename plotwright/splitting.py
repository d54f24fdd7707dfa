"""Train, validation and test: stratified by genre, and no story on two sides."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.model_selection import train_test_split

from plotwright.duplicates import RUN_WORDS, Runs, find_runs, linked_pairs
from plotwright.errors import PlotwrightError
from plotwright.genres import GENRES
from plotwright.plots import title_key

PARTS = ("train", "validation", "test")
# Groups above this share of the plots wanted in a part always train: one of them would decide a part's size and genres.
LARGE = 0.1
# Runs of this many words are below what links two plots; what of them is left between the parts is reported.
SHORT_RUN_WORDS = 8
# A plot that has more than this share of its short runs in the training plots counts as overlapping.
OVERLAPPING = 0.05

IntArray = npt.NDArray[np.integer]


def _title_pairs(titles: Sequence[str]) -> IntArray:
    """Each plot paired with the next of the same title key, shape [pairs, 2]."""
    keys = pd.Series([title_key(title) for title in titles])
    order = keys.sort_values(kind="stable")
    same = order.to_numpy()[1:] == order.to_numpy()[:-1]
    positions = order.index.to_numpy()
    return np.stack([positions[:-1][same], positions[1:][same]], axis=1)


def find_groups(titles: Sequence[str], runs: Runs) -> IntArray:
    """A group number for each plot, shape [plots]; plots of one group tell, or may tell, the same story.

    Two plots are linked by the same title key or by a shared run of words (see duplicates.linked_pairs), and links
    reach through third plots.
    """
    pairs = np.concatenate([_title_pairs(titles), linked_pairs(runs)])
    graph = coo_array((np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(len(titles), len(titles)))
    return connected_components(graph, directed=False)[1]


def _summarise(plots: pd.DataFrame) -> pd.DataFrame:
    """One row a group: `size` in plots, the `id` and `genre` of its first plot by id; sorted by that id."""
    by_group = plots.sort_values("id").groupby("group")
    return by_group.agg(size=("id", "size"), genre=("genre", "first"), id=("id", "first")).sort_values("id")


def _sample(groups: pd.DataFrame, number: int, seed: int) -> IntArray:
    """The numbers of `number` of the groups, at most all, drawn with the seed."""
    members = groups.index.to_numpy()
    if number <= 0 or number >= len(members):
        return members[: max(number, 0)]
    return train_test_split(members, test_size=number, random_state=seed)[1]


def _apportion(quotas: pd.Series, total: int, available: pd.Series) -> pd.Series:
    """Whole numbers nearest to `quotas`, none below 0 or above `available`, that sum to `total` if enough is there."""
    numbers = np.floor(quotas).clip(0, available).astype(int)
    total = max(0, min(total, int(available.sum())))
    while numbers.sum() < total:
        numbers[(quotas - numbers).where(numbers < available).idxmax()] += 1
    while numbers.sum() > total:
        numbers[(numbers - quotas).where(numbers > 0).idxmax()] -= 1
    return numbers


def _draw_part(plots: pd.DataFrame, wanted: int, seed: int) -> IntArray:
    """The numbers of groups that together hold `wanted` of `plots`, in the genres' proportions.

    Groups of several plots are drawn first, in their own share; single plots then fill each genre up.
    """
    groups = _summarise(plots)
    several, single = groups[groups["size"] > 1], groups[groups["size"] == 1]
    small_enough = several[several["size"] <= LARGE * wanted]
    drawn = _sample(small_enough, round(wanted / len(plots) * len(several)), seed)
    held = plots.loc[plots["group"].isin(drawn), "genre"].value_counts()
    genres = plots["genre"].value_counts().sort_index()
    quotas = genres * (wanted / len(plots)) - held.reindex(genres.index, fill_value=0)
    available = single["genre"].value_counts().reindex(genres.index, fill_value=0)
    numbers = _apportion(quotas, wanted - int(held.sum()), available)
    filling = [_sample(single[single["genre"] == genre], number, seed) for genre, number in numbers.items()]
    drawn = np.concatenate([drawn, *filling])
    # Only a few plots, none of them single, can leave this empty.
    return drawn if len(drawn) else groups.sort_values(["size", "id"]).index.to_numpy()[:1]


def split_plots(plots: pd.DataFrame, groups: IntArray, validation: float, test: float, seed: int) -> pd.Series:
    """The part of PARTS that each plot belongs to, stratified by genre; groups are never divided.

    Depends on the plots and the seed, not on the plots' order. Sizes are exact, and each genre's within a plot or two,
    as long as enough plots stand alone. Raises PlotwrightError when there are fewer than three groups.
    """
    number = len(np.unique(groups))
    if number < len(PARTS):
        raise PlotwrightError(
            f"train, validation and test need at least {len(PARTS)} plots of different stories, and there are "
            f"{number} (of {len(plots)} plots); add plots, or raise data.limit or lower data.min_words."
        )
    named = plots[["id", "genre"]].assign(group=groups, part="train")
    for still_empty, name, share in ((2, "test", test), (1, "validation", validation)):
        rest = named[named["part"] == "train"]
        wanted = min(max(1, round(share * len(plots))), rest["group"].nunique() - still_empty)
        named.loc[named["group"].isin(_draw_part(rest, wanted, seed)), "part"] = name
    return named["part"]


def _share_in_train(runs: Runs, parts: npt.NDArray[np.object_]) -> npt.NDArray[np.float64]:
    """The share of each plot's distinct runs that training plots hold too, shape [plots]; 0 for a plot without runs."""
    in_train = np.zeros(int(runs.run.max(initial=-1)) + 1, dtype=bool)
    in_train[runs.run[parts[runs.plot] == "train"]] = True
    held = np.bincount(runs.plot, weights=in_train[runs.run], minlength=len(parts))
    return held / np.maximum(runs.count_per_plot(len(parts)), 1)


def measure_leakage(plots: pd.DataFrame, parts: pd.Series, runs: Runs) -> dict[str, dict[str, float]]:
    """What validation and test share with train, as shares of the part's plots unless the name says otherwise.

    `runs` are those that linked the plots; boilerplate, which links nothing, is counted here.
    """
    names = parts.to_numpy(dtype=object)
    keys = np.array([title_key(title) for title in plots["title"]], dtype=object)
    twin = np.isin(keys, np.unique(keys[names == "train"]))
    long_runs = _share_in_train(runs, names)
    short_runs = _share_in_train(find_runs(plots["text"].tolist(), SHORT_RUN_WORDS), names)
    measures = {
        "same_title_in_train": twin,
        f"shared_{RUN_WORDS}_word_run": long_runs > 0,
        f"overlapping_in_{SHORT_RUN_WORDS}_word_runs": short_runs > OVERLAPPING,
        f"mean_share_of_{SHORT_RUN_WORDS}_word_runs": short_runs,
    }
    return {
        part: {name: round(float(np.mean(values[names == part])), 6) for name, values in measures.items()}
        for part in PARTS[1:]
    }


def describe_split(plots: pd.DataFrame, groups: IntArray, parts: pd.Series) -> dict[str, Any]:
    """Counts of plots, words, groups and genres in each part, for metrics/split.json."""
    words = plots["text"].map(lambda text: len(text.split()))
    sizes = Counter(Counter(groups.tolist()).values())
    genres = pd.crosstab(plots["genre"], parts).reindex(index=GENRES, columns=PARTS, fill_value=0)
    shares = genres / genres.sum()
    return {
        "plots": {part: int((parts == part).sum()) for part in PARTS},
        "share": {part: round(float((parts == part).mean()), 4) for part in PARTS},
        "words": {part: int(words[parts == part].sum()) for part in PARTS},
        "groups": {
            "count": sum(sizes.values()),
            "of_several_plots": sum(number for size, number in sizes.items() if size > 1),
            "plots_in_them": sum(size * number for size, number in sizes.items() if size > 1),
            "largest": max(sizes),
        },
        "largest_gap_of_a_genre_share_to_train": round(
            float((shares.sub(shares["train"], axis=0)).abs().max().max()), 4
        ),
        "genres": {part: {str(genre): int(count) for genre, count in genres[part].items()} for part in PARTS},
    }
