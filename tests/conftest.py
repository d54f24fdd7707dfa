"""A tiny world for tests: a tokenizer of 400 entries, a two-layer model, forty plots."""

import os
import random
from pathlib import Path

# Models this small gain nothing from a second thread, and two test processes have two cores.
os.environ["OMP_NUM_THREADS"] = "1"

import pandas as pd
import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from plotwright.pretraining import train_tokenizer

torch.set_num_threads(1)

ROOT = Path(__file__).parent.parent
WORDS = [
    "pilot",
    "harbour",
    "letter",
    "doctor",
    "winter",
    "thief",
    "train",
    "garden",
    "judge",
    "singer",
    "mountain",
    "debt",
    "island",
    "soldier",
    "baker",
]
CONTEXT = 64


def sentence(seed: int, length: int) -> str:
    """Words in an order that depends on the seed, with the shape of a sentence."""
    return " ".join(random.Random(seed).choices(WORDS, k=length)).capitalize() + "."


def make_plots(count: int, words: int = 20) -> pd.DataFrame:
    """`count` plots of three sentences with the columns of a split; genre, title or year missing here and there."""
    return pd.DataFrame(
        {
            "id": [f"plot{i:04d}" for i in range(count)],
            "title": [f"Film {i}" for i in range(count)],
            "year": pd.array([None if i % 5 == 0 else 1920 + i for i in range(count)], dtype="Int64"),
            "genre": [("comedy", "drama", "unknown")[i % 3] for i in range(count)],
            "text": [
                " ".join(sentence(3 * i + k, words // 2 + (i * k) % words) for k in range(3)) for i in range(count)
            ],
        }
    )


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(iter(make_plots(40)["text"]), 400, CONTEXT)


def make_model(vocabulary: int, context: int = CONTEXT) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=vocabulary, n_positions=context, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )
    return GPT2LMHeadModel(config).eval()


@pytest.fixture
def model(tokenizer: PreTrainedTokenizerFast) -> GPT2LMHeadModel:
    return make_model(len(tokenizer))


@pytest.fixture
def plots() -> pd.DataFrame:
    return make_plots(40)
