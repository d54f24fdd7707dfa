"""The scorer: every token once, equal to the plain computation, whatever the batch."""

import math
from collections import Counter

import numpy as np
import pytest
import torch
from conftest import make_model
from hypothesis import given, settings
from hypothesis import strategies as st

from plotwright.documents import Documents, Plots, join_documents
from plotwright.scoring import document_scores, summarize, token_nats, windows_of


def blank_documents(shapes: list[tuple[int, int]]) -> Documents:
    """Documents of (context, labelled) sizes; their tokens do not matter."""
    return join_documents([(np.zeros(context, int), np.zeros(labelled, int)) for context, labelled in shapes])


def plain_nats(model: torch.nn.Module, tokens: np.ndarray, first: int, window: int, stride: int) -> list[float]:
    """One token at a time, one document at a time, with the context that the docstring of windows_of promises."""
    nats = []
    for at in range(max(1, first), len(tokens)):
        if at < window:
            start = 0
        else:
            end = min(window + ((at - window) // stride + 1) * stride, len(tokens))
            start = max(0, end - window)
        context = torch.from_numpy(tokens[start : at + 1].astype(np.int64))[None]
        with torch.no_grad():
            log_probabilities = model(input_ids=context).logits[0, -2].log_softmax(-1)
        nats.append(-float(log_probabilities[context[0, -1]]))
    return nats


@pytest.mark.parametrize(("window", "stride", "batch"), [(64, 16, 1), (64, 16, 5), (24, 8, 4), (24, 23, 3)])
def test_scores_equal_the_plain_one_document_at_a_time_computation(tokenizer, plots, window, stride, batch):
    documents = Plots(plots.head(5), tokenizer).documents()
    model = make_model(len(tokenizer))
    ours = token_nats(model, documents, window, stride, batch)
    assert max(documents.lengths) > window or window == 64
    for index in range(len(documents)):
        plain = plain_nats(model, documents[index], int(documents.label_from[index]), window, stride)
        np.testing.assert_allclose(ours[index], plain, atol=2e-5)


@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(1, 200)), min_size=1, max_size=8),
    st.integers(8, 64),
    st.integers(1, 63),
)
@settings(max_examples=150, deadline=None)
def test_windows_score_every_labelled_token_exactly_once(shapes, window, stride):
    stride = min(stride, window - 1)
    documents = blank_documents(shapes)
    scored = Counter()
    for part in windows_of(documents, window, stride):
        assert part.end - part.start <= window
        assert part.start < part.scored_from
        scored.update((part.document, at) for at in range(part.scored_from, part.end))
    expected = Counter(
        (index, at)
        for index, (context, labelled) in enumerate(shapes)
        for at in range(max(1, context), context + labelled)
    )
    assert scored == expected


def test_later_windows_give_each_token_the_promised_context():
    documents = blank_documents([(1, 999)])
    for part in windows_of(documents, 64, 16)[1:]:
        assert part.scored_from - part.start >= 64 - 16


def test_the_loss_does_not_depend_on_the_batch_size(tokenizer, plots):
    documents = Plots(plots, tokenizer).documents()
    model = make_model(len(tokenizer))
    sums = [sum(map(np.sum, token_nats(model, documents, 64, 16, batch))) for batch in (1, 3, 40)]
    np.testing.assert_allclose(sums, sums[0], rtol=1e-6)


def test_bits_per_byte_and_perplexity_agree_with_a_hand_computation():
    # Two documents: 2 tokens of 1/2 each, and one token of 1/16; "é" has two bytes.
    nats = [np.log([2.0, 2.0]), np.log([16.0])]
    scores = document_scores(nats, ["ab", "é"])
    figures = summarize(scores.nats.sum(), scores.tokens.sum(), scores.bytes.sum())
    assert figures["loss"] == pytest.approx(math.log(64) / 3)
    assert figures["perplexity"] == pytest.approx(4.0)
    assert figures["bits_per_byte"] == pytest.approx(6 / 4)
