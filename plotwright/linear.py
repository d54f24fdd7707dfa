"""Linear layers for decoding, each row's result bit for bit the same whatever rows stand beside it."""

from typing import Protocol

import torch
from torch import nn

ROWS = 8  # drafts that advance together at most

_TINY = 1e-30  # a row of nothing but zeros is divided by this


class Linear(Protocol):
    """Weights made ready once, then (rows, in) -> (rows, out), both fp32 or both the weights' type."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None: ...

    def __call__(self, rows: torch.Tensor) -> torch.Tensor: ...


class Int8Linear:
    """int8 weights with a scale for each output, int8 activations with a scale for each row, both symmetric.

    The products are summed in int32, which is exact in any order, and every floating-point operation
    around them is a single correctly rounded one on one element: so rows cannot influence each other.
    Why this operator: benchmarks/NOTES.md, "Writing".
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None):
        """weight: (out, in) fp32. bias: (out,) or None."""
        peak = weight.abs().amax(dim=1).clamp_(min=_TINY)
        quantized = (weight / peak[:, None]).mul_(127).round_().to(torch.int8).contiguous()
        self.packed = torch.ops.onednn.qlinear_prepack(quantized, None)
        self.scales = peak / 127**2  # a product of two numbers of at most 127 each
        self.zeros = torch.zeros(len(weight), dtype=torch.int64)
        self.bias = bias

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        peak = rows.abs().amax(dim=1, keepdim=True).clamp_(min=_TINY)
        # The instructions multiply unsigned by signed numbers, so 0 becomes 128; the half rounds.
        quantized = (rows / peak).mul_(127).add_(128.5).to(torch.uint8)
        out = torch.ops.onednn.qlinear_pointwise(
            quantized, 1.0, 128, self.packed, self.scales, self.zeros, None, 1.0, 0, torch.float32, "none", [], ""
        ).mul_(peak)
        return out if self.bias is None else out.add_(self.bias)


class DenseLinear:
    """Weights as they are (fp32, bf16), always ROWS rows or more at a time.

    Another number of rows may mean another kernel and another last digit; filling up to the same number
    keeps the kernel the same. It costs little, since reading the weights is what takes the time.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None):
        self.weight, self.bias = weight.contiguous(), bias

    def __call__(self, rows: torch.Tensor) -> torch.Tensor:
        missing = max(0, ROWS - len(rows))
        filled = nn.functional.pad(rows, (0, 0, 0, missing))
        return nn.functional.linear(filled, self.weight, self.bias)[: len(rows)]


def multiplies_int8_exactly() -> bool:
    """Whether this machine and this PyTorch have Int8Linear's operator and sum its products without overflow.

    Without VNNI instructions oneDNN adds pairs of products in 16 bits, which saturates: tried with the
    largest numbers rather than guessed from the processor's name.
    """
    if not (torch.backends.mkldnn.is_available() and hasattr(torch.ops.onednn, "qlinear_pointwise")):
        return False
    signs = torch.ones(32, 256)
    signs[1::2] = -1
    products = Int8Linear(signs, None)(torch.ones(ROWS, 256))
    return torch.equal(products.round(), signs.sum(dim=1).expand(ROWS, -1))
