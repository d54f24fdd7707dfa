"""Training: the same curve every time, the best weights kept, and a cut run comes to the same end."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_model, make_plots
from transformers import PreTrainedModel, set_seed

from plotwright.documents import Plots
from plotwright.errors import PlotwrightError
from plotwright.machine import Choice
from plotwright.manifest import fingerprint, refuse_change
from plotwright.packing import PackedEpochs
from plotwright.scoring import token_nats
from plotwright.settings import TrainingSettings
from plotwright.training import COMPLETE, PlotTrainer, Trained, last_complete_checkpoint, run_training

STORED_CURVE = Path(__file__).parent / "stored_curve.json"
SETTINGS = TrainingSettings(
    optimizer="adamw",
    learning_rate=1e-2,
    schedule="linear",
    warmup=0.1,
    weight_decay=0.1,
    block_size=64,
    batch_size=4,
    accumulation=2,
    dropout=0.1,
    prefix_dropout=0.5,
    evaluations=4,
    patience=4,
    precision="fp32",
    compile=False,
    gradient_checkpointing=False,
)
FP32 = Choice("fp32", "a test")


class Cut(Exception):
    """Stands for a process that dies."""


def train(folder: Path, tokenizer, **changes) -> tuple[PreTrainedModel, Trained]:
    """A run over forty tiny plots in two epochs."""
    settings = SETTINGS.model_copy(update=changes)
    plots = Plots(make_plots(40), tokenizer)
    set_seed(3)
    model = make_model(len(tokenizer))
    data = PackedEpochs(
        lambda epoch: plots.with_random_prefix(settings.prefix_dropout, np.random.default_rng((3, epoch))), 2, 64, 3
    )
    validation = Plots(make_plots(46).tail(6), tokenizer).documents()
    return model, run_training(model, data, validation, settings, FP32, 3, folder)


def train_and_cut(folder: Path, tokenizer, monkeypatch, forward_passes: int, **changes) -> Path:
    """A run that dies after so many forward passes; returns its last complete checkpoint."""
    done, original = 0, PlotTrainer.training_step

    def dies_in_the_middle(self, *args, **kwargs):
        nonlocal done
        done += 1
        if done > forward_passes:
            raise Cut
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(PlotTrainer, "training_step", dies_in_the_middle)
        with pytest.raises(Cut):
            train(folder, tokenizer, **changes)
    return last_complete_checkpoint(folder)


def same_weights(one: PreTrainedModel, other: PreTrainedModel) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tokenizer) -> tuple[PreTrainedModel, Trained]:
    return train(tmp_path_factory.mktemp("undisturbed"), tokenizer)


def test_a_seeded_run_reproduces_the_stored_loss_curve(undisturbed):
    """Remake the stored curve, after a change that is meant to alter it, with `python tests/test_training.py`."""
    stored = json.loads(STORED_CURVE.read_text())
    curve = undisturbed[1].curve
    assert [(row["step"], row["split"]) for row in curve] == [(row["step"], row["split"]) for row in stored]
    np.testing.assert_allclose([row["loss"] for row in curve], [row["loss"] for row in stored], rtol=5e-3)


def test_the_model_learns(undisturbed):
    losses = [row["loss"] for row in undisturbed[1].curve if row["split"] == "train"]
    assert losses[-1] < losses[0] - 0.5


def test_validation_is_measured_as_often_as_asked_and_at_the_last_step(undisturbed):
    trained = undisturbed[1]
    steps = [row["step"] for row in trained.curve if row["split"] == "validation"]
    assert len(steps) == SETTINGS.evaluations
    assert steps[-1] == trained.steps == trained.planned_steps


def test_the_weights_kept_are_those_of_the_lowest_validation_loss(undisturbed, tokenizer):
    model, trained = undisturbed
    documents = Plots(make_plots(46).tail(6), tokenizer).documents()
    nats = token_nats(model.eval(), documents, 64, 32, 4)
    loss = sum(map(np.sum, nats)) / sum(map(len, nats))
    validation = [row["loss"] for row in trained.curve if row["split"] == "validation"]
    assert trained.best_loss == min(validation)
    assert loss == pytest.approx(trained.best_loss, rel=1e-5)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_that_was_cut_off_comes_to_the_same_weights(tmp_path, tokenizer, monkeypatch, optimizer):
    whole, trained = train(tmp_path / "whole", tokenizer, optimizer=optimizer)
    forward_passes = SETTINGS.accumulation * trained.steps - 6
    checkpoint = train_and_cut(tmp_path / "cut", tokenizer, monkeypatch, forward_passes, optimizer=optimizer)
    done = int(checkpoint.name.split("-")[1])
    assert 0 < done < trained.steps
    resumed, again = train(tmp_path / "cut", tokenizer, optimizer=optimizer)
    assert again.curve == trained.curve
    assert same_weights(whole, resumed)


def test_a_half_written_checkpoint_is_removed_and_the_one_before_is_used(tmp_path):
    for step in (4, 8):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-4" / COMPLETE).touch()
    (tmp_path / "checkpoint-8" / "model.safetensors").write_bytes(b"half")
    assert last_complete_checkpoint(tmp_path).name == "checkpoint-4"
    assert not (tmp_path / "checkpoint-8").exists()


def test_checkpoints_are_ordered_by_number_not_by_name(tmp_path):
    for step in (90, 100):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / COMPLETE).touch()
    assert last_complete_checkpoint(tmp_path).name == "checkpoint-100"


def test_training_stops_when_the_validation_loss_no_longer_falls(tmp_path, tokenizer):
    _, trained = train(tmp_path, tokenizer, learning_rate=3.0, evaluations=8, patience=1)
    assert trained.steps < trained.planned_steps
    assert trained.best_step < trained.steps


def test_a_run_that_had_come_to_its_end_is_not_trained_on(tmp_path, tokenizer):
    changes = {"learning_rate": 3.0, "evaluations": 8, "patience": 1}
    model, trained = train(tmp_path, tokenizer, **changes)
    again, repeated = train(tmp_path, tokenizer, **changes)
    assert repeated == trained
    assert same_weights(model, again)


def test_only_the_newest_and_the_best_checkpoint_are_kept(tmp_path, tokenizer):
    _, trained = train(tmp_path, tokenizer, learning_rate=3.0, evaluations=8, patience=3)
    kept = {int(folder.name.split("-")[1]) for folder in tmp_path.glob("checkpoint-*")}
    assert kept == {trained.best_step, trained.steps}


def test_a_run_that_diverges_says_so(tmp_path, tokenizer):
    with pytest.raises(PlotwrightError, match=r"diverged; set train\.learning_rate lower"):
        train(tmp_path, tokenizer, learning_rate=1e30)


def test_dropout_is_where_it_is_asked_for_and_never_on_attention(tmp_path, tokenizer):
    model, _ = train(tmp_path, tokenizer, dropout=0.25)
    assert {block.attn.attn_dropout.p for block in model.transformer.h} == {0.0}
    assert {block.mlp.dropout.p for block in model.transformer.h} == {0.25}
    assert model.config.use_cache


def test_another_value_anywhere_is_another_run():
    one = {"train": {"epochs": 2}, "sources": {"data": {"a": "1"}}}
    assert fingerprint(one) == fingerprint({"sources": {"data": {"a": "1"}}, "train": {"epochs": 2}})
    assert fingerprint(one) != fingerprint({"train": {"epochs": 3}, "sources": {"data": {"a": "1"}}})
    assert fingerprint(one) != fingerprint({"train": {"epochs": 2}, "sources": {"data": {"a": "2"}}})


def test_code_that_changes_during_training_is_refused():
    refuse_change({"code": {"a.py": "1"}}, {"code": {"a.py": "1"}})
    with pytest.raises(PlotwrightError, match="the code changed during training"):
        refuse_change({"code": {"a.py": "1"}, "data": {}}, {"code": {"a.py": "2"}, "data": {}})


if __name__ == "__main__":
    import tempfile

    from plotwright.pretraining import train_tokenizer

    fresh = train_tokenizer(iter(make_plots(40)["text"]), 400, 64)
    with tempfile.TemporaryDirectory() as scratch:
        STORED_CURVE.write_text(json.dumps(train(Path(scratch), fresh)[1].curve, indent=1) + "\n")
