"""The chunked loss equals PyTorch's over all logits in value and gradient; training equals a plain loop."""

import pytest
import torch
from conftest import make_model, make_plots
from test_training import FP32, SETTINGS
from transformers import PreTrainedModel, get_linear_schedule_with_warmup

from plotwright import loss
from plotwright.documents import Plots
from plotwright.errors import PlotwrightError
from plotwright.loss import fuse_loss, summed_cross_entropy
from plotwright.packing import PackedEpochs
from plotwright.settings import TrainingSettings
from plotwright.training import run_training, set_dropout


@pytest.fixture
def unset_is_nan():
    """What is read before it is written is NaN."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("chunk", [1, 7, 1024])
@pytest.mark.parametrize("cached", [1, 120, 10_000])
def test_value_and_gradients_equal_the_plain_computation(monkeypatch, unset_is_nan, chunk, cached):
    monkeypatch.setattr(loss, "CHUNK", chunk)
    monkeypatch.setattr(loss, "CACHED", cached)
    torch.manual_seed(0)
    hidden = torch.randn(3, 10, 8, requires_grad=True)
    head = torch.nn.Linear(8, 50, bias=False)
    labels = torch.randint(0, 50, (3, 10))
    labels[0, :4] = labels[2, 9] = -100
    ours = summed_cross_entropy(hidden, head, labels)
    ours.backward()
    ours_hidden, ours_weight = hidden.grad.clone(), head.weight.grad.clone()
    hidden.grad = head.weight.grad = None
    logits = head(hidden)[:, :-1].reshape(-1, 50)
    plain = torch.nn.functional.cross_entropy(logits, labels[:, 1:].reshape(-1), reduction="sum")
    plain.backward()
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(ours_hidden, hidden.grad)
    torch.testing.assert_close(ours_weight, head.weight.grad)


def test_the_models_loss_is_the_mean_over_the_labelled_tokens_of_the_step():
    model, ids = make_model(50), torch.randint(0, 50, (2, 12))
    labels = ids.clone()
    labels[:, 0] = -100
    positions = torch.arange(12).repeat(2, 1)
    plain = model(input_ids=ids, labels=labels).loss
    fuse_loss(model)
    ours = model(input_ids=ids, position_ids=positions, labels=labels, num_items_in_batch=22).loss
    torch.testing.assert_close(ours, plain)


def test_a_base_whose_output_layer_has_a_bias_is_refused():
    model = make_model(50)
    model.lm_head = torch.nn.Linear(16, 50, bias=True)
    with pytest.raises(PlotwrightError, match=r"has a bias.*choose another model\.base\.$"):
        fuse_loss(model)


def test_a_batch_without_labels_has_loss_zero_and_no_gradient(unset_is_nan):
    model, ids = make_model(50), torch.zeros(1, 6, dtype=torch.long)
    fuse_loss(model)
    output = model(
        input_ids=ids, position_ids=torch.arange(6)[None], labels=torch.full((1, 6), -100), num_items_in_batch=1
    )
    output.loss.backward()
    assert output.loss.item() == 0
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.parameters())


def plain_losses(model: PreTrainedModel, blocks: PackedEpochs, settings: TrainingSettings) -> list[float]:
    """Transformers' model, mask, GELU and loss over all logits, PyTorch's AdamW, in a loop."""
    model.train()
    set_dropout(model, 0.0)
    decayed = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim != 2]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer, losses = torch.optim.AdamW(groups, lr=settings.learning_rate), []
    schedule = get_linear_schedule_with_warmup(optimizer, round(settings.warmup * len(blocks)), len(blocks))
    for block in blocks:
        loss = model(**{name: values[None] for name, values in block.items()}, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


def test_the_trainers_shortcuts_leave_the_loss_curve_of_a_plain_loop(tmp_path, tokenizer):
    settings = SETTINGS.model_copy(update={"dropout": 0.0, "batch_size": 1, "accumulation": 1, "evaluations": 1})
    documents = Plots(make_plots(20), tokenizer).documents()
    blocks = PackedEpochs(lambda epoch: documents, 2, settings.block_size, 3)
    plain = plain_losses(make_model(len(tokenizer)), blocks, settings)
    trained = run_training(make_model(len(tokenizer)), blocks, documents, settings, FP32, 3, tmp_path)
    ours = [row["loss"] for row in trained.curve if row["split"] == "train"]
    assert plain[-1] < plain[0] - 0.3
    torch.testing.assert_close(ours, plain, rtol=5e-3, atol=0)
