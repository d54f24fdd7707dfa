"""The copy check beside every draft, and human plots as its yardstick."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from plotwright.errors import PlotwrightError
from plotwright.files import sha256_of
from plotwright.originality import CopyIndex
from plotwright.plots import read_plots
from plotwright.write import RUN_WORDS, TRAIN

TEST = Path("data/splits/test.parquet")
_HUMAN_PLOTS = 300  # test plots measured at most


@dataclass(frozen=True)
class Yardstick:
    """The same figures for human test plots cut to a draft's length. usual, high: median and 95th percentile of the
    longest shared run in words. novel: share of the 8-word runs that stand in no training plot."""

    plots: int
    usual: int
    high: int
    novel: float


class CopyCheck:
    """The training plots' index, and what it says of test plots."""

    def __init__(self, train: Path, test: Path):
        self.index = CopyIndex(read_plots(train))
        self.sha256 = sha256_of(train)
        texts = read_plots(test)["text"].tolist()[:_HUMAN_PLOTS]
        self.human = [self.index.match_lengths(text) for text in texts]

    def yardstick(self, words: int) -> Yardstick | None:
        """Test plots of at least `words` words, cut to so many; None where fewer than five are that long."""
        cut = [np.minimum(runs[:words], words - np.arange(words)) for runs in self.human if len(runs) >= words]
        if len(cut) < 5 or words < RUN_WORDS:
            return None
        longest = np.array([runs.max() for runs in cut])
        novel = np.concatenate([runs[: words - RUN_WORDS + 1] < RUN_WORDS for runs in cut]).mean()
        usual, high = (int(np.percentile(longest, share, method="higher")) for share in (50, 95))
        return Yardstick(len(cut), usual, high, float(novel))


@st.cache_resource(max_entries=1, show_spinner="Reading the training plots …")
def _load(stamp: str) -> CopyCheck:
    return CopyCheck(TRAIN, TEST)


def copy_check() -> CopyCheck:
    """The check against data/splits as it is now. Raises PlotwrightError when it is not there."""
    try:
        stats = [(str(path.absolute()), path.stat().st_size, path.stat().st_mtime_ns) for path in (TRAIN, TEST)]
    except FileNotFoundError as error:
        raise PlotwrightError(
            f"the training plots are not here ({error.filename} is missing); dvc pull or dvc repro brings them."
        ) from None
    return _load(hashlib.sha256(json.dumps(stats).encode()).hexdigest())


def trained_on(check: CopyCheck, manifest: dict[str, Any]) -> bool:
    """Whether the model was trained on the plots that the check reads; True where its folder does not say."""
    hashes = manifest.get("sources", {}).get("data", {})
    return hashes.get(TRAIN.as_posix(), check.sha256) == check.sha256
