"""From a folder of books and a table of plots to the blocks that a base model is pretrained on."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from pydantic import ConfigDict, Field, model_validator
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from tqdm import tqdm
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from plotwright.documents import Documents, Plots
from plotwright.errors import PlotwrightError
from plotwright.files import whole_file
from plotwright.machine import training_attention
from plotwright.settings import Count, Section, TrainingSettings

END = "<|endoftext|>"
# GPT-2's own word pattern, but each digit is a word: 8,000 entries are too few to spend on numbers.
WORDS = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


class ModelShape(Section):
    vocabulary: Annotated[int, Field(ge=300, le=2**16)]
    context: Count
    layers: Count
    heads: Count
    width: Count

    @model_validator(mode="after")
    def divides_among_heads(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width ({self.width}) must be a multiple of heads ({self.heads})")
        return self


class Phase(Section):
    """What one phase reads: shares of all tokens of each kind of text; above 1 is more than once."""

    books: Annotated[float, Field(ge=0)]
    plots: Annotated[float, Field(ge=0)]
    invented: Annotated[float, Field(ge=0)]


class Run(Section):
    """One training with a schedule of its own, from what the run before left."""

    phases: Annotated[list[Phase], Field(min_length=1)]
    training: TrainingSettings


class HeldOut(Section):
    books: Count
    plots: Count


class PretrainSettings(Section):
    """The section `pretrain` of models/base/params.yaml."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    min_words: Annotated[int, Field(ge=0)]
    shape: ModelShape
    held_out: HeldOut
    runs: Annotated[list[Run], Field(min_length=1)]

    @model_validator(mode="after")
    def fits_the_context(self) -> Self:
        for number, run in enumerate(self.runs):
            if run.training.block_size > self.shape.context:
                raise ValueError(
                    f"pretrain.runs.{number}.training.block_size ({run.training.block_size}) must be at most "
                    f"pretrain.shape.context ({self.shape.context})"
                )
        return self


class BaseParams(Section):
    """models/base/params.yaml as far as pretraining reads it."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    pretrain: PretrainSettings


def new_model(shape: ModelShape, end: int) -> GPT2LMHeadModel:
    """A randomly initialised GPT-2 of this shape; `end` is the id of the end-of-text token."""
    config = GPT2Config(
        vocab_size=shape.vocabulary,
        n_positions=shape.context,
        n_embd=shape.width,
        n_layer=shape.layers,
        n_head=shape.heads,
        bos_token_id=end,
        eos_token_id=end,
    )
    config._attn_implementation = training_attention()
    return GPT2LMHeadModel(config)


def book_files(folder: Path) -> list[Path]:
    """The text files of a folder in a fixed order.

    Raises PlotwrightError when there are none.
    """
    files = sorted(Path(folder).glob("*.txt"))
    if not files:
        raise PlotwrightError(f"{folder} holds no .txt file; put the books there, one paragraph a line.")
    return files


def texts_of(file: Path) -> list[str]:
    """A book file's texts: one paragraph a line, a blank line between two texts."""
    return [text for text in file.read_text(encoding="utf-8").split("\n\n") if text.strip()]


def train_tokenizer(texts: Iterator[str], vocabulary: int, context: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer of `vocabulary` entries, the first of which ends a text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORDS), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=END,
        eos_token=END,
        clean_up_tokenization_spaces=False,
        model_max_length=context,
    )


class Books:
    """The texts of book files as token ids on disk, read through a memory map."""

    def __init__(self, folder: Path):
        self.tokens = np.memmap(folder / "tokens.uint16", dtype=np.uint16, mode="r")
        self.starts = np.load(folder / "starts.npy")

    def __len__(self) -> int:
        return len(self.starts) - 1

    def documents(self, texts: np.ndarray) -> Documents:
        """The texts with these indices; each begins with the end-of-text token, which is not predicted."""
        everything = Documents(self.tokens, self.starts, np.ones(len(self), dtype=np.int64))
        return everything.select(texts)


def write_books(files: list[Path], tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Encode book files one by one into `folder`, as `<eos>text<eos>` each text, for Books to read."""
    folder.mkdir(parents=True, exist_ok=True)
    end, lengths = tokenizer.eos_token_id, [0]
    with (folder / "tokens.uint16").open("wb") as out:
        for file in tqdm(files, desc="Encoding books"):
            encoded = tokenizer(texts_of(file), add_special_tokens=False, return_attention_mask=False, verbose=False)
            for tokens in encoded["input_ids"]:
                np.array([end, *tokens, end], dtype=np.uint16).tofile(out)
                lengths.append(len(tokens) + 2)
    with whole_file(folder / "starts.npy") as partial:
        np.save(partial, np.cumsum(lengths))


def take_texts(lengths: np.ndarray, share_from: float, share_to: float, seed: int) -> np.ndarray:
    """The texts that stand between two shares of all tokens when the texts are shuffled with the seed.

    Shares above 1 go round again, so [0.9, 1.3] is the last tenth and the first three.
    """
    order = np.random.default_rng(seed).permutation(len(lengths))
    middle = (np.cumsum(lengths[order]) - lengths[order] / 2) / lengths.sum()
    rounds = [order[(middle + turn >= share_from) & (middle + turn < share_to)] for turn in range(int(share_to) + 1)]
    return np.concatenate(rounds)


def mix(parts: Sequence[Documents]) -> Documents:
    """Several sets of documents as one."""
    tokens = np.concatenate([part.tokens for part in parts], dtype=np.int32)
    starts = np.cumsum([0, *(length for part in parts for length in part.lengths)])
    return Documents(tokens, starts, np.concatenate([part.label_from for part in parts]))


def phase_documents(
    books: Books, plots: Plots, invented: Plots, settings: PretrainSettings, run: int, phase: int
) -> Documents:
    """The documents of one phase of a run; each plot's prefix fields are left out at random.

    Phases take up each kind of text where the one before stopped, so that a text comes again only after
    all the others.
    """
    this = settings.runs[run].phases[phase]
    before = [phase for run in settings.runs[:run] for phase in run.phases] + settings.runs[run].phases[:phase]
    generator = np.random.default_rng((settings.seed, len(before)))

    def chosen(lengths: np.ndarray, kind: str) -> np.ndarray:
        start = sum(getattr(phase, kind) for phase in before)
        return take_texts(lengths, start, start + getattr(this, kind), settings.seed)

    def told(plots: Plots, kind: str) -> Documents:
        documents = plots.with_random_prefix(settings.runs[run].training.prefix_dropout, generator)
        return documents.select(chosen(np.array([len(text) for text in plots.texts]), kind))

    read_books = books.documents(chosen(np.diff(books.starts), "books"))
    return mix([read_books, told(plots, "plots"), told(invented, "invented")])
