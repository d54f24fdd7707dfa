"""Optimizers as Trainer wants them: one object, with one learning-rate schedule over all parameters."""

from typing import Any, Literal

import torch
from torch import nn
from transformers import PreTrainedModel

OptimizerName = Literal["adamw", "muon"]


NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)  # coefficients of the quintic iteration, Jordan et al. 2024
ITERATIONS = 5


def orthogonalise(matrix: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The nearest matrix to `matrix` whose singular values all lie near 1 (about 0.5 to 1.5), in `dtype`."""
    a, b, c = NEWTON_SCHULZ
    wide = (matrix.T if matrix.shape[0] > matrix.shape[1] else matrix).to(dtype)
    result = wide / wide.norm().clamp(min=1e-7)  # a spectral norm of at most 1, from which the iteration converges
    for _ in range(ITERATIONS):
        gram = result @ result.T
        result = torch.addmm(result, torch.addmm(gram, gram, gram, beta=b, alpha=c), result, beta=a)
    return result.T if matrix.shape[0] > matrix.shape[1] else result


class Muon(torch.optim.Optimizer):
    """torch.optim.Muon with the type of its products a parameter.

    PyTorch's own always multiplies in bf16, which a processor without bf16 units does four times slower
    than fp32: at the embedded base's shape that took as long as a step's forward and backward pass.
    """

    def __init__(self, matrices: list[nn.Parameter], lr: float, weight_decay: float, dtype: torch.dtype):
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": 0.95})
        self.dtype = dtype

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is not None:
                    update = self._update(matrix, matrix.grad, group["momentum"])
                    scale = 0.2 * max(matrix.shape) ** 0.5  # to AdamW's usual root mean square, Liu et al. 2025
                    matrix.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-group["lr"] * scale)

    def _update(self, matrix: nn.Parameter, gradient: torch.Tensor, momentum: float) -> torch.Tensor:
        state = self.state[matrix]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        average = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        return orthogonalise(gradient.lerp(average, momentum), self.dtype)


class MuonWithAdamW(torch.optim.Optimizer):
    """Muon on the matrices inside the transformer, AdamW on embeddings, output layer, biases and norms.

    Muon orthogonalises each matrix's momentum (Jordan et al. 2024); its step is scaled to AdamW's root
    mean square (Liu et al. 2025, "Muon is scalable for LLM training"), so that one learning rate and one
    weight decay serve both.
    """

    def __init__(
        self,
        matrices: list[nn.Parameter],
        others: list[dict[str, Any]],
        lr: float,
        weight_decay: float,
        dtype: torch.dtype,
    ):
        self.muon = Muon(matrices, lr, weight_decay, dtype)
        self.adamw = torch.optim.AdamW(others, lr=lr, betas=(0.9, 0.95), fused=True)
        super().__init__([{"params": [*matrices, *(p for group in others for p in group["params"])]}], {"lr": lr})
        # The schedule writes each group's lr; these groups are the inner optimizers' own.
        self.param_groups = [*self.muon.param_groups, *self.adamw.param_groups]

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.muon.step()
        self.adamw.step()

    def state_dict(self) -> dict[str, Any]:
        return {"muon": self.muon.state_dict(), "adamw": self.adamw.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.muon.load_state_dict(state_dict["muon"])
        self.adamw.load_state_dict(state_dict["adamw"])
        self.param_groups = [*self.muon.param_groups, *self.adamw.param_groups]


def build_optimizer(
    model: PreTrainedModel, name: OptimizerName, learning_rate: float, weight_decay: float, dtype: torch.dtype
) -> torch.optim.Optimizer:
    """The optimizer `name` over `model`, with weight decay on matrices and none on biases and norms.

    `dtype` is that of Muon's matrix products; weights and averages stay as they are.
    """
    named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    matrices = [parameter for _, parameter in named if parameter.ndim == 2]
    vectors = [parameter for _, parameter in named if parameter.ndim != 2]
    if name == "adamw":
        groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        return torch.optim.AdamW(groups, lr=learning_rate, fused=True)
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    tables.add(id(model.get_output_embeddings().weight))  # in GPT-2 one of the former, in other models its own
    inner = [parameter for parameter in matrices if id(parameter) not in tables]
    embeddings = [parameter for parameter in matrices if id(parameter) in tables]
    others = [{"params": embeddings, "weight_decay": 0.0}, {"params": vectors, "weight_decay": 0.0}]
    return MuonWithAdamW(inner, others, learning_rate, weight_decay, dtype)
