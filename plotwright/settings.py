"""params.yaml as typed, checked settings."""

import re
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from plotwright.errors import PlotwrightError

Fraction = Annotated[float, Field(ge=0, le=1)]
OpenFraction = Annotated[float, Field(gt=0, lt=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

CUE_TOKENS = 5  # that "Plot:" takes at most, one a byte


class Section(BaseModel):
    """A section of a params file: no unknown key, no silent change of type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DataSettings(Section):
    raw: Annotated[str, Field(min_length=1)]
    limit: Count | None
    min_words: Annotated[int, Field(ge=0)]
    seed: Seed


class SplitSettings(Section):
    validation: OpenFraction
    test: OpenFraction
    seed: Seed

    @model_validator(mode="after")
    def leaves_something_to_train_on(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError(
                f"validation ({self.validation}) and test ({self.test}) together must leave a share to train on: "
                "make their sum less than 1"
            )
        return self


class ModelSettings(Section):
    base: Annotated[str, Field(min_length=1)]


class TrainingSettings(Section):
    """What fine-tuning and pretraining have in common."""

    optimizer: Literal["adamw", "muon"]
    learning_rate: Positive
    schedule: Literal["linear", "cosine"]
    warmup: Fraction
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    block_size: Annotated[int, Field(ge=8)]
    batch_size: Count
    accumulation: Count
    dropout: Annotated[float, Field(ge=0, lt=1)]
    prefix_dropout: Fraction
    evaluations: Count
    patience: Count
    precision: Literal["auto", "bf16", "fp32"]
    compile: bool
    gradient_checkpointing: bool


class TrainSettings(TrainingSettings):
    launcher: Annotated[str, Field(min_length=1)]
    epochs: Count


class EvaluateSettings(Section):
    stride: Count
    batch_size: Count
    resamples: Annotated[int, Field(ge=100)]
    train_sample: Count
    openings: Count
    opening_tokens: Count
    continuation_tokens: Annotated[int, Field(ge=2)]
    texts: Count
    texts_per_genre: Count
    text_tokens: Count


class GenerateSettings(Section):
    temperature: Positive
    top_k: Annotated[int, Field(ge=0)]
    top_p: Annotated[float, Field(gt=0, le=1)]
    min_p: Annotated[float, Field(ge=0, le=1)]
    repetition_penalty: Annotated[float, Field(ge=1, le=10)]
    max_new_tokens: Count


class Params(Section):
    """params.yaml as a whole."""

    seed: Seed
    data: DataSettings
    split: SplitSettings
    model: ModelSettings
    train: TrainSettings
    evaluate: EvaluateSettings
    generate: GenerateSettings

    @model_validator(mode="after")
    def scores_less_than_a_window_at_a_time(self) -> Self:
        if self.evaluate.stride >= self.train.block_size:
            raise ValueError(
                f"evaluate.stride ({self.evaluate.stride}) must be smaller than train.block_size "
                f"({self.train.block_size}), or no token would be scored in context"
            )
        return self

    @model_validator(mode="after")
    def reads_opening_and_continuation_at_once(self) -> Self:
        opening, continuation = self.evaluate.opening_tokens, self.evaluate.continuation_tokens
        room = self.train.block_size - CUE_TOKENS
        if opening + continuation > room:
            raise ValueError(
                f"evaluate.opening_tokens ({opening}) and evaluate.continuation_tokens ({continuation}) are read at "
                f"once and must fit into train.block_size ({self.train.block_size}): make their sum {room} or less"
            )
        return self


class _Yaml12Loader(yaml.SafeLoader):
    """YAML 1.2's core schema, which DVC writes and reads.

    PyYAML's own is YAML 1.1, where 3e-05 is a string, 010 is 8, 1_000 is 1000, 1:30 is 90 and "no" is false.
    """


_Yaml12Loader.yaml_implicit_resolvers = {}  # none of YAML 1.1's
for _tag, _pattern, _first in (
    ("null", r"^(~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", list("-+0123456789")),
    (
        "float",
        r"^([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$",
        list("-+.0123456789"),
    ),
):
    _Yaml12Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)


def _read_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


_Yaml12Loader.add_constructor("tag:yaml.org,2002:int", _read_int)

AnySection = TypeVar("AnySection", bound=Section)


def _sentence(path: Path, error: ValidationError) -> str:
    """The first problem of `error`: key, value and what is allowed, in one sentence."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return f"{path} has a key that nothing reads: {key}; remove it or mend its spelling."
    if problem["type"] == "missing":
        return f"{path} lacks the key {key}; add it."
    if not key and not isinstance(problem["input"], dict):
        return f"{path} holds no sections; `git checkout {path}` brings back the ones that belong there."
    what = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":  # of several keys, which the message names
        return f"{path}: {what}."
    return f"{path}: {key} is {problem['input']!r}: {what[0].lower()}{what[1:]}."


def load_yaml(path: Path) -> object:
    """The contents of a YAML 1.2 file.

    Raises PlotwrightError when the file is missing or is not YAML.
    """
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_Yaml12Loader)
    except FileNotFoundError:
        raise PlotwrightError(f"there is no {path} here; run this from the repository's root.") from None
    except UnicodeDecodeError:
        raise PlotwrightError(f"{path} is not UTF-8 text; save it as UTF-8.") from None
    except yaml.YAMLError as error:
        raise PlotwrightError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from None


def load_settings(path: Path, schema: type[AnySection]) -> AnySection:
    """Read `path` and check it against `schema`.

    Raises PlotwrightError with one sentence that names key, value and what is allowed.
    """
    try:
        return schema.model_validate(load_yaml(path))
    except ValidationError as error:
        raise PlotwrightError(_sentence(path, error)) from None


def load_params(path: Path = Path("params.yaml")) -> Params:
    """The pipeline's settings from params.yaml, checked."""
    return load_settings(path, Params)
