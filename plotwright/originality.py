"""What a text has in common with the training plots, word by word.

One index serves evaluation and app: a suffix array over the words of all training plots (Manber and Myers 1990).
Words are compared as duplicates.py compares them: case folded, letters and digits only. For every word of a text it
gives the longest run beginning there that also stands in a training plot (the matching statistics of Chang and Lawler
1994), from which follow the longest run of all and, for any n, the runs of n words that stand in no training plot.
Words are compared as numbers, never by a hash, so what it finds is there and what is there it finds.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from tqdm import tqdm

from plotwright.duplicates import words_of

RUN_SIZES = range(3, 11)  # words: the sizes of run whose novelty is reported
_UNSEEN = -1  # the number of a word that no training plot holds
_FEW = 8  # training runs; so few are compared with the text one by one
_STRIDE = 16  # words compared at once with each of them

WordArray = npt.NDArray[np.int32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class SharedRun:
    """The longest run of words that a text shares with a training plot.

    start, end: the characters of the text that it covers. passage: the run as the training plot writes it. id, title:
    of that plot; where several hold the run, the first in the order of the training plots.
    """

    words: int
    start: int
    end: int
    passage: str
    id: str
    title: str


@dataclass(frozen=True)
class Originality:
    """What the copy check says of one text.

    longest is None where the text shares no word with the training plots. novel: for each n of RUN_SIZES the number of
    n-word runs that stand in no training plot, and the number of all; the second is 0 in a text of fewer words.
    """

    words: int
    longest: SharedRun | None
    novel: dict[int, tuple[int, int]]

    @property
    def longest_words(self) -> int:
        """Words in the longest shared run, 0 where there is none."""
        return self.longest.words if self.longest else 0

    def novel_share(self, run_words: int) -> float | None:
        """Share of the text's runs of `run_words` words that stand in no training plot; None where it has no run."""
        new, runs = self.novel[run_words]
        return new / runs if runs else None


def word_spans(text: str) -> list[tuple[int, int]]:
    """First character and one past the last of each word of `words_of(text)`, in `text` as it is written."""
    folded = [character.casefold() for character in text]
    written_at = np.repeat(np.arange(len(text)), [len(characters) for characters in folded])
    joined, at, spans = "".join(folded), 0, []
    for word in words_of(text):
        # Between two words stand no letters or digits, so the next place where it is found is the word itself.
        start = joined.index(word, at)
        at = start + len(word)
        spans.append((int(written_at[start]), int(written_at[at - 1]) + 1))
    return spans


def suffix_array(words: WordArray) -> WordArray:
    """The order of the suffixes of `words`, of which the last must stand nowhere else.

    Prefix doubling: each round sorts by twice as many words as the one before, and sorts only those suffixes that
    are not yet told from all others (Larsson and Sadakane 2007).
    """
    order = np.argsort(words, kind="stable").astype(np.int32)
    rank = np.empty(len(words), dtype=np.int32)  # of each suffix, the place where the suffixes equal so far begin
    places = np.arange(len(words), dtype=np.int32)  # of `order`, still to be sorted
    new, compared = _differs_from_the_one_before(words[order]), 1
    while True:
        rank[order[places]] = np.maximum.accumulate(np.where(new, places, 0))
        places = places[~(new & np.append(new[1:], True))]
        if not len(places):
            return order
        suffixes = order[places]
        keys = rank[suffixes].astype(np.int64)
        keys *= len(words)
        keys += rank[suffixes + compared]
        order[places] = suffixes[np.argsort(keys)]
        keys.sort()  # once more, where picking them in order would take another array of their size
        new = _differs_from_the_one_before(keys)
        compared *= 2


def _differs_from_the_one_before(values: npt.NDArray[np.signedinteger]) -> npt.NDArray[np.bool_]:
    differs = np.ones(len(values), dtype=bool)
    differs[1:] = values[1:] != values[:-1]
    return differs


