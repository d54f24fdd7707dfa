"""What reads a prompt and goes on token by token: a lean loop for GPT-2, Transformers' generate for the rest."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeGuard

import torch
from torch import nn
from transformers import GenerationConfig, GPT2LMHeadModel, PreTrainedModel

from plotwright.linear import DenseLinear, Int8Linear, Linear, multiplies_int8_exactly
from plotwright.models import context_of


class Decoder(Protocol):
    """One model, shared by all that is written. A memory (keys and values read so far) belongs to one draft.

    Tokens are (n,) int64 on the CPU; logits are float32 on the CPU. `description` says in words what
    computes; `context` is the most tokens a memory can hold.
    """

    description: str
    context: int

    def read(self, tokens: torch.Tensor, capacity: int) -> tuple[Any, torch.Tensor]:
        """A memory of a prompt, with room for `capacity` tokens in all, and the next token's logits (vocabulary,)."""

    def copy(self, memory: Any) -> Any:
        """A memory that goes its own way from here."""

    def step(self, memories: list[Any], tokens: list[int]) -> torch.Tensor:
        """Add one token to each memory; the logits (drafts, vocabulary) of the tokens after."""

    def hidden(self, tokens: torch.Tensor) -> torch.Tensor:
        """The last hidden states (n, width) of a text of at most `context` tokens."""

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        """The logits (n, vocabulary) of hidden states (n, width)."""


@dataclass
class Memory:
    """Keys and values of one draft: (layers, 2, heads, capacity, width of a head), of which `length` are filled."""

    cache: torch.Tensor
    length: int


Attention = Callable[[int, torch.Tensor], torch.Tensor]


class _Block:
    """One transformer layer of GPT-2."""

    def __init__(self, block: Any, linear: type[Linear]):
        def layer(conv: Any) -> Linear:
            return linear(conv.weight.detach().T, conv.bias.detach())

        self.before_attention, self.before_mlp = block.ln_1, block.ln_2
        self.qkv, self.attended = layer(block.attn.c_attn), layer(block.attn.c_proj)
        self.up, self.down = layer(block.mlp.c_fc), layer(block.mlp.c_proj)

    def __call__(self, hidden: torch.Tensor, attend: Callable[[torch.Tensor], torch.Tensor]) -> torch.Tensor:
        hidden = hidden + self.attended(attend(self.qkv(self.before_attention(hidden))))
        return hidden + self.down(_gelu(self.up(self.before_mlp(hidden))))


