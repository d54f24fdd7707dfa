"""Does the model degenerate? Repetition, loops, made-up words, endings and length of its texts, beside human ones.

Human texts are test plots cut where the model's texts are cut, so that both can be equally long and equally cut off.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from plotwright.duplicates import words_of
from plotwright.sampling import Sampling

DISTINCT_WORDS = 50  # of each text, so that longer texts do not look poorer
LOOP_WORDS, LOOP_TIMES = 20, 3
HUMAN_DRAWS = 200
MEASURES = ("distinct_1", "distinct_2", "distinct_3", "repeated_4", "loop_rate", "unseen_words", "end_share", "words")
SHARES_OF_TEXTS = ("loop_rate", "end_share")
# A measure's usual deviation counts as at least this share of it (of 1, where it is a share): where no human text
# loops, a single loop must not outweigh all else.
LEAST_DEVIATION = 0.01

CONTROLS = ("temperature", "top_k", "top_p", "min_p", "repetition_penalty")
# Settings tried besides params.generate. The first is the model as it is, the last the tutorial's.
GRID = (
    (1.0, 0, 1.0, 0.0, 1.0),
    (1.0, 0, 0.95, 0.0, 1.0),
    (0.9, 0, 0.95, 0.0, 1.0),
    (1.0, 0, 0.9, 0.0, 1.0),
    (0.9, 0, 0.95, 0.0, 1.1),
    (0.8, 50, 0.95, 0.0, 1.0),
)


@dataclass(frozen=True)
class Sample:
    """A text, and whether it came to its end rather than being cut off."""

    text: str
    ended: bool


def grid(own: Sampling) -> dict[str, Sampling]:
    """The settings that are tried, by name: `own` first."""
    settings = [own]
    for values in GRID:
        setting = own.model_copy(update=dict(zip(CONTROLS, values, strict=True)))
        if setting not in settings:
            settings.append(setting)
    return {name_of(setting): setting for setting in settings}


def name_of(setting: Sampling) -> str:
    """A name such as "temperature 0.8, top-k 50, top-p 0.95"; what is switched off is left out."""
    parts = [f"temperature {setting.temperature:g}"]
    parts += [f"top-k {setting.top_k}"] if setting.top_k else []
    parts += [f"top-p {setting.top_p:g}"] if setting.top_p < 1 else []
    parts += [f"min-p {setting.min_p:g}"] if setting.min_p else []
    parts += [f"repetition penalty {setting.repetition_penalty:g}"] if setting.repetition_penalty > 1 else []
    return ", ".join(parts)


def _runs(words: Sequence[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]


def distinct(texts: Sequence[Sequence[str]], size: int) -> float:
    """Share of different ones among all runs of `size` words of the texts (Li et al. 2016), 1 if there is none."""
    runs = [run for words in texts for run in _runs(words, size)]
    return len(set(runs)) / len(runs) if runs else 1.0


def repeated(words: Sequence[str], size: int) -> float:
    """Share of the text's runs of `size` words that already stood in it (Welleck et al. 2020, seq-rep-n)."""
    return 1 - distinct([words], size)


