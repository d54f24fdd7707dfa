"""What an aligned model gained and lost: whether it prefers what readers preferred, how far it went from its parent."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from plotwright.bootstrap import bootstrap_interval, resample_counts, with_interval
from plotwright.documents import CUE, Documents, Plots, encode, join_documents
from plotwright.evaluation import Report, bits_report, scores_report
from plotwright.machine import accelerator
from plotwright.models import context_of, load_model, load_tokenizer
from plotwright.preferences import Kind
from plotwright.scoring import document_scores, token_nats, windows_of
from plotwright.settings import Params
from plotwright.specimens import write_texts
from plotwright.writing import Request, Writer

CHUNK = 256  # rows of logits held at once


@dataclass(frozen=True)
class Pair:
    """An aligned model and its parent, which share a tokenizer."""

    model: PreTrainedModel
    parent: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def open_pair(model: Path, parent: Path) -> Pair:
    """Both models in fp32 on the machine's accelerator, as evaluate opens them."""
    opened = [load_model(folder) for folder in (model, parent)]
    for one in opened:
        torch.nn.Module.to(one, device=accelerator())
    return Pair(opened[0], opened[1], load_tokenizer(parent))


def written_documents(tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], texts: Sequence[str]) -> Documents:
    """Each prompt with the text written after it; the text alone is predicted, without the token that ends it."""
    parts = (encode(tokenizer, part) for part in (prompts, texts))
    return join_documents(list(zip(*parts, strict=True)))


def gains(pair: Pair, prompts: Sequence[str], texts: Sequence[str], batch_size: int) -> np.ndarray:
    """How much likelier each text is to the model than to its parent: log p of it less log p, in nats, (n,).

    DPO calls beta times this the implicit reward.
    """
    documents, context = written_documents(pair.tokenizer, prompts, texts), context_of(pair.model)
    before, after = (token_nats(one, documents, context, context // 2, batch_size) for one in (pair.parent, pair.model))
    return np.array([one.sum() - other.sum() for one, other in zip(before, after, strict=True)])


def thumbs_accuracy(rows: pd.DataFrame, gain: np.ndarray, resamples: int, seed: int) -> dict[str, float]:
    """In what share of the pairs of a liked and a disliked text the liked one gained more; a tie is half.

    rows: columns attempt, verdict. Chance is 0.5. The interval draws attempts, since the drafts of one are alike.
    """
    names, at = np.unique(rows["attempt"].to_numpy(), return_inverse=True)
    up = (rows["verdict"] == "up").to_numpy()
    difference = gain[up][:, None] - gain[~up][None, :]
    wins = (difference > 0) + 0.5 * (difference == 0)
    counts = resample_counts(len(names), resamples, np.random.default_rng(seed))
    liked, disliked = counts[:, at[up]], counts[:, at[~up]]
    pairs = liked.sum(axis=1) * disliked.sum(axis=1)
    drawn = ((liked @ wins) * disliked).sum(axis=1)[pairs > 0] / pairs[pairs > 0]
    return {"pairs": wins.size, **with_interval({"accuracy": wins.mean()}, {"accuracy": drawn})}


def choices_accuracy(
    pairs: pd.DataFrame, chosen: np.ndarray, rejected: np.ndarray, resamples: int, seed: int
) -> dict[str, float]:
    """In what share of the pairs of a chosen and a rejected draft the chosen one gained more; chance is 0.5."""
    wins = (chosen > rejected) + 0.5 * (chosen == rejected)
    sums = pd.DataFrame({"wins": wins, "pairs": 1.0}).groupby(pairs["attempt"].to_numpy()).sum().to_numpy()
    figures = bootstrap_interval(sums, lambda won, count: {"accuracy": won / count}, resamples, seed)
    return {"pairs": len(pairs), **figures}


@torch.no_grad()
def divergence(pair: Pair, documents: Documents, window: int, stride: int, progress: str) -> list[np.ndarray]:
    """KL(model || parent) of the next-token distributions in nats, at every predicted token of each document.

    Summed over the whole vocabulary, in the windows that the scorer uses.
    """
    found: list[list[float]] = [[] for _ in range(len(documents))]
    for part in tqdm(windows_of(documents, window, stride), desc=progress, leave=False):
        tokens = torch.from_numpy(documents[part.document][part.start : part.end - 1].astype(np.int64))
        first = part.scored_from - part.start - 1
        states = [
            (one.base_model(tokens[None].to(one.device), use_cache=False).last_hidden_state[0, first:], one)
            for one in (pair.model, pair.parent)
        ]
        chunks = zip(*(state.split(CHUNK) for state, _ in states), strict=True)
        heads = [one.get_output_embeddings() for _, one in states]
        for rows in chunks:
            log_p, log_q = (head(row).float().log_softmax(-1) for head, row in zip(heads, rows, strict=True))
            found[part.document] += (log_p.exp() * (log_p - log_q)).sum(-1).tolist()
    return [np.array(values) for values in found]


def preference_report(kind: Kind, pair: Pair, rows: pd.DataFrame, params: Params) -> Report:
    """How often the model's likelihoods moved as held-out feedback would have them."""
    batch, draws = params.evaluate.batch_size, (params.evaluate.resamples, params.seed)

    def gain(column: str) -> np.ndarray:
        return gains(pair, rows["prompt"].tolist(), rows[column].tolist(), batch)

    if kind == "thumbs":
        return thumbs_accuracy(rows, gain("text"), *draws)
    return choices_accuracy(rows, gain("chosen"), gain("rejected"), *draws)


def _kl_report(name: str, found: Sequence[np.ndarray], params: Params) -> Report:
    sums = np.array([(values.sum(), len(values)) for values in found if len(values)])
    return bootstrap_interval(sums, lambda kl, tokens: {name: kl / tokens}, params.evaluate.resamples, params.seed)


def plots_report(pair: Pair, test: pd.DataFrame, params: Params) -> Report:
    """The scores of both models on the test plots, and by how much the model's differ from the parent's.

    drift.bits_per_byte: above 0 the model is worse; drift.share: the same as a share of the parent's bits.
    drift.kl_test: KL from the parent in nats a token of the test plots.
    """
    settings, window = params.evaluate, params.train.block_size
    documents = Plots(test, pair.tokenizer).documents()
    after, before = (
        document_scores(token_nats(one, documents, window, settings.stride, settings.batch_size), test["text"].tolist())
        for one in (pair.model, pair.parent)
    )
    share = bootstrap_interval(
        np.stack([after.nats, before.nats], axis=1),
        lambda one, other: {"share": one / other - 1},
        settings.resamples,
        params.seed,
    )
    kl = divergence(pair, documents, window, settings.stride, "Comparing on test plots")
    return {
        "test": {"plots": len(test), **scores_report(after, params)},
        "parent": scores_report(before, params),
        "drift": {
            **bits_report(after.nats - before.nats, after.bytes, params),
            **share,
            **_kl_report("kl_test", kl, params),
        },
    }


def written_report(pair: Pair, folder: Path, params: Params) -> Report:
    """kl_written: KL from the parent in nats a token of what the model itself writes, where it goes furthest."""
    requests = [Request(params.generate, params.seed + number) for number in range(params.evaluate.texts)]
    texts = [sample.text for sample in write_texts(Writer(folder), requests, "Writing")]
    documents = written_documents(pair.tokenizer, [CUE] * len(texts), texts)
    context = context_of(pair.model)
    kl = divergence(pair, documents, context, context // 2, "Comparing on written plots")
    return _kl_report("kl_written", kl, params)
