"""Texts that a model writes to be looked at: for the measures of evaluate, and for a person in plots/samples.md."""

import re
from collections.abc import Sequence

import pandas as pd
from tqdm import tqdm

from plotwright.degeneration import Sample
from plotwright.documents import Plots
from plotwright.originality import CopyIndex, SharedRun
from plotwright.sampling import Sampling
from plotwright.textstream import decode
from plotwright.writing import Request, Writer, collect

# The first is the source tutorial's. Each is written with its own seed, params.seed plus its place here.
OPENINGS = (
    "A short film about a pilot who",
    "In a small fishing village, a young woman",
    "Two brothers return from the war and",
    "When the body of a wealthy banker is found in the library,",
    "The crew of a spaceship receives a signal",
    "A widowed baker falls in love with",
)


def write_texts(writer: Writer, requests: Sequence[Request], progress: str) -> list[Sample]:
    """What the model writes for each request of one draft, with the opening before it."""
    streams = [writer.write(request) for request in requests]
    samples = []
    for request, stream in zip(requests, tqdm(streams, desc=progress, unit=" texts", leave=False), strict=True):
        written = collect(stream)[0]
        samples.append(Sample(request.opening + written.text, written.reason == "end"))
    return samples


def human_texts(frame: pd.DataFrame, writer: Writer, tokens: int) -> list[Sample]:
    """The plots of a split, each cut after so many tokens, as the model's texts are."""
    plots = Plots(frame, writer.tokenizer)
    # A plot's tokens include the one that ends it: a text of as many others is cut off before it could end, as the
    # model's are.
    return [
        Sample(decode(writer.tokenizer, text[:tokens].tolist()).strip(), len(text) <= tokens) for text in plots.texts
    ]


def samples_page(
    writer: Writer, index: CopyIndex, sampling: Sampling, seed: int, measured: int, longest: SharedRun | None
) -> str:
    """Markdown: what the model writes after each of OPENINGS, and the longest run it has from a training plot.

    At the end `longest`, the longest such run of the `measured` texts that the figures are of.
    """
    requests = [Request(sampling, seed + place, opening) for place, opening in enumerate(OPENINGS)]
    lines = ["# Samples", "", f"Written by evaluate with {_settings(sampling)}; not chosen by hand.", ""]
    for request, sample in zip(requests, write_texts(writer, requests, "Writing samples"), strict=True):
        continuation = sample.text[len(request.opening) :]
        end = "" if sample.ended else " **[cut off]**"
        quoted = f"**{_escape(request.opening)}**{_escape(continuation)}{end}".replace("\n", "\n>\n> ")
        shared = _shared(index.check(sample.text).longest)
        lines += [f"> {quoted}", "", f"Seed {request.seed}. Longest run from a training plot: {shared}.", ""]
    lines += [
        f"Longest run from a training plot in the {measured} texts that evaluate measures: {_shared(longest)}.",
        "",
    ]
    return "\n".join(lines)


def _settings(sampling: Sampling) -> str:
    return ", ".join(f"{name} {value:g}" for name, value in sampling.model_dump().items())


def _shared(longest: SharedRun | None) -> str:
    if longest is None:
        return "none, not even a word"
    passage = _escape(" ".join(longest.passage.split()))
    words = "1 word" if longest.words == 1 else f"{longest.words} words"
    return f'{words}, "{passage}" (*{_escape(longest.title)}*)'


def _escape(text: str) -> str:
    """`text` with everything that Markdown or HTML would take for markup made plain."""
    return re.sub(r"[\\`*_{}\[\]#|~<>&]", lambda match: f"&#{ord(match[0])};", text)
