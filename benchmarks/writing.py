"""Tokens a second of writing, against Transformers' generate and the speed at which memory can be read.

python benchmarks/writing.py OUT_JSON [--tokenizer FOLDER] [--model FOLDER] [--rounds N]

Without --model: random weights of distilgpt2's shape, with the tokenizer of --tokenizer, or the embedded base's,
filled up to GPT-2's size.
Both ways of writing are timed in turn, round by round, and medians are given, so that a slow minute of
the machine slows both.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from threading import Event as Flag
from typing import Any

import pandas as pd
import torch
from ceilings import gb_a_second
from tokenizers import Tokenizer
from transformers import (
    AutoTokenizer,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers import PreTrainedTokenizerBase as AnyTokenizer

from plotwright.documents import prompt
from plotwright.errors import run_or_explain
from plotwright.files import write_json
from plotwright.models import load_model, load_tokenizer
from plotwright.queueing import Ended, Job, Piece
from plotwright.sampling import Sampling, check_sampling
from plotwright.writing import Stream, Writer

ROOT = Path(__file__).resolve().parent.parent
VOCABULARY = 50_257
NEW_TOKENS = 128
FULL = 900  # tokens in the cache in the full-context case
OPENING = (
    "A short film about a pilot who loses her way over the mountains in the winter of the war and lands on a frozen "
    "lake, where an old man who has not spoken to anybody for years takes her in and asks her for one thing only "
    "before the snow melts and the soldiers come"
)


def made_up_tokenizer() -> PreTrainedTokenizerFast:
    """The embedded base's tokenizer with unused entries up to GPT-2's size."""
    tokenizer = load_tokenizer(ROOT / "models/base/storyteller")
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    vocabulary = state["model"]["vocab"]
    # Special tokens, which have an id of their own, stand in the vocabulary or beside it.
    taken = set(vocabulary.values()) | {token["id"] for token in state["added_tokens"]}
    vocabulary |= {f"<unused{i}>": i for i in range(VOCABULARY) if i not in taken}
    end = tokenizer.eos_token
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(state)), bos_token=end, eos_token=end)


def make_distilgpt2(folder: Path, tokenizer: AnyTokenizer) -> None:
    """Random weights of distilgpt2's shape."""
    torch.manual_seed(0)
    end = tokenizer.eos_token_id
    GPT2LMHeadModel(GPT2Config(n_layer=6, bos_token_id=end, eos_token_id=end)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def weight_bytes(model: PreTrainedModel) -> int:
    """Bytes of int8 weights that one token needs: all layers, and the output, which is the table of embeddings."""
    return sum(weight.numel() for name, weight in model.named_parameters() if ".h." in name or "wte" in name)


class Case:
    """One prompt, read and continued in both ways; every draft writes exactly `new` tokens."""

    def __init__(self, writer: Writer, model: PreTrainedModel, tokens: list[int], drafts: int, new: int):
        self.writer, self.model, self.drafts, self.new = writer, model, drafts, new
        self.tokens = torch.tensor(tokens)
        self.sampling: Sampling = check_sampling(
            temperature=0.8, top_k=50, top_p=0.95, min_p=0.0, repetition_penalty=1.0, max_new_tokens=new
        )

    def ours(self) -> tuple[float, float]:
        """Seconds until the first text, and until the last token; again with another seed if a draft ended early."""
        for seed in range(100):
            first, whole, tokens = self._write(seed)
            if tokens == self.drafts * self.new:
                return first, whole
        raise RuntimeError("no seed in a hundred writes drafts of full length")

    def _write(self, seed: int) -> tuple[float, float, int]:
        started = time.perf_counter()
        job = Job(self.tokens, self.sampling, seed, self.drafts, Flag())
        self.writer._loop.submit(job)
        first, tokens = None, 0
        for event in Stream(job, ""):
            if first is None and isinstance(event, Piece):
                first = time.perf_counter() - started
            tokens += event.tokens if isinstance(event, Ended) else 0
        return first or 0.0, time.perf_counter() - started, tokens

    def theirs(self, new: int) -> float:
        """Seconds of Transformers' fp32 generate with the same controls for `new` tokens a draft."""
        settings = GenerationConfig(
            do_sample=True,
            temperature=0.8,
            top_k=50,
            top_p=0.95,
            min_new_tokens=new,
            max_new_tokens=new,
            pad_token_id=0,
            eos_token_id=self.writer.tokenizer.eos_token_id,
        )
        tokens = self.tokens[None].expand(self.drafts, -1)
        mask = torch.ones_like(tokens)
        generate: Any = self.model.generate
        return seconds(lambda: generate(tokens, attention_mask=mask, generation_config=settings))


def measure(case: Case, rounds: int) -> dict[str, float]:
    """Medians over rounds in which both ways take turns, after one round that does not count."""
    firsts, wholes, their_firsts, their_wholes = [], [], [], []
    for _ in range(rounds + 1):
        first, whole = case.ours()
        firsts.append(first)
        wholes.append(whole)
        their_firsts.append(case.theirs(1))
        their_wholes.append(case.theirs(case.new))
    tokens = case.drafts * case.new
    ours, theirs = tokens / median(wholes[1:]), tokens / median(their_wholes[1:])
    return {
        "drafts": case.drafts,
        "prompt_tokens": len(case.tokens),
        "new_tokens": case.new,
        "tokens_per_second": round(ours, 1),
        "transformers_tokens_per_second": round(theirs, 1),
        "times_transformers": round(ours / theirs, 2),
        "first_token_ms": round(1e3 * median(firsts[1:]), 1),
        "transformers_first_token_ms": round(1e3 * median(their_firsts[1:]), 1),
    }


def cases(writer: Writer, model: PreTrainedModel) -> list[Case]:
    """One and eight drafts after a 50-word opening, and one and eight at a nearly full context."""
    opening = writer.encode(prompt(OPENING))[: writer.context - NEW_TOKENS]
    long = writer.encode(prompt((OPENING + ". ") * 40))[: min(FULL, writer.context - NEW_TOKENS)]
    if len(long) + NEW_TOKENS > writer.context:
        raise RuntimeError("the context is too short for this benchmark")
    return [Case(writer, model, tokens, drafts, NEW_TOKENS) for tokens in (opening, long) for drafts in (1, 8)]


def benchmark(folder: Path, rounds: int) -> dict[str, Any]:
    """Everything that is measured of one model folder."""
    writer, model = Writer(folder), load_model(folder)
    rate, size = 1e9 * gb_a_second(), weight_bytes(model)
    rows = []
    for case in cases(writer, model):
        rows.append(measure(case, rounds))
        print(pd.DataFrame(rows[-1:]).to_string(index=False), flush=True)
    return {
        "path": writer.description,
        "threads": torch.get_num_threads(),
        "memory_gb_per_second": round(rate / 1e9, 1),
        "int8_weight_mb": round(size / 1e6, 1),
        "ceiling_tokens_per_second_one_draft": round(rate / size, 1),
        "cases": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokenizer", type=Path, help="folder of GPT-2's tokenizer for the random weights")
    parser.add_argument("--model", type=Path, help="a model folder to time instead of random weights")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.model or Path(name)
        if not options.model:
            given = options.tokenizer and AutoTokenizer.from_pretrained(options.tokenizer, local_files_only=True)
            make_distilgpt2(folder, given or made_up_tokenizer())
        result = benchmark(folder, options.rounds)
    write_json(options.out, result)
    print(pd.DataFrame(result.pop("cases")).to_string(index=False))
    print(result)


if __name__ == "__main__":
    run_or_explain(main)
