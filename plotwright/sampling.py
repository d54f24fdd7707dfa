"""The sampling controls: from a model's logits to one token, drawn with the draft's own generator."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import ValidationError

from plotwright.errors import PlotwrightError
from plotwright.settings import GenerateSettings

Sampling = GenerateSettings  # the section `generate` of params.yaml is what a request carries

Logits = npt.NDArray[np.float32]
Places = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]

# Nearly every nucleus is smaller than this, and so many of 50,257 tokens are found twenty times faster
# than all are sorted.
_HEAD = 1024


def check_sampling(**values: Any) -> Sampling:
    """Sampling controls from outside: a form, a link, a command line.

    Raises PlotwrightError with one sentence that names control, value and what is allowed.
    """
    try:
        return Sampling.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        name = ".".join(str(part) for part in problem["loc"])
        what = problem["msg"][0].lower() + problem["msg"][1:]
        if problem["type"] in ("missing", "extra_forbidden"):
            raise PlotwrightError(f"the sampling control {name}: {what}.") from None
        raise PlotwrightError(f"{name} is {problem['input']!r}: {what}.") from None


def draft_generator(seed: int, draft: int) -> torch.Generator:
    """The generator of one draft: it depends on the request's seed and the draft's number, on nothing else.

    Always on the CPU, so that the numbers drawn are the same whatever computes the logits.
    """
    state = np.random.SeedSequence((seed, draft)).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(state >> np.uint64(1)))


def penalise_repetition(logits: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    """Logits (vocabulary,) in which those of the tokens `seen` are lowered (Keskar et al. 2019, CTRL).

    A positive one is divided by `penalty`, a negative one multiplied by it.
    """
    if penalty == 1:
        return logits
    old = logits[seen]
    return logits.index_put((seen,), torch.where(old < 0, old * penalty, old / penalty))


def _likeliest(logits: Logits, sampling: Sampling) -> tuple[Places, Weights, float]:
    """The tokens that top-k leaves: their ids and weights, and the weight of all of them.

    A weight is the probability but for a common factor. Without top-k, those beyond the nucleus may be
    missing; likeliest first wherever the order matters.
    """
    highest = float(logits.max())

    def weigh(values: Logits) -> Weights:
        with np.errstate(over="ignore"):  # at temperatures near zero all but the highest come to nothing
            return np.exp((values.astype(np.float64) - highest) / sampling.temperature)

    if sampling.top_k:
        ids = _highest(logits, sampling.top_k)
        weights = weigh(logits[ids])
        return ids, weights, float(weights.sum())
    everything = weigh(logits)
    total = float(everything.sum())
    if sampling.top_p == 1:
        return np.arange(len(logits)), everything, total
    ids = _highest(logits, _HEAD)
    if everything[ids].sum() < sampling.top_p * total:
        ids = np.argsort(-logits)
    return ids, everything[ids], total


def _highest(logits: Logits, number: int) -> Places:
    """The places of the `number` highest logits, the highest first."""
    if number >= len(logits):
        return np.argsort(-logits)
    places = np.argpartition(logits, -number)[-number:]
    return places[np.argsort(-logits[places])]


def candidates(logits: torch.Tensor, sampling: Sampling) -> tuple[Places, Weights]:
    """The ids of the tokens that may come next and their probabilities, (n,) each.

    logits: (vocabulary,) on the CPU. In Transformers' order: temperature, top-k, top-p (Holtzman et al.
    2020), min-p (Nguyen et al. 2024). The likeliest token always stays. One row at a time on purpose: a sum
    over a row of a larger array may be taken in another order and end in another last digit. In NumPy, whose
    sorting is several times faster here than PyTorch's, and whose calls on small arrays cost less.
    """
    ids, weights, total = _likeliest(logits.numpy(), sampling)
    keep = weights >= sampling.min_p * weights.max()
    if sampling.top_p < 1:
        keep &= weights.cumsum() - weights < sampling.top_p * total
    ids, weights = ids[keep], weights[keep]
    return ids, weights / weights.sum()


def draw(logits: torch.Tensor, seen: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    """One token id, by inverting the cumulative distribution at one uniform number from `generator`.

    logits: (vocabulary,) float32 on the CPU. seen: (n,) ids of prompt and text so far, which the
    repetition penalty is for.
    """
    ids, probabilities = candidates(penalise_repetition(logits, seen, sampling.repetition_penalty), sampling)
    below = probabilities.cumsum()
    uniform = float(torch.rand((), dtype=torch.float64, generator=generator))
    return int(ids[min(int(np.searchsorted(below, uniform * below[-1], side="right")), len(ids) - 1)])
