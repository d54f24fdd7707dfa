"""Cross entropy of a language model's head without ever holding all logits."""

from collections.abc import Iterable
from types import MethodType
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from plotwright.errors import PlotwrightError
from plotwright.packing import IGNORED, PIECES, without_filler

CHUNK = 1024  # rows of logits held at once on the CPU, and at least on a GPU
FILLED = 2**26  # logits that keep a GPU busy; of a small vocabulary CHUNK rows are too few
CACHED = 2**21  # numbers that a processor's cache holds while they are worked on: eight megabytes in fp32


class _LinearCrossEntropy(torch.autograd.Function):
    """Sum over rows of -log softmax(hidden @ weight.T)[label], with gradients computed chunk by chunk.

    Both gradients are worked out in the forward pass, while a chunk's logits are at hand, so that at no
    time more than a chunk of them exists; their gradient takes their place.
    """

    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        device = hidden.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else hidden.dtype
        with torch.autocast(device, enabled=False):
            rows, matrix = hidden.to(dtype), weight.to(dtype)
            hidden_gradient = torch.empty_like(rows)
            weight_gradient = torch.empty_like(weight, dtype=torch.float32)
            total = torch.zeros((), dtype=torch.float32, device=hidden.device)
            chunk = CHUNK if device == "cpu" else max(CHUNK, FILLED // len(matrix))
            for start in range(0, max(1, len(labels)), chunk):  # without a label once: the gradients are then zeros
                part, target = rows[start : start + chunk], labels[start : start + chunk, None]
                logits = part @ matrix.T
                for some, theirs in _slices(logits, target):
                    total += _loss_and_gradient(some, theirs)
                torch.mm(logits, matrix, out=hidden_gradient[start : start + chunk])
                for gradient, columns in _slices(weight_gradient, logits.T):
                    product = columns @ part
                    if start == 0:
                        gradient.copy_(product)
                    else:
                        gradient += product
        ctx.save_for_backward(hidden_gradient, weight_gradient)
        ctx.dtypes = hidden.dtype, weight.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        (scale,) = outputs
        hidden_gradient, weight_gradient = ctx.saved_tensors
        hidden_type, weight_type = ctx.dtypes
        return (hidden_gradient * scale).to(hidden_type), weight_gradient.mul_(scale).to(weight_type), None


def _slices(first: torch.Tensor, second: torch.Tensor) -> Iterable[tuple[torch.Tensor, torch.Tensor]]:
    """Both tensors in equally many rows at a time: on the CPU as many as the first's numbers fit the cache."""
    rows = max(1, CACHED // first.shape[1]) if first.device.type == "cpu" else len(first)
    return zip(first.split(rows), second.split(rows), strict=True)


def _loss_and_gradient(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Sum of -log p(target) over rows; in the logits' place its gradient by them. target: (rows, 1)."""
    # One pass over each row while the processor's cache holds it; logsumexp takes several over all.
    log_probabilities = logits.log_softmax(dim=-1, dtype=torch.float32)
    log_likelihood = log_probabilities.gather(1, target)
    probabilities = log_probabilities.exp_()
    logits.copy_(probabilities.scatter_add_(1, target, -torch.ones_like(log_likelihood)))
    return -log_likelihood.sum()


def summed_cross_entropy(hidden: torch.Tensor, head: nn.Linear, labels: torch.Tensor) -> torch.Tensor:
    """Sum of -log p(label) in nats over the positions that carry a label.

    hidden: (batch, length, width), the model's last hidden states. labels: (batch, length); the state at
    position t predicts the label at t + 1, and labels of -100 are left out.
    """
    targets = labels[:, 1:]
    carried = targets != IGNORED
    return _LinearCrossEntropy.apply(hidden[:, :-1][carried], head.weight, targets[carried])


def fuse_loss(model: PreTrainedModel, compiled: bool = False) -> None:
    """Make `model(input_ids, position_ids, labels, num_items_in_batch)` return the loss and no logits.

    The loss is the sum over labelled tokens divided by `num_items_in_batch`, the number of such tokens
    in the whole optimizer step, which Trainer counts over accumulation and processes. It replaces
    `forward` itself because that is what DistributedDataParallel synchronises. `compiled` runs the layers
    through torch.compile; scoring, with its windows of many sizes, never is.

    Raises PlotwrightError when the output layer has a bias, which this loss would leave out.
    """
    if model.get_output_embeddings().bias is not None:
        raise PlotwrightError(
            f"the output layer of {model.name_or_path or 'this model'} has a bias, which the training loss does not "
            "count; choose another model.base."
        )
    body = torch.compile(model.base_model, dynamic=False) if compiled else model.base_model

    def forward(
        self: PreTrainedModel,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor,
        labels: torch.Tensor,
        num_items_in_batch: torch.Tensor | int,
        **kwargs: Any,
    ) -> CausalLMOutput:
        if self.config._attn_implementation == PIECES:
            input_ids, position_ids, labels = without_filler(input_ids, position_ids, labels)
        # Neither mask nor cache: with either, Transformers no longer keeps packed documents apart.
        hidden = body(input_ids=input_ids, position_ids=position_ids, use_cache=False).last_hidden_state
        return CausalLMOutput(
            loss=summed_cross_entropy(hidden, self.get_output_embeddings(), labels) / num_items_in_batch
        )

    model.forward = MethodType(forward, model)
