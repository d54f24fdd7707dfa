"""Under which licence a trained model may be passed on: that of its text and that of its base model."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from huggingface_hub import metadata_load

from plotwright.errors import PlotwrightError

# What data.raw may name, with the Hub's identifiers of licences (https://huggingface.co/docs/hub/repositories-licenses).
TEXTS = {
    "data/sample/plots.csv": ("cc0-1.0", "original plots written for Plotwright"),
    "data/wikipedia/plots.csv": (
        "cc-by-sa-4.0",
        "plots by Wikipedia's authors, in the data set "
        "[Wikipedia Movie Plots](https://www.kaggle.com/datasets/jrobischon/wikipedia-movie-plots)",
    ),
}
BASES = {
    "distilbert/distilgpt2": "apache-2.0",
    "openai-community/gpt2": "mit",
    "openai-community/gpt2-medium": "mit",
    "EleutherAI/gpt-neo-125m": "mit",
}
ASKS_NOTHING = {"cc0-1.0", "unlicense"}
SHARE_ALIKE = ("cc-by-sa-4.0", "cc-by-sa-3.0")


@dataclass(frozen=True)
class Text:
    """The training text: its licence, and what it is in a few words."""

    licence: str
    what: str


@dataclass(frozen=True)
class Base:
    """The base model: its licence, its name, and its repository on the Hub where it came from there."""

    licence: str
    name: str
    repo: str | None


def licence_of_text(raw: str, stated: str | None) -> Text:
    """The text that data.raw names; `stated` is what the user says of it.

    Raises PlotwrightError when nobody says what its licence is.
    """
    if raw in TEXTS:
        return Text(*TEXTS[raw])
    if stated is None:
        raise PlotwrightError(
            f"the licence of {raw}, which the model was trained on, is not known; state it with --data-license, for "
            "instance --data-license cc-by-4.0, or do not publish."
        )
    return Text(stated, f"a collection of the publisher's own, `{Path(raw).name}`")


def licence_of_base(folder: Path, stated: str | None) -> Base:
    """The base model in a folder: what its card says, or what is known of the Hub's repository it came from.

    Raises PlotwrightError when nobody says what its licence is.
    """
    source, card = folder / "source.json", folder / "README.md"
    repo: str | None = json.loads(source.read_text(encoding="utf-8"))["repo"] if source.exists() else None
    of_card: Mapping[str, str] = (metadata_load(card) if card.exists() else None) or {}
    licence = BASES.get(repo or "") or of_card.get("license") or stated
    if licence is None:
        raise PlotwrightError(
            f"the licence of the base model {folder} is not known; write it into the head of {card} (license: ...) or "
            "state it with --base-license."
        )
    return Base(licence, repo or folder.name, repo)


def licence_of_model(text: str, base: str) -> str:
    """The licence that a model made of both can be passed on under, "other" where that takes reading both."""
    asking = {text, base} - ASKS_NOTHING
    if len(asking) <= 1:
        return next(iter(asking), text)
    shared_alike = [licence for licence in SHARE_ALIKE if licence in asking]
    permissive = asking <= {*SHARE_ALIKE, "mit", "apache-2.0", "cc-by-4.0"}
    return shared_alike[0] if permissive and len(shared_alike) == 1 else "other"
