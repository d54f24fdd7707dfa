"""Opening a model folder: local, safetensors only, no code from the folder."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from plotwright.errors import PlotwrightError
from plotwright.folders import how_to_make, require_model


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model folder.

    Raises PlotwrightError when the folder or its tokenizer is missing or broken.
    """
    require_model(folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise _broken(folder, "tokenizer", error) from error
    if tokenizer.eos_token_id is None:
        raise PlotwrightError(f"the tokenizer in {folder} has no end-of-text token; choose another base model.")
    return tokenizer


def load_model(folder: Path, attention: str | None = None) -> PreTrainedModel:
    """The causal language model of a folder, in fp32 and in evaluation mode.

    `attention` is Transformers' attention implementation, None the one it chooses.
    Raises PlotwrightError when the folder is missing, has no safetensors weights, or does not hold a
    model that Transformers can open.
    """
    require_model(folder)
    try:
        return AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=torch.float32,
            attn_implementation=attention,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise _broken(folder, "model", error) from error


def _broken(folder: Path, what: str, error: Exception) -> PlotwrightError:
    reason = " ".join(str(error).split())[:300].rstrip(".")
    return PlotwrightError(f"the {what} in {folder} cannot be opened ({reason}); {how_to_make(folder)}.")


def context_of(model: PreTrainedModel) -> int:
    """The most tokens that the model can take at once."""
    return int(model.config.max_position_embeddings)