class CopyIndex:
    """The training plots' words, ready to be asked what of a text stands in them."""

    def __init__(self, plots: pd.DataFrame):
        """`plots` has the columns id, title and text of data/splits/train.parquet."""
        self._ids, self._titles, self._texts = (plots[name].tolist() for name in ("id", "title", "text"))
        self._number_of: dict[str, int] = {}
        self._words = self._read()
        # A mark of its own ends each plot, so no run goes from one plot into the next.
        marks = np.flatnonzero(self._words == _UNSEEN)
        self._words[marks] = len(self._number_of) + np.arange(len(marks))
        self._plot_starts = np.append(0, marks + 1)
        self._order = suffix_array(self._words) if len(marks) else self._words
        # Where in the order the suffixes that begin with a word start; those of the next word follow.
        self._first = np.cumsum([0, *np.bincount(self._words, minlength=1)])

    def _read(self) -> WordArray:
        """The words of all plots as numbers, _UNSEEN after each plot."""
        pieces = [
            np.array(
                [self._number_of.setdefault(word, len(self._number_of)) for word in words_of(text)] + [_UNSEEN],
                np.int32,
            )
            for text in tqdm(self._texts, desc="reading words", unit=" plots", delay=2, disable=None, leave=False)
        ]
        return np.concatenate([np.empty(0, np.int32), *pieces], dtype=np.int32)

    def check(self, text: str) -> Originality:
        """How much of `text` stands in the training plots."""
        lengths, source = self._match(self._numbers(text))
        novel = {}
        for size in RUN_SIZES:
            runs = lengths[: max(0, len(lengths) - size + 1)]
            novel[size] = (int((runs < size).sum()), len(runs))
        longest = None
        if lengths.max(initial=0) > 0:
            at = int(lengths.argmax())
            longest = self._shared_run(text, at, int(lengths[at]), source)
        return Originality(len(lengths), longest, novel)

    def match_lengths(self, text: str) -> IntArray:
        """For each word of `text` the words of the longest run from there that stands in a training plot."""
        return self._match(self._numbers(text))[0]

    def _numbers(self, text: str) -> WordArray:
        return np.array([self._number_of.get(word, _UNSEEN) for word in words_of(text)], dtype=np.int32)

    def _shared_run(self, text: str, at: int, length: int, source: int) -> SharedRun:
        plot = int(np.searchsorted(self._plot_starts, source, side="right")) - 1
        first = source - int(self._plot_starts[plot])
        here, there = (word_spans(written) for written in (text, self._texts[plot]))
        passage = self._texts[plot][there[first][0] : there[first + length - 1][1]]
        return SharedRun(length, here[at][0], here[at + length - 1][1], passage, self._ids[plot], self._titles[plot])

    def _match(self, query: WordArray) -> tuple[IntArray, int]:
        """For each place in `query` the length of its longest match; and where that of the longest of all begins.

        Of several equal ones in the training words the first counts; 0 where nothing matches.
        """
        seen = query != _UNSEEN
        begins, ends = (np.where(seen, self._first[np.maximum(query, 0) + next_word], 0) for next_word in (0, 1))
        lengths = seen.astype(np.int64)
        # Word by word the part of the order that agrees with the query so far shrinks.
        growing, few = np.flatnonzero(seen), [np.empty(0, np.int64)]
        while len(growing):
            growing = growing[growing + lengths[growing] < len(query)]
            small = ends[growing] - begins[growing] <= _FEW
            few.append(growing[small])
            growing = growing[~small]
            low, high = self._narrow(
                query[growing + lengths[growing]], lengths[growing], begins[growing], ends[growing]
            )
            found = low < high
            growing = growing[found]
            begins[growing], ends[growing] = low[found], high[found]
            lengths[growing] += 1
        places, sources, extended = self._extend(query, np.concatenate(few), lengths, begins, ends)
        np.maximum.at(lengths, places, extended)
        if not lengths.any():
            return lengths, 0
        best = int(lengths.argmax())
        of_best = sources[(places == best) & (extended == lengths[best])]
        return lengths, int((of_best if len(of_best) else self._order[begins[best] : ends[best]]).min())

    def _narrow(self, words: WordArray, depth: IntArray, begins: IntArray, ends: IntArray) -> tuple[IntArray, IntArray]:
        """The parts of `begins` to `ends` of the order whose suffixes go on with `words` after `depth` words."""
        bounds = []
        for beyond in (0, 1):  # binary search for the first suffix not less than the word, and than the next word
            low, high, target = begins.copy(), ends.copy(), words + beyond
            for _ in range(int((ends - begins).max(initial=0)).bit_length()):
                open_ = low < high
                middle = (low + high) // 2
                # `middle` may be one past the end where nothing is left to search.
                suffix = self._order[np.minimum(middle, len(self._order) - 1)]
                less = self._words[np.minimum(suffix + depth, len(self._words) - 1)] < target
                low, high = np.where(open_ & less, middle + 1, low), np.where(open_ & ~less, middle, high)
            bounds.append(low)
        return bounds[0], bounds[1]

    def _extend(
        self, query: WordArray, few: IntArray, lengths: IntArray, begins: IntArray, ends: IntArray
    ) -> tuple[IntArray, IntArray, IntArray]:
        """All training runs left to the places `few`: place in the query, first training word, length in the end."""
        counts = ends[few] - begins[few]
        places = np.repeat(few, counts)
        sources = self._order[begins[places] + np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)]
        extended, steps = lengths[places], np.arange(_STRIDE)
        growing = np.arange(len(places))
        while len(growing):
            here = (places[growing] + extended[growing])[:, None] + steps
            there = (sources[growing] + extended[growing])[:, None] + steps
            inside = (here < len(query)) & (there < len(self._words))
            same = inside & (
                query[np.minimum(here, len(query) - 1)] == self._words[np.minimum(there, len(self._words) - 1)]
            )
            agreed = np.where(same.all(axis=1), _STRIDE, same.argmin(axis=1))
            extended[growing] += agreed
            growing = growing[agreed == _STRIDE]
        return places, sources, extended
