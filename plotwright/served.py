"""How well the model as it is served predicts a text: token by token for a reader, in sum for evaluate."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm

from plotwright.documents import Documents, join_documents, prompt
from plotwright.scoring import Window, windows_of
from plotwright.textstream import TextStream, decode
from plotwright.writing import Writer

_ROWS = 256  # rows of logits held at once


@dataclass(frozen=True)
class Alternative:
    """A token that could have stood here, and its probability."""

    text: str
    probability: float


@dataclass(frozen=True)
class ReadToken:
    """A token of a text as the model saw it coming.

    text: what it spells; of a character that takes several tokens, the last one spells it and the others
    nothing. bits: its surprisal, -log2 p. alternatives: the likeliest tokens in its place, likeliest first.
    """

    text: str
    bits: float
    alternatives: list[Alternative]


def _log_probabilities(writer: Writer, documents: Documents, part: Window) -> Iterator[tuple[torch.Tensor, int]]:
    """For each scored token of a window: log p (vocabulary,) of what may stand there, in nats, and the token."""
    tokens = torch.from_numpy(documents[part.document][part.start : part.end].astype(np.int64))
    first = part.scored_from - part.start
    hidden = writer.decoder.hidden(tokens[:-1])[first - 1 :]
    for rows, targets in zip(hidden.split(_ROWS), tokens[first:].split(_ROWS), strict=True):
        yield from zip(writer.decoder.head(rows).log_softmax(dim=-1), targets.tolist(), strict=True)


@torch.inference_mode()
def served_nats(
    writer: Writer, documents: Documents, window: int, stride: int, progress: str | None = None
) -> list[np.ndarray]:
    """What scoring.token_nats gives, but of the model as `writer` serves it (int8 where that is in use).

    The same windows and the same order: for each document a float64 array of -log p in nats.
    """
    nats: list[list[float]] = [[] for _ in range(len(documents))]
    for part in tqdm(windows_of(documents, window, stride), desc=progress, disable=progress is None, leave=False):
        nats[part.document] += [-float(row[token]) for row, token in _log_probabilities(writer, documents, part)]
    return [np.array(scores) for scores in nats]


@torch.inference_mode()
def surprisals(
    writer: Writer,
    text: str,
    genre: str | None = None,
    title: str | None = None,
    year: int | None = None,
    alternatives: int = 5,
) -> list[ReadToken]:
    """How the served model saw each token of a text (opening and continuation) after these fields coming.

    The text is split into tokens anew, which may differ here and there from how it was written. One longer
    than the context is read in overlapping windows, so that later tokens have at least half a context.
    """
    head = np.array(writer.encode(prompt("", genre, title, year)), dtype=np.int64)
    body = np.array(writer.encode(f" {text.strip()}") if text.strip() else [], dtype=np.int64)
    documents = join_documents([(head, body)])
    stream, read = TextStream(writer.tokenizer), []
    for part in windows_of(documents, writer.context, writer.context // 2):
        for row, token in _log_probabilities(writer, documents, part):
            likely = row.topk(min(alternatives, len(row)))
            chances = zip(likely.indices.tolist(), likely.values.exp().tolist(), strict=True)
            others = [Alternative(decode(writer.tokenizer, [other]), chance) for other, chance in chances]
            read.append(ReadToken(stream.add(token), -float(row[token]) / math.log(2), others))
    return read
