"""Muon in the machine's own precision takes PyTorch's steps, on the matrices inside the layers."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from plotwright.optimizer import Muon, build_optimizer, orthogonalise


def test_muon_in_bf16_takes_the_steps_of_pytorchs_own():
    torch.manual_seed(0)
    start = torch.randn(24, 16)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    steps = [
        Muon([ours], 0.02, 0.1, torch.bfloat16),
        torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw"),
    ]
    for _ in range(5):
        gradient = torch.randn(24, 16)
        for parameter, optimizer in zip((ours, theirs), steps, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    assert torch.equal(ours, theirs)


def test_singular_values_come_near_one():
    torch.manual_seed(0)
    for shape in ((8, 40), (40, 8)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape), torch.float32))
        assert values.min() > 0.5 and values.max() < 1.5


def test_an_output_layer_of_its_own_is_no_inner_matrix():
    config = GPT2Config(vocab_size=30, n_positions=8, n_embd=8, n_layer=1, n_head=1, tie_word_embeddings=False)
    model = GPT2LMHeadModel(config)
    assert model.lm_head.weight is not model.transformer.wte.weight
    optimizer = build_optimizer(model, "muon", 1e-3, 0.1, torch.float32)
    inner = {id(matrix) for group in optimizer.muon.param_groups for matrix in group["params"]}
    block = model.transformer.h[0]
    layers = (block.attn.c_attn, block.attn.c_proj, block.mlp.c_fc, block.mlp.c_proj)
    assert inner == {id(layer.weight) for layer in layers}
