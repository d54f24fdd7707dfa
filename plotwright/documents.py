"""One plot as one document of tokens: `<prefix>Plot: <text><eos>`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from plotwright.genres import UNKNOWN

CUE = "Plot:"


@dataclass(frozen=True)
class Documents:
    """Token sequences of differing length, one after another.

    tokens: (total,) token ids. starts: (n + 1,) where each document begins, and the total.
    label_from: (n,) index inside each document of the first token that is predicted; what stands
    before it is context only.
    """

    tokens: np.ndarray
    starts: np.ndarray
    label_from: np.ndarray

    def __len__(self) -> int:
        return len(self.label_from)

    def __getitem__(self, index: int) -> np.ndarray:
        """The token ids of one document."""
        return self.tokens[self.starts[index] : self.starts[index + 1]]

    @property
    def lengths(self) -> np.ndarray:
        """Tokens in each document, shape (n,)."""
        return np.diff(self.starts)

    @property
    def labelled(self) -> int:
        """Tokens that are predicted, over all documents."""
        return int((self.lengths - self.label_from).sum())

    def select(self, indices: np.ndarray) -> "Documents":
        """The documents with these indices, in this order."""
        starts = np.concatenate([[0], np.cumsum(self.lengths[indices])])
        tokens = np.concatenate([self.tokens[:0], *(self[int(i)] for i in indices)])
        return Documents(tokens, starts, self.label_from[indices])


def join_documents(parts: Sequence[Sequence[np.ndarray]]) -> Documents:
    """Documents whose i-th one is the concatenation of `parts[i]`; only its last part is predicted."""
    lengths = np.array([sum(map(len, document)) for document in parts], dtype=np.int64)
    tokens = np.concatenate([part for document in parts for part in document], dtype=np.int32)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Documents(tokens, starts, lengths - np.array([len(document[-1]) for document in parts], dtype=np.int64))


def prefix_fields(genre: str | None, title: str | None, year: int | None) -> list[str]:
    """The lines that may stand before a plot; what is unknown or empty has no line."""
    fields = []
    if genre and genre != UNKNOWN:
        fields.append(f"Genre: {genre}\n")
    if title:
        fields.append(f"Title: {title}\n")
    if year:
        fields.append(f"Year: {year}\n")
    return fields


def prompt(opening: str = "", genre: str | None = None, title: str | None = None, year: int | None = None) -> str:
    """The text that asks the model for a plot beginning with `opening`."""
    opening = opening.strip()
    return "".join(prefix_fields(genre, title, year)) + CUE + (f" {opening}" if opening else "")


def encode(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> list[np.ndarray]:
    """Token ids of each text, without special tokens, as int32 arrays."""
    texts = list(texts)
    if not texts:
        return []
    encoded = Dataset.from_dict({"text": texts}).map(
        lambda batch: tokenizer(batch["text"], add_special_tokens=False, return_attention_mask=False, verbose=False),
        batched=True,
        remove_columns="text",
        desc="Tokenizing",
    )
    return list(encoded.with_format("numpy", dtype=np.int32)["input_ids"])


class Plots:
    """A split's plots in tokens, ready to be put together with any choice of prefix fields."""

    def __init__(self, frame: pd.DataFrame, tokenizer: PreTrainedTokenizerBase):
        """`frame` has the columns id, title, year, genre, text of data/splits/*.parquet."""
        years = [None if pd.isna(year) else int(year) for year in frame["year"]]
        fields = [prefix_fields(*row) for row in zip(frame["genre"], frame["title"], years, strict=True)]
        eos = np.array([tokenizer.eos_token_id], dtype=np.int32)
        # Every piece ends where the tokenizer splits words anyway (a line break, a colon, before a
        # blank), so the pieces' tokens joined are the tokens of the joined text.
        self.texts = [np.append(tokens, eos) for tokens in encode(tokenizer, (f" {text}" for text in frame["text"]))]
        lines = iter(encode(tokenizer, (line for plot in fields for line in plot)))
        self.fields = [[next(lines) for _ in plot] for plot in fields]
        self.cue = np.array(tokenizer(CUE, add_special_tokens=False)["input_ids"], dtype=np.int32)

    def documents(self) -> Documents:
        """Every plot after the bare cue: the form in which plots are scored."""
        return join_documents([(self.cue, text) for text in self.texts])

    def with_random_prefix(self, dropout: float, generator: np.random.Generator) -> Documents:
        """Every plot after those of its prefix fields that survive, each left out with chance `dropout`."""
        return join_documents(
            [
                (*(field for field in fields if generator.random() >= dropout), self.cue, text)
                for fields, text in zip(self.fields, self.texts, strict=True)
            ]
        )
