"""How likely a difference as large as the one seen is if nothing but chance tells two models apart."""

import numpy as np
import numpy.typing as npt

SIGNS_AT_ONCE = 4_000_000


def sign_flip_p(differences: npt.NDArray[np.float64], permutations: int, seed: int) -> float:
    """Two-sided p of a sum of paired differences, one a document, from random exchanges of the pairs' members.

    If the two models are alike, exchanging their scores on any document is as likely as not to have happened, so the
    sum under random signs is what chance makes of it (Fisher 1935). Counting the sum as seen among the permutations
    keeps the test exact (Phipson and Smyth 2010); the smallest p is 1 / (permutations + 1).
    """
    generator = np.random.default_rng(seed)
    # Rounding differs with the order of a sum: without this margin a tie would now and then count as smaller.
    seen = abs(differences.sum()) - 1e-9 * np.abs(differences).sum()
    as_large = 0
    chunk = max(1, SIGNS_AT_ONCE // max(1, len(differences)))
    for done in range(0, permutations, chunk):
        signs = generator.integers(0, 2, size=(min(chunk, permutations - done), len(differences)), dtype=np.int8)
        as_large += int((np.abs((2.0 * signs - 1) @ differences) >= seen).sum())
    return (1 + as_large) / (1 + permutations)