def loops(words: Sequence[str]) -> bool:
    """Whether some run of at most LOOP_WORDS words stands LOOP_TIMES times in a row (after Holtzman et al. 2020)."""
    numbers = np.unique(np.array(words, dtype=str), return_inverse=True)[1] if words else np.empty(0, int)
    for size in range(1, min(LOOP_WORDS, len(numbers) // LOOP_TIMES) + 1):
        same = np.concatenate([[0], np.cumsum(numbers[size:] == numbers[:-size])])
        needed = size * (LOOP_TIMES - 1)
        if (same[needed:] - same[:-needed] == needed).any():
            return True
    return False


@dataclass(frozen=True)
class _Counted:
    """What MEASURES count of one text. beginning: its first DISTINCT_WORDS words."""

    beginning: Sequence[str]
    words: int
    repeated_4: float
    loops: bool
    unseen: float
    ended: bool


def known_words(texts: Iterable[str]) -> frozenset[str]:
    """The different words of some texts."""
    return frozenset(word for text in texts for word in words_of(text))


def unseen(words: Sequence[str], known: Collection[str]) -> float:
    """Share of the words that are not among the `known` ones, 0 of no words."""
    return sum(word not in known for word in words) / max(1, len(words))


def _count(samples: Sequence[Sample], known: Collection[str]) -> list[_Counted]:
    texts = [(words_of(sample.text), sample.ended) for sample in samples]
    return [
        _Counted(words[:DISTINCT_WORDS], len(words), repeated(words, 4), loops(words), unseen(words, known), ended)
        for words, ended in texts
    ]


def _measure(texts: Sequence[_Counted]) -> dict[str, float]:
    return {
        **{f"distinct_{size}": distinct([text.beginning for text in texts], size) for size in (1, 2, 3)},
        "repeated_4": float(np.mean([text.repeated_4 for text in texts])),
        "loop_rate": float(np.mean([text.loops for text in texts])),
        "unseen_words": float(np.mean([text.unseen for text in texts])),
        "end_share": float(np.mean([text.ended for text in texts])),
        "words": float(np.mean([text.words for text in texts])),
    }


def measure(samples: Sequence[Sample], known: Collection[str]) -> dict[str, float]:
    """MEASURES of some texts together. unseen_words: mean share of words that are not `known`. words: mean number."""
    return _measure(_count(samples, known))


@dataclass(frozen=True)
class Yardstick:
    """What as many human texts show.

    mean, deviation: of each measure, over sets of so many human texts; low, high: their central 95 %.
    own_distance, own_distance_high: how far other such sets lie from the mean, on average and at the 95th percentile.
    """

    mean: dict[str, float]
    deviation: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]
    own_distance: float
    own_distance_high: float


def distance(measures: dict[str, float], mean: dict[str, float], deviation: dict[str, float]) -> float:
    """How far from human: the mean over MEASURES of the distance from `mean` in standard deviations."""
    return float(
        np.mean(
            [
                abs(measures[name] - mean[name]) / max(deviation[name], LEAST_DEVIATION * max(1.0, mean[name]))
                for name in MEASURES
            ]
        )
    )


def yardstick(human: Sequence[Sample], number: int, known: Collection[str], seed: int) -> Yardstick:
    """The measures of sets of `number` human texts, from HUMAN_DRAWS draws of so many without replacement.

    Draws from few texts overlap and so differ less than sets of other texts would from these. Their spread is widened
    to that of such sets: the variance of a mean of n is (1/n + 1/N) / (1/n - 1/N) times as large (Cochran 1977, the
    finite population correction undone, and the mean of all N texts not known better than they tell).
    """
    generator, counted = np.random.default_rng(seed), _count(human, known)
    draws = [
        _measure([counted[i] for i in generator.choice(len(counted), number, replace=False)])
        for _ in range(HUMAN_DRAWS)
    ]
    columns = {name: np.array([draw[name] for draw in draws]) for name in MEASURES}
    mean, spread = ({name: float(of(values)) for name, values in columns.items()} for of in (np.mean, np.std))
    wider = np.sqrt((len(human) + number) / max(1, len(human) - number))
    ends = {
        name: mean[name] + wider * (np.percentile(values, (2.5, 97.5)) - mean[name]) for name, values in columns.items()
    }
    low = {name: max(0.0, float(end)) for name, (end, _) in ends.items()}
    high = {name: float(end) if name == "words" else min(1.0, float(end)) for name, (_, end) in ends.items()}
    own = [distance(draw, mean, spread) for draw in draws]
    deviation = {name: wider * value for name, value in spread.items()}
    return Yardstick(mean, deviation, low, high, float(np.mean(own)), float(np.percentile(own, 95)))


def measure_beside(samples: Sequence[Sample], usual: Yardstick, known: Collection[str]) -> dict[str, float]:
    """MEASURES of some texts and their `distance` from human ones, each with `_low` and `_high` (95 %).

    The intervals of loop_rate and end_share are Wilson's (1927), which has a width also where no text of few loops. The
    others are 1.96 jackknife standard errors (Efron and Stein 1981) to both sides: a bootstrap would draw some texts
    twice, and those would count as repetition. No interval leaves the range that its measure can have.
    """
    counted = _count(samples, known)
    texts = len(counted)

    def figures(some: Sequence[_Counted]) -> dict[str, float]:
        measures = _measure(some)
        return {**measures, "distance": distance(measures, usual.mean, usual.deviation)}

    whole = figures(counted)
    without = [figures(counted[:place] + counted[place + 1 :]) for place in range(texts)] if texts > 1 else [whole]
    result: dict[str, float] = {}
    for name, value in whole.items():
        if name in SHARES_OF_TEXTS:
            low, high = wilson(value, texts)
        else:
            error = np.sqrt((texts - 1) * np.var([figure[name] for figure in without]))
            low, high = max(0.0, value - 1.96 * error), value + 1.96 * error
        high = high if name in ("words", "distance") else min(1.0, high)
        result |= {name: value, f"{name}_low": float(low), f"{name}_high": float(high)}
    return result


def wilson(share: float, number: int) -> tuple[float, float]:
    """The 95 % interval of a share seen among `number` independent texts (Wilson 1927)."""
    square = 1.96**2 / number
    middle, half = share + square / 2, np.sqrt(square * share * (1 - share) + square**2 / 4)
    low, high = (middle - half) / (1 + square), (middle + half) / (1 + square)
    return min(share, max(0.0, float(low))), max(share, min(1.0, float(high)))
