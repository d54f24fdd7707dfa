"""Sampling: the same tokens and probabilities as a plain computation and as Transformers' own processors."""

import numpy as np
import pytest
import torch
from transformers import (
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from plotwright.errors import PlotwrightError
from plotwright.sampling import Sampling, candidates, check_sampling, draft_generator, draw, penalise_repetition

OFF = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0, "max_new_tokens": 20}
CASES = [
    {},
    {"temperature": 0.7},
    {"top_k": 1},
    {"top_k": 7},
    {"top_k": 10_000},
    {"top_p": 0.4},
    {"top_p": 1e-9},
    {"min_p": 0.1},
    {"min_p": 1.0},
    {"temperature": 1.6, "top_k": 40, "top_p": 0.9, "min_p": 0.02, "repetition_penalty": 1.3},
]


def controls(**values: object) -> Sampling:
    return check_sampling(**{**OFF, **values})


def logits_of(seed: int, size: int = 300) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)) * 3


def spread(ids: np.ndarray, probabilities: np.ndarray, size: int) -> np.ndarray:
    """Probabilities over the whole vocabulary."""
    result = np.zeros(size)
    result[ids] = probabilities
    return result


def plain(logits: torch.Tensor, seen: list[int], sampling: Sampling) -> np.ndarray:
    """The same by the definitions, one token at a time."""
    scores = logits.double().numpy().copy()
    for token in set(seen):
        penalty = sampling.repetition_penalty
        scores[token] = scores[token] * penalty if scores[token] < 0 else scores[token] / penalty
    weights = np.exp((scores - scores.max()) / sampling.temperature)
    order = np.argsort(-weights, kind="stable")
    if sampling.top_k:
        order = order[: sampling.top_k]
    total, before, kept = weights[order].sum(), 0.0, []
    for token in order:
        if before < sampling.top_p * total and weights[token] >= sampling.min_p * weights[order[0]]:
            kept.append(token)
        before += weights[token]
    result = np.zeros(len(weights))
    result[kept] = weights[kept] / weights[kept].sum()
    return result


@pytest.mark.parametrize("values", CASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_candidates_equal_the_plain_computation_and_transformers(values, seed):
    sampling, logits, seen = controls(**values), logits_of(seed), [3, 4, 4, 250]
    penalised = penalise_repetition(logits, torch.tensor(seen), sampling.repetition_penalty)
    ours = spread(*candidates(penalised, sampling), len(logits))
    np.testing.assert_allclose(ours, plain(logits, seen, sampling), atol=1e-7)

    processors = LogitsProcessorList([TemperatureLogitsWarper(sampling.temperature)])
    if sampling.repetition_penalty != 1:
        processors.insert(0, RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    if sampling.top_k:
        processors.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        processors.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        processors.append(MinPLogitsWarper(sampling.min_p))
    theirs = processors(torch.tensor([seen]), logits[None].clone())[0].double().softmax(-1).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("top_p", [0.3, 0.9, 0.999])
def test_a_nucleus_of_any_size_is_found_in_a_large_vocabulary(top_p):
    logits = logits_of(2, 5000) / 3
    sampling = controls(top_p=top_p)
    np.testing.assert_allclose(spread(*candidates(logits, sampling), 5000), plain(logits, [0], sampling), atol=1e-9)


def test_draws_come_as_often_as_their_probability_says():
    logits, sampling, seen = logits_of(3, 12), controls(top_p=0.9, temperature=1.5), torch.tensor([0])
    generator = draft_generator(1, 0)
    counts = np.bincount([draw(logits, seen, sampling, generator) for _ in range(4000)], minlength=12)
    expected = plain(logits, [], sampling)
    assert (counts[expected == 0] == 0).all()
    deviation = np.sqrt(expected * (1 - expected) / 4000)
    assert (np.abs(counts / 4000 - expected) <= 4 * deviation + 1e-9).all()


def test_a_temperature_near_zero_takes_the_likeliest_token():
    logits = logits_of(4)
    for temperature in (1e-3, 1e-30, 1e-310):
        chosen = draw(logits, torch.tensor([0]), controls(temperature=temperature), draft_generator(0, 0))
        assert chosen == int(logits.argmax())


def test_drafts_have_generators_of_their_own_that_come_again():
    def numbers(seed: int, draft: int) -> list[float]:
        return torch.rand(4, generator=draft_generator(seed, draft)).tolist()

    streams = [numbers(seed, draft) for seed in (0, 1, 2**32 - 1) for draft in range(4)]
    assert len(set(map(tuple, streams))) == 12
    assert numbers(1, 2) == streams[6]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"temperature": 0.0}, ["temperature", "0.0", "greater than 0"]),
        ({"temperature": float("nan")}, ["temperature", "nan"]),
        ({"top_k": -1}, ["top_k", "-1", "greater than or equal to 0"]),
        ({"top_p": 0.0}, ["top_p", "0.0", "greater than 0"]),
        ({"top_p": 1.5}, ["top_p", "1.5", "less than or equal to 1"]),
        ({"min_p": 2.0}, ["min_p", "2.0", "less than or equal to 1"]),
        ({"repetition_penalty": 0.5}, ["repetition_penalty", "0.5", "greater than or equal to 1"]),
        ({"max_new_tokens": 0}, ["max_new_tokens", "0", "greater than or equal to 1"]),
        ({"top_k": "many"}, ["top_k", "'many'", "integer"]),
        ({"topk": 3}, ["topk"]),
    ],
)
def test_a_control_out_of_range_is_named_in_one_sentence(values, words):
    with pytest.raises(PlotwrightError) as caught:
        controls(**values)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")
    for word in words:
        assert word in message
