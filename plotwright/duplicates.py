"""Plots that tell the same story in the same words, found by runs of words they share.

A run is 13 words in a row, compared after case folding and without anything but letters and digits.
Runs are found for all plots at once by sorting 64-bit hashes, so the time grows as n log n in the number of words.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

RUN_WORDS = 13
# A run in more plots than this is boilerplate ("The film opens with ...") and says nothing about any two of them.
COMMON = 10
# Share of a text's runs that a longer text holds, from which on it is a near duplicate of that text. The two lie far
# apart: of 5,339 real plots one pair is a copy (0.86), and the next pair, two films of one play, shares 0.06.
CONTAINMENT = 0.5

_WORD = re.compile(r"[^\W_]+")
_PAD = 0

# 32 bits hold two thousand million words and halve the memory.
IntArray = npt.NDArray[np.int32]
WordArray = npt.NDArray[np.int32]  # a number for each word; equal numbers are equal words


def words_of(text: str) -> list[str]:
    """The words of `text` as they are compared: case folded, letters and digits only."""
    return _WORD.findall(text.casefold())


@dataclass(frozen=True)
class Runs:
    """Which plot holds which run: pairs of a plot's position and a run's number, each pair once, sorted by run.

    A run's number means nothing but equality; runs are numbered from 0. A text of fewer words than a run is one run
    of its own, and a text without words has none.
    """

    plot: IntArray
    run: IntArray

    def count_per_plot(self, plots: int) -> npt.NDArray[np.int64]:
        """Number of distinct runs of each of `plots` plots, shape [plots]."""
        return np.bincount(self.plot, minlength=plots)

    def plots_per_run(self) -> npt.NDArray[np.int64]:
        """Number of plots that hold each run, shape [number of runs]."""
        return np.bincount(self.run)

    def only(self, keep: npt.NDArray[np.bool_]) -> "Runs":
        """The pairs whose run is marked in `keep`, shape [number of runs]; numbers stay as they are."""
        pairs = keep[self.run]
        return Runs(self.plot[pairs], self.run[pairs])


def _number_words(texts: Sequence[str], run_words: int) -> tuple[WordArray, IntArray]:
    """All texts' words as numbers in one array, and each text's length in it.

    Equal numbers are equal words. Texts shorter than a run are filled up with _PAD, those without words are left empty.
    """
    number_of: dict[str, int] = {}
    pieces, lengths = [], []
    for text in tqdm(texts, desc="reading words", unit=" plots", delay=2, disable=None, leave=False):
        numbers = [number_of.setdefault(word, len(number_of) + 1) for word in words_of(text)]
        if numbers:
            numbers += [_PAD] * (run_words - len(numbers))
        pieces.append(np.array(numbers, dtype=np.int32))
        lengths.append(len(numbers))
    return np.concatenate([*pieces, np.empty(0, np.int32)]), np.array(lengths, dtype=np.int32)


def _hash_windows(numbers: WordArray, starts: IntArray, run_words: int, seed: int) -> npt.NDArray[np.uint64]:
    """A 64-bit hash of the `run_words` numbers from each start: a sum of random values of number and place."""
    random = np.random.default_rng(seed)
    value = random.integers(0, 2**64, size=int(numbers.max(initial=0)) + 1, dtype=np.uint64)
    factors = random.integers(0, 2**64, size=run_words, dtype=np.uint64) | np.uint64(1)
    hashes = np.zeros(len(starts), dtype=np.uint64)
    for place, factor in enumerate(factors):
        hashes += value[numbers[starts + place]] * factor
    return hashes


def _sort_windows(numbers: WordArray, starts: IntArray, run_words: int) -> tuple[npt.NDArray[np.int64], IntArray]:
    """An order of the windows in which equal ones stand together, and each window's run number in that order.

    Exact: windows of equal hash are compared word by word, and if two differ all are hashed anew.
    """
    seed = 0
    while True:
        hashes = _hash_windows(numbers, starts, run_words, seed)
        order = np.argsort(hashes, kind="stable")
        hashes = hashes[order]
        same = np.zeros(len(order), dtype=bool)
        same[1:] = hashes[1:] == hashes[:-1]
        here, before = starts[order[np.flatnonzero(same)]], starts[order[np.flatnonzero(same) - 1]]
        if all(np.array_equal(numbers[here + place], numbers[before + place]) for place in range(run_words)):
            return order, np.cumsum(~same, dtype=np.int32) - 1
        seed += 1


def find_runs(texts: Sequence[str], run_words: int = RUN_WORDS) -> Runs:
    """Every run of `run_words` words of `texts`, with the plots that hold it."""
    numbers, lengths = _number_words(texts, run_words)
    windows = np.maximum(lengths - run_words + 1, 0)
    plot = np.repeat(np.arange(len(texts), dtype=np.int32), windows)
    first_window = np.cumsum(windows, dtype=np.int32) - windows
    first_word = np.cumsum(lengths, dtype=np.int32) - lengths
    starts = np.arange(len(plot), dtype=np.int32) + np.repeat(first_word - first_window, windows)
    order, run = _sort_windows(numbers, starts, run_words)
    plot = plot[order]
    # The sort is stable, so a plot's repetitions of one run are neighbours.
    new = np.ones(len(plot), dtype=bool)
    new[1:] = (run[1:] != run[:-1]) | (plot[1:] != plot[:-1])
    return Runs(plot[new], run[new])


def linked_pairs(runs: Runs) -> IntArray:
    """Pairs of plots that share a run, shape [pairs, 2]; enough of them to connect all that do, not every pair.

    Runs that stand in more than COMMON plots link nothing.
    """
    linking = runs.only(runs.plots_per_run() <= COMMON)
    neighbours = linking.run[1:] == linking.run[:-1]
    return np.stack([linking.plot[:-1][neighbours], linking.plot[1:][neighbours]], axis=1)


def near_duplicates(texts: Sequence[str], ids: Sequence[str]) -> set[int]:
    """Positions of the texts to drop: those of which a longer text, kept, holds at least CONTAINMENT of the runs.

    Longer texts (in runs, then in characters, then by id) are looked at first, so what is kept does not depend on the
    order of `texts`. A run in more than COMMON kept texts is boilerplate and speaks for none of them.
    """
    runs = find_runs(texts)
    total = runs.count_per_plot(len(texts))
    shared = _shared_runs_by_plot(runs)
    holders: defaultdict[int, list[int]] = defaultdict(list)
    dropped: set[int] = set()
    for plot in sorted(shared, key=lambda plot: (-int(total[plot]), -len(texts[plot]), ids[plot])):
        telling = [run for run in shared[plot] if len(holders[run]) <= COMMON]
        overlaps = Counter(holder for run in telling for holder in holders[run])
        if max(overlaps.values(), default=0) >= CONTAINMENT * total[plot]:
            dropped.add(plot)
        else:
            for run in telling:
                holders[run].append(plot)
    return dropped


def _shared_runs_by_plot(runs: Runs) -> dict[int, list[int]]:
    """For each plot that shares a run with another: its shared runs."""
    shared = runs.only(runs.plots_per_run() > 1)
    by_plot: defaultdict[int, list[int]] = defaultdict(list)
    for plot, run in zip(shared.plot.tolist(), shared.run.tolist(), strict=True):
        by_plot[plot].append(run)
    return by_plot
