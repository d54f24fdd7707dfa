"""What simple compressors and counts reach on the same plots, in the same unit."""

import lzma
import math
import zlib
from collections import Counter
from collections.abc import Sequence

import numpy as np

from plotwright.documents import Documents


def uniform_bits_per_byte() -> float:
    """Every byte equally likely: 8 bits."""
    return 8.0


def xz_bits_per_byte(train: Sequence[str], test: Sequence[str]) -> float:
    """Bits that xz needs for the test texts after it has seen the training texts, a byte of test text.

    The difference of two compressed sizes: training and test texts together, less the training texts.
    """
    options = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 2**27}]

    def compressed(texts: Sequence[str]) -> int:
        return len(lzma.compress("\n".join(texts).encode("utf-8"), lzma.FORMAT_RAW, filters=options))

    extra = compressed([*train, *test]) - compressed(train)
    return 8 * extra / sum(len(text.encode("utf-8")) for text in test)


def gzip_bits(train: Sequence[str], test: Sequence[str]) -> np.ndarray:
    """Bits of each test text compressed by itself, shape (n,); the last 32 KiB of training text are the dictionary.

    Deflate, the method inside gzip, looks back no further than that; its header is left out.
    """
    dictionary = "\n".join(train).encode("utf-8")[-(2**15) :]

    def compressed(text: str) -> int:
        deflate = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=dictionary)
        return len(deflate.compress(text.encode("utf-8")) + deflate.flush())

    return np.array([8 * compressed(text) for text in test])


def unigram_nats(train: Documents, test: Documents, vocabulary: int) -> np.ndarray:
    """Nats of each test document under add-one smoothed token frequencies of the training plots, shape (n,)."""
    counts: Counter[int] = Counter()
    for index, first in enumerate(train.label_from):
        counts.update(train[index][first:].tolist())
    total = sum(counts.values()) + vocabulary
    cost = np.full(vocabulary, math.log(total))
    for token, count in counts.items():
        cost[token] = -math.log((count + 1) / total)
    return np.array([cost[test[index][first:]].sum() for index, first in enumerate(test.label_from)])
