"""The scorer behind every loss, perplexity and bits-per-byte figure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from plotwright.documents import Documents

CHUNK = 1024  # rows of logits held at once


@dataclass(frozen=True)
class Window:
    """Tokens `start` to `end` of a document, of which those from `scored_from` on are scored."""

    document: int
    start: int
    scored_from: int
    end: int


def windows_of(documents: Documents, window: int, stride: int) -> list[Window]:
    """Windows of at most `window` tokens that together score each labelled token exactly once.

    The first window of a document scores all that fits; each later one moves on by `stride` tokens and
    scores only those, so that every one of them has at least `window - stride` tokens of context.
    """
    windows = []
    for document, (length, label_from) in enumerate(zip(documents.lengths, documents.label_from, strict=True)):
        end = min(int(length), window)
        windows.append(Window(document, 0, max(1, int(label_from)), end))
        while end < length:
            scored_from, end = end, min(end + stride, int(length))
            windows.append(Window(document, max(0, end - window), max(scored_from, int(label_from)), end))
    return [window for window in windows if window.scored_from < window.end]


@torch.no_grad()
def token_nats(
    model: PreTrainedModel,
    documents: Documents,
    window: int,
    stride: int,
    batch_size: int,
    progress: str | None = None,
) -> list[np.ndarray]:
    """-log p of every labelled token, in nats: for each document a float64 array in token order.

    Windows of like length go through the model together, filled up on the right: attention is causal,
    so what stands to the right changes nothing. `progress` names the progress bar, None shows none.
    """
    nats = [
        np.full(length - max(1, label_from), np.nan)
        for length, label_from in zip(documents.lengths.tolist(), documents.label_from.tolist(), strict=True)
    ]
    windows = sorted(windows_of(documents, window, stride), key=lambda w: w.start - w.end)
    for first in tqdm(range(0, len(windows), batch_size), desc=progress, disable=progress is None, leave=False):
        batch = windows[first : first + batch_size]
        for part, scores in zip(batch, _window_nats(model, documents, batch), strict=True):
            offset = max(1, int(documents.label_from[part.document]))
            nats[part.document][part.scored_from - offset : part.end - offset] = scores
    return nats


def _window_nats(model: PreTrainedModel, documents: Documents, batch: Sequence[Window]) -> list[np.ndarray]:
    device = model.device
    size = max(part.end - part.start for part in batch)
    inputs = torch.zeros(len(batch), size, dtype=torch.long)
    scored = torch.zeros(len(batch), size, dtype=torch.bool)
    for row, part in enumerate(batch):
        tokens = documents[part.document][part.start : part.end].astype(np.int64)
        inputs[row, : len(tokens)] = torch.from_numpy(tokens)
        scored[row, part.scored_from - part.start : len(tokens)] = True
    inputs, scored = inputs.to(device), scored.to(device)
    hidden = model.base_model(input_ids=inputs, use_cache=False).last_hidden_state
    rows, targets = hidden[:, :-1][scored[:, 1:]], inputs[:, 1:][scored[:, 1:]]
    counts = scored[:, 1:].sum(dim=1).tolist()
    return [part.cpu().double().numpy() for part in nats_of(model, rows, targets).split(counts)]


def nats_of(model: PreTrainedModel, hidden: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """-log p of each target (n,) after the last hidden state in its row (n, width), in nats, (n,), fp32."""
    head = model.get_output_embeddings()
    nats = [
        torch.nn.functional.cross_entropy(head(rows).float(), target, reduction="none")
        for rows, target in zip(hidden.split(CHUNK), targets.split(CHUNK), strict=True)
    ]
    return torch.cat(nats)


@dataclass(frozen=True)
class DocumentScores:
    """Sums over each document: nats (n,), predicted tokens (n,) and UTF-8 bytes of its text (n,)."""

    nats: np.ndarray
    tokens: np.ndarray
    bytes: np.ndarray


def document_scores(nats: Sequence[np.ndarray], texts: Sequence[str]) -> DocumentScores:
    """Sum token scores over each document; `texts` are what the documents' labelled tokens spell."""
    return DocumentScores(
        np.array([scores.sum() for scores in nats]),
        np.array([len(scores) for scores in nats]),
        np.array([len(text.encode("utf-8")) for text in texts]),
    )


def summarize(nats: np.ndarray, tokens: np.ndarray, size: np.ndarray) -> dict[str, np.ndarray]:
    """Loss, perplexity and bits per byte of sums over documents (scalars, or arrays over resamples).

    loss: nats a token. perplexity: exp(loss). bits_per_byte: nats / ln 2 / bytes.
    """
    loss = nats / tokens
    return {"loss": loss, "perplexity": np.exp(loss), "bits_per_byte": nats / math.log(2) / size}