def _gelu(rows: torch.Tensor) -> torch.Tensor:
    """GPT-2's tanh form of GELU, row by row the same whatever the other rows.

    PyTorch computes whole vectors and what is left at the end of a thread's share with different code. No
    share ends inside a row where rows are whole vectors and too few for a third thread to help.
    """
    width = rows.shape[1]
    together = max(1, 2**16 // width) if width % 64 == 0 else 1
    return torch.cat([nn.functional.gelu(part, approximate="tanh") for part in rows.split(together)])


class GPT2Decoder:
    """GPT-2 with preallocated memories; each layer's weights are read once for all drafts of a step.

    Attention runs draft by draft: every draft has its own length, and none can change another's result.
    """

    def __init__(self, model: GPT2LMHeadModel, linear: type[Linear], description: str):
        body, config = model.transformer.eval(), model.config
        self.description, self.context, self.heads = description, context_of(model), config.n_head
        self.device, self.dtype = model.device, model.dtype
        self.tokens, self.positions = body.wte.weight.detach(), body.wpe.weight.detach()
        self.blocks = [_Block(block, linear) for block in body.h]
        self.last_norm = body.ln_f
        self.output = linear(model.lm_head.weight.detach(), None)

    def _embed(self, tokens: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        return self.tokens[tokens.to(self.device)] + self.positions[positions.to(self.device)]

    def _layers(self, hidden: torch.Tensor, attend: Attention) -> torch.Tensor:
        for index, block in enumerate(self.blocks):
            hidden = block(hidden, partial(attend, index))
        return self.last_norm(hidden)

    def _read(self, tokens: torch.Tensor, memory: Memory) -> torch.Tensor:
        length = len(tokens)

        def attend(layer: int, qkv: torch.Tensor) -> torch.Tensor:
            query, key, value = qkv.view(length, 3, self.heads, -1).permute(1, 2, 0, 3)
            memory.cache[layer, 0, :, :length], memory.cache[layer, 1, :, :length] = key, value
            mixed = nn.functional.scaled_dot_product_attention(query[None], key[None], value[None], is_causal=True)
            return mixed[0].transpose(0, 1).reshape(length, -1)

        memory.length = length
        return self._layers(self._embed(tokens, torch.arange(length)), attend)

    def _memory(self, capacity: int) -> Memory:
        shape = (len(self.blocks), 2, self.heads, capacity, self.tokens.shape[1] // self.heads)
        return Memory(torch.empty(shape, dtype=self.dtype, device=self.device), 0)

    def read(self, tokens: torch.Tensor, capacity: int) -> tuple[Memory, torch.Tensor]:
        memory = self._memory(capacity)
        return memory, self.head(self._read(tokens, memory)[-1:])[0]

    def copy(self, memory: Memory) -> Memory:
        copied = Memory(torch.empty_like(memory.cache), memory.length)
        copied.cache[..., : memory.length, :] = memory.cache[..., : memory.length, :]
        return copied

    def step(self, memories: list[Memory], tokens: list[int]) -> torch.Tensor:
        def attend(layer: int, qkv: torch.Tensor) -> torch.Tensor:
            mixed = []
            rows = qkv.view(len(qkv), 3, self.heads, -1)
            for (query, key, value), memory in zip(rows, memories, strict=True):
                keys, values = memory.cache[layer, :, :, : memory.length + 1]
                keys[:, -1], values[:, -1] = key, value
                mixed.append(nn.functional.scaled_dot_product_attention(query[None, :, None], keys[None], values[None]))
            return torch.cat(mixed).view(len(qkv), -1)

        positions = torch.tensor([memory.length for memory in memories])
        hidden = self._layers(self._embed(torch.tensor(tokens), positions), attend)
        for memory in memories:
            memory.length += 1
        return self.head(hidden)

    def hidden(self, tokens: torch.Tensor) -> torch.Tensor:
        return self._read(tokens, self._memory(len(tokens)))

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.output(hidden).float().cpu()


@dataclass
class ReadTokens:
    """A draft's tokens (1, n) on the model's device and Transformers' own cache of all but the last."""

    tokens: torch.Tensor
    cache: Any


class TransformersDecoder:
    """Any causal language model, through Transformers' own generate, one token a call.

    Each draft is a batch of its own: slower than one batch, but its text does not depend on the others.
    """

    def __init__(self, model: PreTrainedModel):
        self.model = model.eval()
        self.context = context_of(model)
        self.description = f"Transformers' generate ({model.config.model_type}, {_type_name(model)})"
        # A fresh one: the folder's own generation settings must not work besides the request's.
        end = model.config.eos_token_id
        self.settings = GenerationConfig(
            max_new_tokens=1, do_sample=False, return_dict_in_generate=True, output_logits=True, pad_token_id=end
        )

    def _generate(self, tokens: torch.Tensor, cache: Any) -> tuple[ReadTokens, torch.Tensor]:
        output = self.model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            past_key_values=cache,
            generation_config=self.settings,
            use_cache=True,
        )
        return ReadTokens(tokens, output.past_key_values), output.logits[0][0].float().cpu()

    def read(self, tokens: torch.Tensor, capacity: int) -> tuple[ReadTokens, torch.Tensor]:
        return self._generate(tokens[None].to(self.model.device), None)

    def copy(self, memory: ReadTokens) -> ReadTokens:
        return copy.deepcopy(memory)

    def step(self, memories: list[ReadTokens], tokens: list[int]) -> torch.Tensor:
        logits = []
        for memory, token in zip(memories, tokens, strict=True):
            longer = torch.cat([memory.tokens, memory.tokens.new_tensor([[token]])], dim=1)
            read, row = self._generate(longer, memory.cache)
            memory.tokens, memory.cache = read.tokens, read.cache
            logits.append(row)
        return torch.stack(logits)

    def hidden(self, tokens: torch.Tensor) -> torch.Tensor:
        inputs = tokens[None].to(self.model.device)
        return self.model.base_model(input_ids=inputs, use_cache=False).last_hidden_state[0]

    def head(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.model.get_output_embeddings()(hidden).float().cpu()


def _type_name(model: PreTrainedModel) -> str:
    return {torch.float32: "fp32", torch.bfloat16: "bf16"}[model.dtype]


def _is_plain_gpt2(model: PreTrainedModel) -> TypeGuard[GPT2LMHeadModel]:
    """Whether GPT2Decoder computes what this model computes."""
    config = model.config
    return (
        isinstance(model, GPT2LMHeadModel)
        and config.activation_function in ("gelu_new", "gelu_pytorch_tanh")
        and config.scale_attn_weights
        and not config.scale_attn_by_inverse_layer_idx
        and not config.add_cross_attention
    )


def make_decoder(model: PreTrainedModel) -> Decoder:
    """The fastest decoder there is for an fp32 model on this machine; its description says which.

    On a GPU the weights become bf16.
    """
    if torch.cuda.is_available():
        nn.Module.to(model, device="cuda", dtype=torch.bfloat16)
    if not _is_plain_gpt2(model):
        return TransformersDecoder(model)
    if model.device.type == "cpu" and multiplies_int8_exactly():
        return GPT2Decoder(model, Int8Linear, "int8 decode loop")
    return GPT2Decoder(model, DenseLinear, f"{_type_name(model)} decode loop on the {model.device.type.upper()}")
