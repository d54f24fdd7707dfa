"""Training on packed blocks with Trainer: checkpoints, early stopping and going on after a cut."""

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_model
from transformers import (
    EarlyStoppingCallback,
    PreTrainedModel,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.activations import NewGELUActivation
from transformers.trainer import TRAINER_STATE_NAME
from transformers.utils import SAFE_WEIGHTS_NAME

from plotwright.documents import Documents
from plotwright.errors import PlotwrightError
from plotwright.files import locked, write_json
from plotwright.loss import fuse_loss
from plotwright.machine import Choice, accelerator, processes
from plotwright.optimizer import build_optimizer
from plotwright.packing import PackedEpochs, keep_pieces_apart
from plotwright.scoring import token_nats
from plotwright.settings import TrainingSettings

COMPLETE = "complete"  # a file in each checkpoint that was written to its end
LOG_POINTS = 200  # training losses logged a run, at most one a step


def checkpoint_folder(fingerprint: str) -> Path:
    """Where the run with this fingerprint keeps its checkpoints.

    Under the main repository even in DVC's queued and temporary runs, outside every output, so that a
    run which was cut off finds them and a run with anything else changed does not.
    """
    return Path(os.environ.get("DVC_ROOT", ".")) / ".plotwright" / "checkpoints" / fingerprint


@contextmanager
def only_run(checkpoints: Path) -> Iterator[None]:
    """Wait until no other process trains with these checkpoints, and keep others waiting.

    Two queued experiments that differ only in their evaluation train the same model; at the same time
    they would write into one folder. The lock ends with its process.
    """
    checkpoints.parent.mkdir(parents=True, exist_ok=True)
    lock = checkpoints.parent.parent / f"training-{checkpoints.name[:16]}.lock"
    with locked(lock, "another process is training this very model: waiting until it ends"):
        yield


def last_complete_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint in `folder` that was written to its end, after removing those that were not."""
    complete = []
    for checkpoint in folder.glob("checkpoint-*"):
        if (checkpoint / COMPLETE).exists():
            complete.append(checkpoint)
        else:
            shutil.rmtree(checkpoint, ignore_errors=True)  # every process does this
    return max(complete, key=lambda checkpoint: int(checkpoint.name.removeprefix("checkpoint-")), default=None)


class _Milestones(TrainerCallback):
    """Evaluates and saves `count` times at even distances, the last time at the last step.

    Marks each checkpoint complete once it is, and keeps the loss curve so far in a file for whoever watches.
    """

    def __init__(self, count: int, folder: Path):
        self.count, self.folder = count, folder

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        before, now = ((step * self.count) // state.max_steps for step in (state.global_step - 1, state.global_step))
        if now > before:
            control.should_log = control.should_evaluate = control.should_save = True

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            progress = {"step": state.global_step, "steps": state.max_steps, "curve": loss_curve(state.log_history)}
            write_json(self.folder / "curve.json", progress)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            os.sync()
            (self.folder / f"checkpoint-{state.global_step}" / COMPLETE).touch()
            self._keep(state.global_step, state.best_global_step)

    def _keep(self, *steps: int | None) -> None:
        """Remove all checkpoints but those of `steps`, each unmarked before the first of its files goes."""
        kept = {f"checkpoint-{step}" for step in steps}
        for checkpoint in self.folder.glob("checkpoint-*"):
            if checkpoint.name not in kept:
                (checkpoint / COMPLETE).unlink(missing_ok=True)
                shutil.rmtree(checkpoint)


class _Progress(ProgressCallback):
    """Trainer's progress bar with the latest loss at its end instead of a printed line a log entry."""

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        entry = state.log_history[-1]
        if self.training_bar is not None and "loss" in entry:
            self.training_bar.set_postfix(loss=f"{entry['loss']:.3f}")
        if self.training_bar is not None and "eval_loss" in entry:
            self.training_bar.write(f"step {entry['step']}: validation loss {entry['eval_loss']:.4f}")


class PlotTrainer(Trainer):
    """Trainer that reads its blocks in order and measures the validation loss with our own scorer."""

    def __init__(
        self,
        model: PreTrainedModel,
        args: TrainingArguments,
        data: PackedEpochs,
        validation: Documents,
        settings: TrainingSettings,
        callbacks: list[TrainerCallback],
        planned_steps: int,
    ):
        super().__init__(model, args, train_dataset=data, eval_dataset=data, callbacks=callbacks)
        self.planned_steps = planned_steps
        self.language_model, self.blocks = model, data
        self.validation, self.settings = validation, settings

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> torch.utils.data.Sampler:
        return torch.utils.data.SequentialSampler(self.blocks)

    def create_optimizer(self, model: torch.nn.Module | None = None) -> torch.optim.Optimizer:
        settings, dtype = self.settings, torch.bfloat16 if self.args.bf16 else torch.float32
        self.optimizer = build_optimizer(
            self.language_model, settings.optimizer, settings.learning_rate, settings.weight_decay, dtype
        )
        return self.optimizer

    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """The token-weighted validation loss, the documents shared out over the processes."""
        accelerator = self.accelerator
        mine = self.validation.select(
            np.arange(accelerator.process_index, len(self.validation), accelerator.num_processes)
        )
        self.language_model.eval()
        with accelerator.autocast():
            block, batch = self.settings.block_size, self.settings.batch_size
            nats = token_nats(self.language_model, mine, block, max(1, block // 2), batch, progress="Validation")
        sums = [sum(map(np.sum, nats)), sum(map(len, nats))]
        total, tokens = accelerator.reduce(
            torch.tensor(sums, dtype=torch.float32, device=accelerator.device), "sum"
        ).tolist()
        metrics = {"eval_loss": total / tokens}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


@dataclass(frozen=True)
class Trained:
    """What a training run leaves: loss curve rows (step, split, loss), steps done, and of the best step."""

    curve: list[dict[str, Any]]
    steps: int
    planned_steps: int
    best_step: int
    best_loss: float


def loss_curve(log_history: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Trainer's log as rows of step, split (train or validation) and loss in nats a token."""
    splits = {"loss": "train", "eval_loss": "validation"}
    return [
        {"step": entry["step"], "split": split, "loss": entry[key]}
        for entry in log_history
        for key, split in splits.items()
        if key in entry
    ]


def set_dropout(model: PreTrainedModel, dropout: float) -> None:
    """Dropout `dropout` on embeddings and residuals, none on attention weights (GPT-2 and GPT-Neo).

    Dropout on attention weights costs time, and keeps PyTorch from its fused attention on the CPU.
    """
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0 if name.endswith(("attn_dropout", "attention_dropout")) else dropout


def fuse_gelu(model: PreTrainedModel) -> None:
    """Compute the tanh approximation of GELU in one pass over memory instead of eight.

    GPT-2's `gelu_new` is the same function written out in single operations.
    """
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, NewGELUActivation):
                setattr(module, name, torch.nn.GELU(approximate="tanh"))


def _arguments(settings: TrainingSettings, steps: int, precision: Choice, seed: int, folder: Path) -> TrainingArguments:
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=1,  # the blocks of all epochs come one after another
        per_device_train_batch_size=settings.batch_size,
        gradient_accumulation_steps=settings.accumulation,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=round(settings.warmup * steps),
        bf16=precision.value == "bf16",
        activation_checkpointing=settings.gradient_checkpointing,
        logging_steps=max(1, steps // LOG_POINTS),
        eval_strategy="steps",
        save_strategy="steps",
        eval_steps=steps + 1,  # _Milestones says when
        save_steps=steps + 1,
        load_best_model_at_end=True,
        metric_for_best_model="loss",
        restore_callback_states_from_checkpoint=True,
        ddp_find_unused_parameters=False,
        remove_unused_columns=False,
        logging_nan_inf_filter=False,  # it waits for the GPU in every step, to hide what should be seen
        seed=seed,
        report_to="none",
        use_cpu=accelerator().type == "cpu",
    )
    arguments._n_gpu = min(1, arguments.n_gpu)  # one process, one GPU: train.launcher starts as many as there are
    return arguments


def _finished(checkpoint: Path, steps: int, patience: int) -> TrainerState | None:
    """The state of a run that had come to its end, early or not, when it was cut off; None if it had not."""
    state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
    since_best = [e for e in state.log_history if "eval_loss" in e and e["step"] > (state.best_global_step or 0)]
    return state if state.global_step >= steps or len(since_best) >= patience else None


def _load_best(model: PreTrainedModel, state: TrainerState, folder: Path) -> tuple[int, float]:
    """Give `model` the weights of the lowest validation loss; return their step and that loss.

    Raises PlotwrightError when no validation loss was a number.
    """
    if state.best_global_step is None or state.best_metric is None or not math.isfinite(state.best_metric):
        raise PlotwrightError(
            "no validation loss was a number, training has diverged; set train.learning_rate lower and run it again."
        )
    load_model(model, folder / f"checkpoint-{state.best_global_step}" / SAFE_WEIGHTS_NAME)
    return state.best_global_step, state.best_metric


def make_trainer(
    model: PreTrainedModel,
    data: PackedEpochs,
    validation: Documents,
    settings: TrainingSettings,
    precision: Choice,
    seed: int,
    checkpoints: Path,
) -> PlotTrainer:
    """The trainer that trains `model` in place on `data`, and changes how the model computes, not what."""
    set_dropout(model, settings.dropout)
    fuse_gelu(model)
    fuse_loss(model, settings.compile)
    if not settings.compile:  # torch.compile wants the same shapes in every step
        keep_pieces_apart(model)
    steps = -(-len(data) // (settings.batch_size * settings.accumulation * processes()))
    arguments = _arguments(settings, steps, precision, seed, checkpoints)
    callbacks = [_Milestones(settings.evaluations, checkpoints), EarlyStoppingCallback(settings.patience)]
    trainer = PlotTrainer(model, arguments, data, validation, settings, callbacks, steps)
    trainer.remove_callback(ProgressCallback)
    trainer.add_callback(_Progress)
    return trainer


def run_training(
    model: PreTrainedModel,
    data: PackedEpochs,
    validation: Documents,
    settings: TrainingSettings,
    precision: Choice,
    seed: int,
    checkpoints: Path,
) -> Trained:
    """Train `model` in place on `data` and leave it with the weights of the lowest validation loss.

    Starts from the last complete checkpoint in `checkpoints` when there is one, and comes to the same
    weights as a run that was never cut off.
    """
    checkpoints.mkdir(parents=True, exist_ok=True)
    uses_cache = model.config.use_cache
    trainer = make_trainer(model, data, validation, settings, precision, seed, checkpoints)
    steps = trainer.planned_steps
    checkpoint = last_complete_checkpoint(checkpoints)
    state = _finished(checkpoint, steps, settings.patience) if checkpoint else None
    if state is None:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        state = trainer.state
    model.config.use_cache = uses_cache  # Trainer turns it off, and generation without it is ten times slower
    trainer.accelerator.wait_for_everyone()
    best_step, best_loss = _load_best(model, state, checkpoints)
    trainer.accelerator.wait_for_everyone()  # only then may the first process remove the checkpoints
    return Trained(loss_curve(state.log_history), state.global_step, steps, best_step, best_loss)
