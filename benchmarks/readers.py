"""Does the align stage learn? Readers of a known taste rate plots, and the aligned model's plots are held against it.

python benchmarks/readers.py [rate] [align] [compare]

The taste: a plot that names a place in its first ten words. A reader's thumb says the opposite in one of ten cases.
Each genre is asked for in turn, and none. Without an argument all three steps. They leave files in .plotwright/readers;
a step that was cut off goes on, and another model needs that folder removed first. Needs models/plot-generator,
data/splits and the package trl.
"""

import json
import random
import re
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import numpy as np

from plotwright.bootstrap import mean_interval
from plotwright.documents import prompt
from plotwright.feedback import FeedbackStore, Verdict
from plotwright.genres import GENRES, UNKNOWN
from plotwright.identity import Source, source_of
from plotwright.readers import export, read_feedback
from plotwright.settings import load_params
from plotwright.specimens import write_texts
from plotwright.writing import Request, Writer

MODEL, SPLITS, WORK = Path("models/plot-generator"), Path("data/splits"), Path(".plotwright/readers")
VERDICTS, COMPARED = 400, 400  # plots rated; plots of each model that are compared
WRONG = 0.1  # chance that a thumb says the opposite of the reader's taste
FIRST_WORDS = 10
RATED_TOKENS = 120  # a rated plot at most: readers of short plots, so that two cores learn from them in minutes
COMPARED_TOKENS = 60  # a compared plot at most: its first words do not depend on how long it becomes
BATCH = 40  # plots written before they are kept
RATED_FROM, COMPARED_FROM = 1_000, 100_000  # the seeds of the two sets of plots, which share none

_PLACE = re.compile(r"\b(?:in|at|to|from|near|into|of|outside|for) (?:the )?[A-Z]\w+")


def pleases(text: str) -> bool:
    """Whether a plot names a place in its first words: a capitalised name after a preposition."""
    return bool(_PLACE.search(" ".join(text.split()[:FIRST_WORDS])))


def requests(count: int, first_seed: int, **sampling: int) -> list[Request]:
    """Plots of each genre in turn and of none, each with a seed of its own; `sampling` changes params.generate."""
    asked = [None, *(genre for genre in GENRES if genre != UNKNOWN)]
    settings = load_params().generate.model_copy(update=sampling)
    return [Request(settings, first_seed + number, genre=asked[number % len(asked)]) for number in range(count)]


def written(folder: Path, asked: list[Request], kept: Path) -> list[str]:
    """What the model of a folder writes for each request.

    Kept in a file, so that a run which was cut off goes on where it stopped.
    """
    texts = [json.loads(line) for line in kept.read_text().splitlines()] if kept.exists() else []
    writer = Writer(folder)
    kept.parent.mkdir(parents=True, exist_ok=True)
    for start in range(len(texts), len(asked), BATCH):
        new = [sample.text for sample in write_texts(writer, asked[start : start + BATCH], f"{folder}, from {start}")]
        with kept.open("a") as file:
            file.writelines(json.dumps(text) + "\n" for text in new)
        texts += new
    return texts


def rated(request: Request, text: str, source: Source) -> Verdict:
    """The thumb of a reader for a plot, as the app stores it."""
    chance = random.Random(request.seed)
    liked = pleases(text) != (chance.random() < WRONG)
    return Verdict(
        draft=f"{UUID(int=chance.getrandbits(128)).hex}-0",
        prompt=prompt("", request.genre),
        text=text,
        seed=request.seed,
        settings=request.sampling.model_dump(),
        model=source.model,
        data=source.data,
        verdict="up" if liked else "down",
    )


def rate() -> None:
    """Have readers rate plots of the model, and export what they said."""
    asked = requests(VERDICTS, RATED_FROM, max_new_tokens=RATED_TOKENS)
    texts = written(MODEL, asked, WORK / "rated.jsonl")
    (WORK / "feedback.sqlite").unlink(missing_ok=True)
    store, source = FeedbackStore(WORK / "feedback.sqlite"), source_of(MODEL)
    for request, text in zip(asked, texts, strict=True):
        store.add_verdict(rated(request, text, source))
    print("\n".join(export(read_feedback(store.path, source), WORK)))


def align() -> None:
    """Run the align stage on what the readers said."""
    (WORK / "aligned.jsonl").unlink(missing_ok=True)  # what another aligned model wrote
    command = [sys.executable, "-m", "stages.align", MODEL, WORK, SPLITS, WORK / "model", WORK / "align.json"]
    subprocess.run([str(word) for word in command], check=True)


def tastes() -> tuple[np.ndarray, np.ndarray]:
    """Whether new plots of the parent and of the aligned model please, (n,) of 0 and 1 each, request by request."""
    asked = requests(COMPARED, COMPARED_FROM, max_new_tokens=COMPARED_TOKENS)
    before, after = (
        np.array([float(pleases(text)) for text in written(folder, asked, WORK / f"{name}.jsonl")])
        for name, folder in (("parent", MODEL), ("aligned", WORK / "model"))
    )
    return before, after


def compare() -> None:
    """Hold new plots of both models, written on the same requests, against the readers' taste."""
    before, after = tastes()
    for name, values in (("parent", before), ("aligned", after), ("rise", after - before)):
        figures = mean_interval("share", values, 10_000, 0)
        print(f"{name:<8}{figures['share']:7.1%} [{figures['share_low']:.1%}, {figures['share_high']:.1%}]")
    print((WORK / "align.json").read_text())


STEPS = {"rate": rate, "align": align, "compare": compare}

if __name__ == "__main__":
    for step in sys.argv[1:] or STEPS:
        STEPS[step]()
