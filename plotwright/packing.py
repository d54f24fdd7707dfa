"""Several documents in one block, each isolated from the others."""

from bisect import bisect_left
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from transformers import AttentionInterface, GPT2PreTrainedModel, PreTrainedModel

from plotwright.documents import Documents
from plotwright.machine import accelerator

IGNORED = -100  # the label that PyTorch's cross entropy leaves out

Piece = tuple[int, int, int]  # document, first token, one past the last token


def cut(lengths: np.ndarray, block_size: int) -> list[Piece]:
    """Cut documents of these lengths into pieces of at most `block_size` tokens.

    Neighbouring pieces share one token: the last of one is the unlabelled first of the next, so that
    every token but a document's first is predicted exactly once.
    """
    pieces = []
    for document, length in enumerate(lengths.tolist()):
        start = 0
        while length - start > block_size:
            pieces.append((document, start, start + block_size))
            start += block_size - 1
        pieces.append((document, start, length))
    return pieces


def pack(pieces: list[Piece], block_size: int) -> list[list[Piece]]:
    """Put pieces into blocks of `block_size` tokens by best fit, longest first (Johnson 1973).

    Each piece goes into the fullest block that still has room for it.
    """
    blocks: list[list[Piece]] = []
    with_room: list[list[list[Piece]]] = [[] for _ in range(block_size + 1)]
    rooms: list[int] = []  # the distinct rooms left in open blocks, ascending
    for piece in sorted(pieces, key=lambda piece: piece[1] - piece[2]):
        size = piece[2] - piece[1]
        place = bisect_left(rooms, size)
        if place < len(rooms):
            room = rooms[place]
            block = with_room[room].pop()
            if not with_room[room]:
                rooms.pop(place)
        else:
            room, block = block_size, []
            blocks.append(block)
        block.append(piece)
        left = room - size
        if left:
            if not with_room[left]:
                rooms.insert(bisect_left(rooms, left), left)
            with_room[left].append(block)
    return blocks


def assemble(documents: Documents, block: list[Piece], block_size: int) -> dict[str, torch.Tensor]:
    """One block as model input: input_ids, labels and position_ids, each of shape (block_size,).

    Positions restart at each piece, by which Transformers tells that the pieces must not see each
    other. What is left over is filled with a piece of ids 0 that carry no label.
    """
    inputs = torch.zeros(block_size, dtype=torch.long)
    labels = torch.full((block_size,), IGNORED)
    positions = torch.zeros(block_size, dtype=torch.long)
    at = 0
    for document, start, end in block:
        size = end - start
        tokens = torch.from_numpy(documents[document][start:end].astype(np.int64))
        inputs[at : at + size] = tokens
        positions[at : at + size] = torch.arange(size)
        first = max(1, int(documents.label_from[document]) - start)
        labels[at + first : at + size] = tokens[first:]
        at += size
    positions[at:] = torch.arange(block_size - at)
    return {"input_ids": inputs, "labels": labels, "position_ids": positions}


def attend_in_pieces(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: None,
    scaling: float,
    position_ids: torch.Tensor,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention inside each piece, without the products between pieces that a mask throws away.

    As Transformers' AttentionInterface wants it: query, key, value (batch, heads, length, width of a head),
    the result (batch, length, heads, width), no dropout. A piece begins wherever the position is 0. Two plain
    products, since on the CPU fused attention gains little and was slower in bf16.
    """
    rows = []
    for row, begins in enumerate((position_ids == 0).expand(len(query), -1)):
        starts = [*begins.nonzero().flatten().tolist(), len(begins)]
        sizes = [end - start for start, end in pairwise(starts)]
        pieces = zip(*(states[row].split(sizes, dim=1) for states in (query, key, value)), strict=True)
        rows.append(torch.cat([_attend(q, k, v, scaling) for q, k, v in pieces], dim=1))
    return torch.stack(rows).transpose(1, 2), None


def _attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, scaling: float) -> torch.Tensor:
    """Causal attention of one piece: (heads, length, width) each."""
    future = _future(query.shape[1], query.dtype, query.device)
    return torch.baddbmm(future, query, key.transpose(1, 2), alpha=scaling).softmax(dim=-1) @ value


@lru_cache(maxsize=64)
def _future(length: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """What is added to the logits of attention, (length, length): minus infinity above the diagonal."""
    return torch.full((length, length), float("-inf"), dtype=dtype, device=device).triu(1)


PIECES = "pieces"  # Transformers' name of attend_in_pieces
AttentionInterface.register(PIECES, attend_in_pieces)


def keep_pieces_apart(model: PreTrainedModel) -> None:
    """Have GPT-2 attend piece by piece where it trains on the CPU. Other architectures and devices go on with masks.

    Before Trainer moves the model, it stands on the CPU on every machine, so the machine is asked.
    """
    if isinstance(model, GPT2PreTrainedModel) and accelerator().type == "cpu":
        model.set_attn_implementation(PIECES)


def without_filler(
    input_ids: torch.Tensor, position_ids: torch.Tensor, labels: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The pieces of a batch (blocks, block_size) in one row (1, tokens), for attention in pieces.

    A piece ends with a label, so what follows a block's last label is filler. One token of an empty block stays.
    """
    labelled = labels != IGNORED
    kept = labelled.flip(1).cumsum(1).flip(1) > 0
    kept[:, 0] = True
    return input_ids[kept][None], position_ids[kept][None], labels[kept][None]


class PackedEpochs(Dataset[dict[str, torch.Tensor]]):
    """All blocks of a training run in the order in which they are trained on.

    Every epoch is packed anew: `documents_of(epoch)` may leave out other prefix fields, and blocks are
    shuffled. The run is one long sequence, so that it can be cut off and continued at any block.
    """

    def __init__(
        self,
        documents_of: Callable[[int], Documents],
        epochs: int,
        block_size: int,
        seed: int,
        multiple: int = 1,
    ):
        """The run is filled up to a `multiple` of blocks with blocks that carry no label.

        With several processes accelerate would otherwise fill the last round with blocks of the first.
        """
        self.documents_of, self.block_size, self.seed, self.multiple = documents_of, block_size, seed, multiple
        # Two epochs: with several workers or prefetching, the last blocks of one and the first of the
        # next are asked for in turn.
        self.epoch = lru_cache(maxsize=2)(self._epoch)
        counts, self.labelled = [0], 0
        for epoch in range(epochs):
            documents, blocks = self.epoch(epoch)
            counts.append(len(blocks))
            self.labelled += documents.labelled
        self.starts = np.cumsum(counts)

    def _epoch(self, epoch: int) -> tuple[Documents, list[list[Piece]]]:
        documents = self.documents_of(epoch)
        blocks = pack(cut(documents.lengths, self.block_size), self.block_size)
        order = np.random.default_rng((self.seed, epoch)).permutation(len(blocks))
        return documents, [blocks[i] for i in order]

    def __len__(self) -> int:
        return -(-int(self.starts[-1]) // self.multiple) * self.multiple

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        if index >= self.starts[-1]:
            return assemble(self.epoch(0)[0], [], self.block_size)
        epoch = int(np.searchsorted(self.starts, index, side="right")) - 1
        documents, blocks = self.epoch(epoch)
        return assemble(documents, blocks[index - int(self.starts[epoch])], self.block_size)
