"""What the machine at hand can do, and the settings that follow from it."""

import ctypes
import os
import platform
from dataclasses import dataclass
from typing import Literal

import torch

Precision = Literal["bf16", "fp32"]

# Parameters of glibc's mallopt(3).
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4


def processes() -> int:
    """How many processes train together, as torchrun and accelerate say it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first_process() -> bool:
    """Whether this is the process that writes the results."""
    return os.environ.get("RANK", "0") == "0"


@dataclass(frozen=True)
class Choice:
    """An automatic choice and its reason, which is printed and stored beside the weights."""

    value: Precision
    reason: str


def choose_precision(wanted: Literal["auto", "bf16", "fp32"]) -> Choice:
    """bf16 autocast where the machine computes with it, else fp32."""
    if wanted != "auto":
        return Choice(wanted, "the setting precision asks for it")
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return Choice("bf16", f"{name} computes with bf16")
        return Choice("fp32", f"{name} does not compute with bf16")
    if torch.backends.mps.is_available():
        return Choice("fp32", "on Apple's GPU bf16 autocast is not used")
    for unit in ("amx_bf16", "avx512_bf16"):
        if torch.cpu.get_capabilities().get(unit):
            return Choice("bf16", f"this processor has {unit}")
    return Choice("fp32", "this processor has no bf16 units")


def keep_freed_memory() -> None:
    """Let glibc keep what a training step frees instead of handing it back to the kernel.

    A step frees hundreds of megabytes and asks for them again in the next one; faulting the pages in
    anew costs almost as much as the arithmetic. Elsewhere than on glibc nothing is done.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)
        libc.mallopt(_M_TOP_PAD, 64 * 2**20)  # bytes that the heap grows by beyond what is asked for


def accelerator() -> torch.device:
    """The device that models compute on: this machine's GPU or its like if one can be used, else the CPU.

    Without `check_available` PyTorch says what it was built for, which may not be there.
    """
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def training_attention() -> str | None:
    """Transformers' name of the attention to train with; None leaves the choice to Transformers.

    On the CPU two plain matrix products are faster than fused attention under a packed block's mask.
    """
    return "eager" if accelerator().type == "cpu" else None
