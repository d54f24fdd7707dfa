"""The parts of metrics/evaluate.json that rest on what the model writes: docs/EVALUATION.md says what each means."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from plotwright.bootstrap import bootstrap_interval
from plotwright.degeneration import MEASURES, Sample, grid, measure_beside, yardstick
from plotwright.evaluation import Report, mean_report
from plotwright.obedience import GenreReader, requested_probability
from plotwright.originality import RUN_SIZES, CopyIndex, Originality, SharedRun
from plotwright.sampling import Sampling
from plotwright.settings import Params
from plotwright.specimens import write_texts
from plotwright.writing import Request, Writer

ENDS = ("", "_low", "_high")


@dataclass(frozen=True)
class Texts:
    """What the model wrote. by_setting: without any request, with each sampling setting, params.generate first.
    by_genre: on request, with params.generate."""

    by_setting: Mapping[str, list[Sample]]
    settings: Mapping[str, Sampling]
    by_genre: Mapping[str, list[Sample]]

    @property
    def plain(self) -> list[Sample]:
        """Those without a request, with params.generate."""
        return next(iter(self.by_setting.values()))


def write_all(writer: Writer, genres: Sequence[str], params: Params) -> Texts:
    """Have the model write the texts that are measured.

    The same seeds serve every setting, so that these differ by the settings alone; each text on request has its own.
    """
    settings, seeds = params.evaluate, range(params.seed, params.seed + params.evaluate.texts)
    sampling = params.generate.model_copy(update={"max_new_tokens": settings.text_tokens})
    tried = grid(sampling)
    plain = [Request(setting, seed) for setting in tried.values() for seed in seeds]
    requested = [genre for genre in genres for _ in range(settings.texts_per_genre)]
    asked = [Request(sampling, seeds.stop + place, genre=genre) for place, genre in enumerate(requested)]
    written = iter(write_texts(writer, [*plain, *asked], "Writing"))
    return Texts(
        {name: [next(written) for _ in seeds] for name in tried},
        tried,
        {genre: [next(written) for _ in range(settings.texts_per_genre)] for genre in genres},
    )


def degeneration_report(
    texts: Texts, human: Sequence[Sample], known: Collection[str], params: Params
) -> tuple[Report, pd.DataFrame]:
    """What plotwright.degeneration measures beside human texts; and a table with a row a sampling setting.

    known: the words of the training plots.

    The rule: the nearest settings are those with the smallest distance, the mean over the measures of how many
    standard deviations of equally many human texts a measure lies from theirs.
    """
    number = max(1, min(params.evaluate.texts, len(human) // 2))  # sets of human texts must be able to differ
    usual = yardstick(human, number, known, params.seed)
    measures = {name: measure_beside(samples[:number], usual, known) for name, samples in texts.by_setting.items()}
    nearest = min(measures, key=lambda name: measures[name]["distance"])
    own = next(iter(measures))
    of_human = {name: (usual.mean[name], usual.low[name], usual.high[name]) for name in MEASURES}
    report: Report = {
        "texts": number,
        "human": {
            f"{name}{end}": value for name, values in of_human.items() for end, value in zip(ENDS, values, strict=True)
        },
        "human_deviation": usual.deviation,
        "human_distance": {"mean": usual.own_distance, "percentile_95": usual.own_distance_high},
        "generate": measures[own],
        "generate_is_nearest": own == nearest,
        "nearest": measures[nearest],
        "nearest_settings": texts.settings[nearest].model_dump(exclude={"max_new_tokens"}),
    }
    rows = [{"settings": name, **figures} for name, figures in measures.items()]
    return report, pd.DataFrame([*rows, {"settings": "human texts", "distance": usual.own_distance, **report["human"]}])


def _copying(checks: Sequence[Originality], params: Params) -> Report:
    longest = np.array([check.longest_words for check in checks])
    counts = np.array([[check.novel[size] for size in RUN_SIZES] for check in checks], dtype=float)

    def shares(*sums: np.ndarray) -> dict[str, np.ndarray]:
        return {
            f"novel_{size}": new / np.maximum(runs, 1)
            for size, new, runs in zip(RUN_SIZES, sums[::2], sums[1::2], strict=True)
        }

    return {
        "texts": len(checks),
        **mean_report("longest_run", longest, params),
        "longest_run_of_all": int(longest.max()),
        **bootstrap_interval(counts.reshape(len(checks), -1), shares, params.evaluate.resamples, params.seed),
    }


def copying_report(
    index: CopyIndex, texts: Texts, human: Sequence[Sample], params: Params
) -> tuple[Report, pd.DataFrame, SharedRun | None]:
    """Longest runs shared with training plots and shares of novel runs, written beside human; a table by size; and
    the longest run of all that were written."""
    written = [*texts.plain, *(sample for samples in texts.by_genre.values() for sample in samples)]
    checks = {
        name: [index.check(sample.text) for sample in samples]
        for name, samples in (("written", written), ("human", human))
    }
    report = {name: _copying(found, params) for name, found in checks.items()}
    rows = [
        {
            "run_words": size,
            **{f"{name}{end}": part[f"novel_{size}{end}"] for name, part in report.items() for end in ENDS},
        }
        for size in RUN_SIZES
    ]
    return report, pd.DataFrame(rows), max(checks["written"], key=lambda check: check.longest_words).longest


def obedience_report(
    reader: GenreReader, texts: Texts, test: pd.DataFrame, human: Sequence[Sample], params: Params
) -> tuple[Report, pd.DataFrame]:
    """What the genre reader makes of plots written on request; and a table by genre.

    probability_change: the requested genre's probability less that in the texts written without a request, whose mean
    over all genres is chance. reader: how well it reads human test plots, whole, and cut as the written ones are.
    """
    requested = np.array([genre for genre, samples in texts.by_genre.items() for _ in samples])
    written = [sample.text for samples in texts.by_genre.values() for sample in samples]
    asked = requested_probability(reader, written, requested.tolist())
    unasked = dict(
        zip(reader.genres, reader.probabilities([text.text for text in texts.plain]).mean(axis=0), strict=True)
    )
    change = asked - np.array([unasked[genre] for genre in requested])
    report = {
        "genres": len(reader.genres),
        "chance": 1 / len(reader.genres),
        "texts": len(written),
        **mean_report("accuracy", np.array(reader.read(written)) == requested, params),
        **mean_report("probability_change", change, params),
        **_reader_report(reader, test, human, params),
    }
    rows = [
        {
            "genre": genre,
            "texts": int((requested == genre).sum()),
            "unasked": unasked[genre],
            "asked": asked[requested == genre].mean(),
            **mean_report("change", change[requested == genre], params),
        }
        for genre in texts.by_genre
    ]
    return report, pd.DataFrame(rows)


def _reader_report(reader: GenreReader, test: pd.DataFrame, human: Sequence[Sample], params: Params) -> Report:
    known = test["genre"].isin(reader.genres).to_numpy()
    if not known.any():
        return {}
    genres = test["genre"].to_numpy()[known]
    cut = [sample.text for sample, is_known in zip(human, known, strict=True) if is_known]
    right, right_cut = (np.array(reader.read(read)) == genres for read in (test["text"][known].tolist(), cut))
    return {
        "reader": {
            "plots": int(known.sum()),
            **mean_report("accuracy", right, params),
            **mean_report("accuracy_cut", right_cut, params),
        }
    }
