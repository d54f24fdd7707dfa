"""Does the model use the opening? Its own continuation of a plot against nine others of the same genre.

After the opening of a test plot the model scores that plot's continuation and those of nine rivals, all of as many
tokens. A model that goes by the opening finds the plot's own the likeliest; one that does not is right one time in
ten. Some continuations are easier than others whatever the opening, so the same is asked of each continuation's
likelihood less its likelihood without any opening.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm
from transformers import PreTrainedModel

from plotwright.documents import Plots
from plotwright.scoring import nats_of

RIVALS = 9

# Tokens of openings (n, length) and of the continuations that compete after each (n, k, length); the nats of each
# continuation after its opening (n, k).
Scorer = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Choices:
    """asked: (n,) plots whose opening is shown. candidates: (n, 1 + RIVALS) plots whose continuations compete, the
    asked plot first. of_same_genre: share of the rivals that are of the asked plot's genre."""

    asked: np.ndarray
    candidates: np.ndarray
    of_same_genre: float


def choose(genres: Sequence[str], fits: np.ndarray, test: np.ndarray, number: int, seed: int) -> Choices | None:
    """Up to `number` of the plots marked in `test`, each with rivals of its genre.

    fits: which plots are long enough for opening and continuation. Where a genre has too few, rivals of other genres
    fill up. None where there are not enough plots for one choice.
    """
    generator = np.random.default_rng(seed)
    names = np.asarray(genres)
    pool = np.flatnonzero(fits)
    asked = np.flatnonzero(fits & test)
    if not len(asked) or len(pool) <= RIVALS:
        return None
    asked = np.sort(generator.permutation(asked)[:number])
    candidates = np.empty((len(asked), 1 + RIVALS), dtype=np.int64)
    for row, plot in enumerate(asked):
        others = generator.permutation(pool[pool != plot])
        same = names[others] == names[plot]
        candidates[row] = [plot, *np.concatenate([others[same], others[~same]])[:RIVALS]]
    return Choices(asked, candidates, float((names[candidates[:, 1:]] == names[asked][:, None]).mean()))


def chosen_rightly(own: np.ndarray, rivals: np.ndarray) -> np.ndarray:
    """1 where the own continuation has fewer nats (n,) than every rival (n, RIVALS); a tie of k shares it, 1 / k."""
    least = rivals.min(axis=1)
    ties = 1 + (rivals == own[:, None]).sum(axis=1)
    return np.where(own < least, 1.0, np.where(own == least, 1 / ties, 0.0))


@dataclass(frozen=True)
class OpeningUse:
    """For each asked plot whether its own continuation was chosen (0 to 1): by likelihood after the opening, and by
    that less the likelihood without an opening."""

    by_likelihood: np.ndarray
    by_gain: np.ndarray


def long_enough(plots: Plots, opening: int, continuation: int) -> np.ndarray:
    """Which plots have so many tokens, and their end besides."""
    return np.array([len(text) > opening + continuation for text in plots.texts])


def measure_opening_use(plots: Plots, choices: Choices, opening: int, continuation: int, score: Scorer) -> OpeningUse:
    """Whether the model behind `score` finds each asked plot's own continuation; lengths in tokens."""
    asked = np.stack([np.append(plots.cue, plots.texts[plot][:opening]) for plot in choices.asked])
    used, place = np.unique(choices.candidates, return_inverse=True)
    ends = np.stack([plots.texts[plot][opening : opening + continuation] for plot in used])
    place = place.reshape(choices.candidates.shape)
    nats = score(asked, ends[place])
    alone = score(np.tile(plots.cue, (len(used), 1)), ends[:, None])[:, 0]
    return OpeningUse(*(chosen_rightly(values[:, 0], values[:, 1:]) for values in (nats, nats - alone[place])))


@torch.no_grad()
def continuation_nats(
    model: PreTrainedModel, openings: np.ndarray, ends: np.ndarray, batch_size: int, progress: str | None = None
) -> np.ndarray:
    """A Scorer: what scoring.token_nats gives for each continuation, summed, but each opening is read only once.

    `batch_size` openings are read together. `progress` names the progress bar, None shows none.
    """
    nats = []
    for first in tqdm(range(0, len(openings), batch_size), desc=progress, disable=progress is None, leave=False):
        batch = slice(first, first + batch_size)
        tokens, targets = (torch.from_numpy(rows[batch].astype(np.int64)).to(model.device) for rows in (openings, ends))
        nats.append(_nats_after(model, tokens, targets).cpu().double().numpy())
    return np.concatenate(nats)


def _nats_after(model: PreTrainedModel, openings: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    """The nats (n, k) of continuations (n, k, length) after openings (n, length)."""
    number, rivals, length = ends.shape
    read = model.base_model(input_ids=openings, use_cache=True)
    read.past_key_values.batch_repeat_interleave(rivals)
    after = model.base_model(input_ids=ends.flatten(0, 1)[:, :-1], past_key_values=read.past_key_values, use_cache=True)
    last = read.last_hidden_state[:, -1:].repeat_interleave(rivals, dim=0)
    hidden = torch.cat([last, after.last_hidden_state], dim=1).flatten(0, 1)
    return nats_of(model, hidden, ends.flatten()).view(number, rivals, length).double().sum(dim=2)


def both_parts(test: pd.DataFrame, validation: pd.DataFrame) -> tuple[pd.DataFrame, np.ndarray]:
    """Test plots, and validation plots as further rivals, none of them trained on; and which are test plots."""
    plots = pd.concat([test, validation], ignore_index=True)
    return plots, np.arange(len(plots)) < len(test)
