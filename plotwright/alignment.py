"""Learning from preferences with trl: KTO from thumbs, DPO from choices, both held near the parent model.

KTO: Ethayarajh et al. 2024, "KTO: Model Alignment as Prospect Theoretic Optimization". DPO: Rafailov et al. 2023,
"Direct Preference Optimization: Your Language Model is Secretly a Reward Model".
"""

from collections.abc import Callable
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import DPOConfig, DPOTrainer, KTOConfig, KTOTrainer
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

from plotwright.machine import Choice, accelerator
from plotwright.models import context_of
from plotwright.preferences import AlignSettings, Kind

Collator = Callable[[list[dict[str, Any]]], dict[str, Any]]


@dataclass(frozen=True)
class Models:
    """The model that learns, its parent, which it may not go far from, and the tokenizer of both."""

    learner: PreTrainedModel
    parent: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


def without_end(collate: Collator) -> Collator:
    """`collate` without the end-of-text token that trl appends to every text.

    The store does not say whether a text ended by itself or was cut off at its length, and a text that was cut off
    must not teach the model to end there.
    """
    texts = ("completion_ids", "KL_completion_ids", "chosen_ids", "rejected_ids")

    def cut(examples: list[dict[str, Any]]) -> dict[str, Any]:
        return collate(
            [{name: ids[:-1] if name in texts else ids for name, ids in example.items()} for example in examples]
        )

    return cut


def _arguments(settings: AlignSettings, precision: Choice, seed: int, context: int, folder: str) -> dict[str, Any]:
    """What both of trl's configurations are given."""
    return {
        "output_dir": folder,
        "num_train_epochs": settings.epochs,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.accumulation,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": "linear",
        "warmup_steps": 0.1,  # of all steps: AdamW's first steps at the full rate throw a small model off for good
        "beta": settings.beta,
        "max_length": context,
        "bf16": precision.value == "bf16",
        "activation_checkpointing": settings.gradient_checkpointing,
        "precompute_ref_log_probs": True,  # the parent reads each text once, not once an epoch
        "save_strategy": "no",
        "report_to": "none",
        "seed": seed,
        "use_cpu": accelerator().type == "cpu",
    }


def _weights(verdicts: pd.Series) -> dict[str, Any]:
    """Weights by which thumbs up and thumbs down count for the same in sum, as KTO's authors advise (their eq. 8)."""
    up = int((verdicts == "up").sum())
    down = len(verdicts) - up
    return {"desirable_weight": max(1.0, down / up), "undesirable_weight": max(1.0, up / down)}


def _shuffled(table: pd.DataFrame, seed: int) -> Dataset:
    return Dataset.from_pandas(table.sample(frac=1, random_state=seed), preserve_index=False)


def _train(trainer: Any, config: Any, collator: Any, models: Models, rows: Dataset) -> None:
    """One run of trl's trainer with its configuration and collator on rows with the columns that it wants."""
    config._n_gpu = min(1, config.n_gpu)  # one process, one GPU
    collate = collator(models.tokenizer.eos_token_id, max_length=config.max_length)
    trainer(
        models.learner,
        models.parent,
        config,
        data_collator=without_end(collate),
        train_dataset=rows,
        processing_class=models.tokenizer,
    ).train()


def learn(
    kind: Kind, models: Models, rows: pd.DataFrame, settings: AlignSettings, precision: Choice, seed: int
) -> None:
    """Train the learner in place on thumbs (columns prompt, text, verdict) or on pairs (prompt, chosen, rejected).

    trl patches the forward of both models. The same rows, settings, seed and machine give the same weights.
    """
    with TemporaryDirectory() as folder:
        arguments = _arguments(settings, precision, seed, context_of(models.learner), folder)
        if kind == "thumbs":  # which KTO reads in the order given
            table = rows.rename(columns={"text": "completion"}).assign(label=rows["verdict"] == "up")
            data = _shuffled(table[["prompt", "completion", "label"]], seed)
            config = KTOConfig(**arguments, **_weights(rows["verdict"]))
            _train(KTOTrainer, config, DataCollatorForUnpairedPreference, models, data)
        else:
            data = _shuffled(rows[["prompt", "chosen", "rejected"]], seed)
            _train(DPOTrainer, DPOConfig(**arguments), DataCollatorForPreference, models, data)
