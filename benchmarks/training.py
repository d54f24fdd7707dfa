"""Training speed of one recipe on random weights of a known shape, in a process of its own.

python benchmarks/training.py RECIPE OUT_JSON [--shape distilgpt2] [--seconds 30] [--checkpointing] [--precision auto]

RECIPE is one of
  plotwright  this project's trainer with params.yaml, blocks of 1,024 tokens, AdamW
  seed        Trainer, every plot cut or padded to 128 tokens, fp32: the recipe of the tutorial behind this project
  concat      Trainer, plots run together and cut into blocks of 512 tokens, fp32: the usual causal-LM example
  trl         trl's SFTTrainer with its own defaults, packing into blocks of 512 (pip install -e ".[bench]" first)

Texts are the sample's, in the tokens of the embedded base: a model's speed does not depend on which ids it reads, so
no file from outside the repository is needed. All recipes take 1,024 tokens a step. Counted are useful tokens: those
that carry a label and are predicted; padding counts for nothing. The clock starts after two steps. Dropout is each
recipe's default: none in params.yaml, 0.1 in GPT-2's configuration.
"""

import argparse
import json
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM as Causal
from transformers import (
    DataCollatorForLanguageModeling,
    GPT2Config,
    GPTNeoConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    set_seed,
)

from plotwright.documents import Plots
from plotwright.errors import PlotwrightError, run_or_explain
from plotwright.files import write_json
from plotwright.machine import accelerator, choose_precision, keep_freed_memory, training_attention
from plotwright.models import load_tokenizer
from plotwright.packing import IGNORED, PackedEpochs
from plotwright.raw import read_raw
from plotwright.settings import load_params
from plotwright.training import make_trainer

ROOT = Path(__file__).resolve().parent.parent
TOKENS = 1024  # a step
BLOCK = 512  # of the peers; Plotwright's is 1,024 here, the whole context, in which few tokens are left over
SEED_LENGTH = 128  # tokens that the tutorial's recipe leaves of a plot
WARM_UP = 2  # steps before the clock starts
MANY = 10_000  # steps, more than there is time for
SHAPES: dict[str, Callable[[], PretrainedConfig]] = {
    "distilgpt2": lambda: GPT2Config(n_layer=6),
    "gpt2-medium": lambda: GPT2Config(n_layer=24, n_embd=1024, n_head=16),
    "gpt-neo-125m": lambda: GPTNeoConfig(
        hidden_size=768, num_layers=12, num_heads=12, attention_types=[[["global", "local"], 6]]
    ),
}


class Clock(TrainerCallback):
    """Counts useful tokens from the end of the warm-up until the time is up, then stops the run."""

    def __init__(self, seconds: float):
        self.seconds, self.start, self.elapsed = seconds, 0.0, 0.0
        self.tokens, self.losses, self.steps = 0, 0.0, 0

    def watch(self, trainer: Trainer) -> None:
        """Count the labels of every batch that `trainer` trains on."""
        trainer.add_callback(self)
        step = trainer.training_step

        def counted(model: torch.nn.Module, inputs: dict[str, Any], *args: Any, **kwargs: Any) -> torch.Tensor:
            self.tokens += int((inputs["labels"][:, 1:] != IGNORED).sum())
            return step(model, inputs, *args, **kwargs)

        trainer.training_step = counted  # type: ignore[method-assign]

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        now = time.perf_counter()
        if state.global_step <= WARM_UP:
            self.start, self.tokens, self.steps = now, 0, 0
            return
        self.steps += 1
        self.elapsed = now - self.start
        control.should_training_stop = self.elapsed >= self.seconds
        # Plotwright's trainer would measure the validation loss and save at its last step.
        control.should_evaluate = control.should_save = False


def common_arguments(folder: str, length: int) -> dict[str, Any]:
    """What all three peers are told."""
    return {
        "output_dir": folder,
        "per_device_train_batch_size": TOKENS // length,
        "max_steps": MANY,
        "learning_rate": 2e-5,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "logging_steps": MANY,
        "use_cpu": accelerator().type == "cpu",  # bf16 on a CPU must be asked for so
    }


def seed_trainer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: str) -> Trainer:
    """Each plot alone, cut or padded to 128 tokens."""
    rows = Dataset.from_dict({"text": texts()}).map(
        lambda batch: tokenizer(batch["text"], truncation=True, padding="max_length", max_length=SEED_LENGTH),
        batched=True,
        remove_columns=["text"],
    )
    return peer(model, tokenizer, rows, folder, SEED_LENGTH)


def concat_trainer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: str) -> Trainer:
    """All plots run together, cut every 512 tokens."""
    ids = [token for row in tokenizer(texts(), verbose=False)["input_ids"] for token in row]
    starts = range(0, len(ids) - BLOCK, BLOCK)
    rows = Dataset.from_dict({"input_ids": [ids[start : start + BLOCK] for start in starts]})
    return peer(model, tokenizer, rows, folder, BLOCK)


