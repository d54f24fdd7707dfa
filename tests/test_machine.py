"""What the machine at hand has, and not what PyTorch was built for, decides where and how models compute."""

import os
import subprocess
import sys

import pytest
import torch
from conftest import make_model

from plotwright import packing
from plotwright.drift import open_pair
from plotwright.machine import accelerator, training_attention
from plotwright.packing import keep_pieces_apart

CUDA = torch.device("cuda")


@pytest.fixture
def built_for_cuda(monkeypatch):
    """PyTorch as its CUDA wheel is on a machine without a GPU."""
    monkeypatch.setattr(torch._C, "_accelerator_getAccelerator", lambda: CUDA)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert torch.accelerator.current_accelerator() == CUDA


def test_a_cuda_build_without_a_gpu_computes_on_the_cpu(built_for_cuda, tmp_path, tokenizer):
    assert accelerator() == torch.device("cpu")
    assert training_attention() == "eager"
    make_model(len(tokenizer)).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert open_pair(tmp_path, tmp_path).model.device.type == "cpu"


@pytest.mark.parametrize(("device", "in_pieces"), [("cpu", True), ("cuda", False)])
def test_attention_in_pieces_is_for_machines_that_train_on_the_cpu(monkeypatch, device, in_pieces):
    """Before training the model itself stands on the CPU on all of them."""
    model = make_model(50)
    monkeypatch.setattr(packing, "accelerator", lambda: torch.device(device))
    keep_pieces_apart(model)
    assert (model.config._attn_implementation == packing.PIECES) == in_pieces


@pytest.mark.skipif(not torch.backends.mkl.is_available(), reason="this PyTorch multiplies without oneMKL")
def test_matrix_products_are_asked_to_repeat_themselves():
    code = "import plotwright, torch; torch.ones(64, 64) @ torch.ones(64, 64)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MKL_")}
    said = subprocess.run(
        [sys.executable, "-c", code],
        env=environment | {"MKL_VERBOSE": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    products = [line for line in said.splitlines() if "GEMM(" in line]
    assert products
    assert all("CNR:AUTO" in line and "Dyn:0" in line for line in products)
