"""An interpolated Kneser-Ney language model with three discounts an order (Chen and Goodman 1999, section 3).

No library fits: kenlm's Python package reads models but does not estimate them, and nltk's has one fixed discount and
takes minutes on a thousand plots. Here n-grams are numbers, and an order is a few sorts of an array.

A document is its predicted tokens after begin-of-document marks, so every token has a full context. The highest order
counts how often an n-gram stands in the training documents, each lower one how many different tokens stand before it.
The lowest is mixed with equal chances for every token of the vocabulary.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from plotwright.documents import Documents

ORDER = 5
# Where a tiny corpus does not determine the discounts, those of lmplz --discount_fallback (Heafield et al. 2013).
FALLBACK = (0.5, 1.0, 1.5)

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Grams:
    """The n-grams that end at each token, as numbers of which equal ones are equal n-grams.

    gram, context: shape (tokens,); the context is the n-gram without its last token. first: for each n-gram number
    the place of one token at which it ends, or -1 if none of the training tokens is one.
    """

    gram: IntArray
    context: IntArray
    first: IntArray


def discounts(counts: IntArray) -> tuple[float, float, float]:
    """What is taken from n-grams counted once, twice, and three times or more (Chen and Goodman 1999, equation 26)."""
    once, twice, thrice, four = (int((counts == times).sum()) for times in (1, 2, 3, 4))
    if not (once and twice and thrice):
        return FALLBACK
    rest = once / (once + 2 * twice)
    found = (1 - 2 * rest * twice / once, 2 - 3 * rest * thrice / twice, 3 - 4 * rest * four / thrice)
    return found if all(0 < discount <= times for times, discount in enumerate(found, 1)) else FALLBACK


def kneser_ney_nats(train: Documents, test: Documents, vocabulary: int, order: int = ORDER) -> FloatArray:
    """Nats of each test document under the model of the training documents, shape (len(test),).

    `vocabulary` is the number of tokens that can be predicted. Only the documents' labelled tokens are read.
    """
    tokens, position, of_train, document = _labelled(train, test)
    grams = _number_grams(tokens, position, of_train, order)
    probability = np.full(len(tokens), 1 / vocabulary)
    for size in range(1, order + 1):
        here = grams[size - 1]
        seen = here.first >= 0
        counts = np.zeros(len(here.first), dtype=np.int64)
        if size == order:
            counts += np.bincount(here.gram[of_train], minlength=len(counts))
        else:
            longer = grams[size].first
            counts += np.bincount(here.gram[longer[longer >= 0]], minlength=len(counts))
        probability = _interpolate(here, counts, seen, probability)
    nats = -np.log(probability[~of_train])
    return np.bincount(document[~of_train], weights=nats, minlength=len(test)).astype(np.float64)


def _labelled(train: Documents, test: Documents) -> tuple[IntArray, IntArray, npt.NDArray[np.bool_], IntArray]:
    """The labelled tokens of both, with each one's position in its document, whether it trains, and its document."""
    tokens, position, document = [], [], []
    for documents in (train, test):
        for index, label_from in enumerate(documents.label_from.tolist()):
            labelled = documents[index][label_from:].astype(np.int64)
            tokens.append(labelled)
            position.append(np.arange(len(labelled)))
            document.append(np.full(len(labelled), index))
    of_train = np.arange(sum(map(len, tokens))) < train.labelled
    joined = [np.concatenate([np.empty(0, np.int64), *parts]) for parts in (tokens, position, document)]
    return joined[0], joined[1], of_train, joined[2]


def _number_grams(tokens: IntArray, position: IntArray, of_train: npt.NDArray[np.bool_], order: int) -> list[_Grams]:
    """The n-grams of sizes 1 to `order` that end at each token.

    What stands before a document is as many begin-of-document marks as needed: the n-gram that ends before the first
    token gets the number 0, which no other has.
    """
    grams = []
    context = np.zeros(len(tokens), dtype=np.int64)
    width = int(tokens.max(initial=0)) + 1
    for _ in range(order):
        _, gram = np.unique(context * width + tokens, return_inverse=True)
        first = np.full(int(gram.max(initial=-1)) + 1, -1)
        first[gram[of_train]] = np.flatnonzero(of_train)
        grams.append(_Grams(gram, context, first))
        context = np.where(position > 0, np.roll(gram, 1) + 1, 0)
    return grams


def _interpolate(grams: _Grams, counts: IntArray, seen: npt.NDArray[np.bool_], lower: FloatArray) -> FloatArray:
    """The probability of each token at this order, from `lower`, its probability at the order below."""
    taken = np.array([0.0, *discounts(counts[seen])])[np.minimum(counts, 3)]
    context = grams.context[grams.first[seen]]
    contexts = int(grams.context.max(initial=-1)) + 1
    total = np.bincount(context, weights=counts[seen], minlength=contexts)[grams.context]
    left = np.bincount(context, weights=taken[seen], minlength=contexts)[grams.context]
    own = (counts - taken)[grams.gram]
    return np.where(total > 0, (own + left * lower) / np.maximum(total, 1), lower)
