"""Packing: nothing lost, nothing doubled, nothing leaks."""

from collections import Counter

import numpy as np
import pytest
import torch
from conftest import make_model
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPTNeoConfig, GPTNeoForCausalLM, PreTrainedModel

from plotwright.documents import Documents, Plots
from plotwright.packing import IGNORED, PIECES, PackedEpochs, assemble, cut, pack, without_filler

shapes = st.lists(st.tuples(st.integers(0, 4), st.integers(1, 90)), min_size=1, max_size=40)


def numbered(shapes: list[tuple[int, int]]) -> Documents:
    """Documents of (context, labelled) sizes whose token ids are all different, so that each can be traced."""
    lengths = np.array([context + labelled for context, labelled in shapes])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    return Documents(np.arange(1, starts[-1] + 1), starts, np.array([context for context, _ in shapes]))


@given(shapes, st.integers(8, 40))
@settings(max_examples=150, deadline=None)
def test_every_labelled_token_is_predicted_exactly_once(shapes, block_size):
    documents = numbered(shapes)
    blocks = pack(cut(documents.lengths, block_size), block_size)
    predicted = Counter()
    for block in blocks:
        labels = assemble(documents, block, block_size)["labels"]
        predicted.update(labels[labels != IGNORED].tolist())
    expected = Counter()
    for index, first in enumerate(documents.label_from):
        # Nothing stands before a document's first token that could predict it.
        expected.update(documents[index][max(1, first) :].tolist())
    assert predicted == expected


@given(shapes, st.integers(8, 40))
@settings(max_examples=100, deadline=None)
def test_a_predicted_token_stands_right_after_its_predecessor(shapes, block_size):
    documents = numbered(shapes)
    for block in pack(cut(documents.lengths, block_size), block_size):
        item = assemble(documents, block, block_size)
        for at in torch.nonzero(item["labels"] != IGNORED).flatten().tolist():
            assert item["labels"][at] == item["input_ids"][at]
            assert item["input_ids"][at - 1] == item["input_ids"][at] - 1
            assert item["position_ids"][at] == item["position_ids"][at - 1] + 1


@given(st.lists(st.integers(1, 64), min_size=1, max_size=300))
@settings(max_examples=60, deadline=None)
def test_blocks_are_never_overfull_and_at_most_one_is_half_empty(lengths):
    blocks = pack(cut(np.array(lengths), 64), 64)
    sizes = [sum(end - start for _, start, end in block) for block in blocks]
    assert max(sizes) <= 64
    assert sum(size <= 32 for size in sizes) <= 1


def neo_model(vocabulary: int) -> GPTNeoForCausalLM:
    torch.manual_seed(0)
    config = GPTNeoConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        num_layers=2,
        num_heads=2,
        attention_types=[[["global", "local"], 1]],
        window_size=16,
        max_position_embeddings=64,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPTNeoForCausalLM(config).eval()


def in_pieces(vocabulary: int) -> PreTrainedModel:
    model = make_model(vocabulary)
    model.set_attn_implementation(PIECES)
    return model


@pytest.mark.parametrize("make", [make_model, neo_model, in_pieces])
def test_packed_logits_equal_single_document_logits(make, tokenizer, plots):
    documents = Plots(plots.head(12), tokenizer).documents()
    model = make(len(tokenizer))
    blocks = pack(cut(documents.lengths, 64), 64)
    assert any(len(block) > 1 for block in blocks)
    with torch.no_grad():
        for block in blocks:
            item = assemble(documents, block, 64)
            packed = model(
                input_ids=item["input_ids"][None], position_ids=item["position_ids"][None], use_cache=False
            ).logits[0]
            at = 0
            for document, start, end in block:
                tokens = torch.from_numpy(documents[document][start:end].astype(np.int64))
                alone = model(input_ids=tokens[None], use_cache=False).logits[0]
                torch.testing.assert_close(packed[at : at + end - start], alone, rtol=0, atol=1e-5)
                at += end - start


def test_gradients_of_attention_in_pieces_equal_those_under_a_mask(tokenizer, plots):
    documents = Plots(plots.head(12), tokenizer).documents()
    block = pack(cut(documents.lengths, 64), 64)[-1]
    item = {name: torch.stack([values, values]) for name, values in assemble(documents, block, 64).items()}
    gradients = []
    for make in (make_model, in_pieces):
        model = make(len(tokenizer))
        model(**item, use_cache=False).loss.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    for masked, in_parts in zip(*gradients, strict=True):
        torch.testing.assert_close(in_parts, masked, rtol=1e-4, atol=1e-6)


def test_only_filler_is_left_out_of_a_batch(tokenizer, plots):
    documents = Plots(plots.head(12), tokenizer).documents()
    blocks = [*pack(cut(documents.lengths, 64), 64), []]
    items = [assemble(documents, block, 64) for block in blocks]
    batch = {name: torch.stack([item[name] for item in items]) for name in items[0]}
    tokens, positions, labels = without_filler(batch["input_ids"], batch["position_ids"], batch["labels"])
    pieces = [documents[document][start:end] for block in blocks for document, start, end in block]
    np.testing.assert_array_equal(tokens[0, :-1], np.concatenate(pieces))
    assert int((positions == 0).sum()) == len(pieces) + 1
    assert int((labels != IGNORED).sum()) == documents.labelled


def test_the_end_of_every_plot_carries_a_label(tokenizer, plots):
    packed = PackedEpochs(lambda epoch: Plots(plots, tokenizer).documents(), 1, 64, seed=1)
    ends = sum(int((packed[i]["labels"] == tokenizer.eos_token_id).sum()) for i in range(len(packed)))
    assert ends == len(plots)


def test_epochs_hold_the_same_tokens_in_another_order(tokenizer, plots):
    documents = Plots(plots, tokenizer).documents()
    packed = PackedEpochs(lambda epoch: documents, 2, 64, seed=1)
    half = len(packed) // 2
    first, second = ([packed[i]["input_ids"].tolist() for i in part] for part in (range(half), range(half, 2 * half)))
    assert first != second
    assert sorted(first) == sorted(second)
    assert packed.labelled == 2 * documents.labelled


def test_the_run_is_filled_up_with_blocks_that_carry_no_label(tokenizer, plots):
    documents = Plots(plots, tokenizer).documents()
    bare, filled = (PackedEpochs(lambda epoch: documents, 1, 64, seed=1, multiple=m) for m in (1, 16))
    assert len(bare) % 16 and len(filled) % 16 == 0 and len(filled) - len(bare) < 16
    assert all((filled[i]["labels"] == IGNORED).all() for i in range(len(bare), len(filled)))
    assert filled.labelled == bare.labelled == documents.labelled


def test_any_block_can_be_had_without_those_before_it(tokenizer, plots):
    def make() -> PackedEpochs:
        encoded = Plots(plots, tokenizer)
        return PackedEpochs(lambda epoch: encoded.with_random_prefix(0.5, np.random.default_rng((3, epoch))), 3, 64, 3)

    in_order, at_once = make(), make()
    everything = [in_order[i] for i in range(len(in_order))]
    last = at_once[len(at_once) - 1]
    assert all(torch.equal(last[key], everything[-1][key]) for key in last)