def peer(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, rows: Dataset, folder: str, length: int
) -> Trainer:
    """Trainer as its examples use it."""
    collate = DataCollatorForLanguageModeling(tokenizer, mlm=False)
    arguments = TrainingArguments(**common_arguments(folder, length))
    return Trainer(model=model, args=arguments, train_dataset=rows, data_collator=collate)


def trl_trainer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: str) -> Trainer:
    """trl's own defaults; but bf16, which is one, only where the machine computes with it."""
    from trl import SFTConfig, SFTTrainer  # an optional extra

    bf16 = choose_precision("auto").value == "bf16"
    arguments = SFTConfig(packing=True, max_length=BLOCK, bf16=bf16, **common_arguments(folder, BLOCK))
    data = Dataset.from_dict({"text": texts()})
    return SFTTrainer(model=model, args=arguments, train_dataset=data, processing_class=tokenizer)


def plotwright_trainer(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: str, options: argparse.Namespace
) -> Trainer:
    """This project's trainer as stages/train.py makes it."""
    settings = load_params(ROOT / "params.yaml").train.model_copy(
        update={
            "optimizer": "adamw",  # as the peers: Muon's own products would cost as much as a step of 1,024 tokens
            "block_size": TOKENS,
            "batch_size": 1,
            "evaluations": 1,
            "gradient_checkpointing": options.checkpointing,
        }
    )
    plots = Plots(
        sample().rename(columns=str.lower).rename(columns={"plot": "text", "release year": "year"}), tokenizer
    )
    data = PackedEpochs(lambda epoch: plots.documents(), 3, TOKENS, seed=0)
    precision = choose_precision(options.precision)
    print(f"precision: {precision.value}, because {precision.reason}")
    return make_trainer(model, data, plots.documents(), settings, precision, 0, Path(folder))


def sample() -> Any:
    """The sample's plots, a pandas frame with the columns of the raw file."""
    return read_raw(ROOT / "data/sample/plots.csv")


def texts() -> list[str]:
    return sample()["Plot"].tolist()


def make_model(shape: str, attention: str | None) -> PreTrainedModel:
    """Random weights of a published model's shape, whose vocabulary is GPT-2's."""
    set_seed(0)
    config = SHAPES[shape]()
    return Causal.from_config(config, attn_implementation=attention)


def peak_mib() -> float:
    """The most memory that this process has held."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if platform.system() == "Darwin" else 2**10)  # macOS counts bytes, Linux kilobytes


def make(options: argparse.Namespace, folder: str) -> Trainer:
    """The recipe's trainer, ready to start."""
    tokenizer = load_tokenizer(ROOT / "models/base/storyteller")
    tokenizer.pad_token = tokenizer.eos_token
    if options.recipe == "plotwright":
        keep_freed_memory()
        model = make_model(options.shape, training_attention())
        return plotwright_trainer(model, tokenizer, folder, options)
    recipes = {"seed": seed_trainer, "concat": concat_trainer, "trl": trl_trainer}
    return recipes[options.recipe](make_model(options.shape, None), tokenizer, folder)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Train for a while; speed, memory and the settings that matter."""
    clock = Clock(options.seconds)
    with tempfile.TemporaryDirectory() as folder:
        trainer = make(options, folder)
        clock.watch(trainer)
        trainer.train()
        parameters = sum(parameter.numel() for parameter in trainer.model.parameters())
    rate = clock.tokens / clock.elapsed
    return {
        "recipe": options.recipe,
        "shape": options.shape,
        "parameters": parameters,
        "gradient_checkpointing": bool(trainer.args.gradient_checkpointing or options.checkpointing),
        "precision": "bf16" if trainer.args.bf16 else "fp32",
        "useful_tokens_per_second": round(rate, 1),
        "gflops_at_6_a_parameter_and_token": round(6 * parameters * rate / 1e9, 1),
        "seconds": round(clock.elapsed, 1),
        "steps": clock.steps,
        "useful_tokens_a_step": round(clock.tokens / clock.steps),
        "peak_mib": round(peak_mib()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=["plotwright", "seed", "concat", "trl"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--shape", choices=list(SHAPES), default="distilgpt2")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--checkpointing", action="store_true", help="Plotwright only: compute activations twice")
    parser.add_argument("--precision", choices=["auto", "bf16", "fp32"], default="auto", help="Plotwright only")
    options = parser.parse_args()
    try:
        result = measure(options)
    except ModuleNotFoundError as error:
        raise PlotwrightError(
            f'the package {error.name} is not installed; pip install -e ".[bench]" brings it.'
        ) from None
    write_json(options.out, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    run_or_explain(main)
