"""What a model was made from: data, parameters, code, base and precision, by their hashes."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from plotwright.errors import PlotwrightError
from plotwright.files import sha256_of

PACKAGES = ("torch", "transformers", "tokenizers", "accelerate", "datasets", "numpy")
MODEL_FILES = ("*.json", "*.safetensors", "merges.txt")


def fingerprint(value: Any) -> str:
    """SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def hash_files(files: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of each file by its path as given, in path order."""
    return {file.as_posix(): sha256_of(file) for file in sorted(files)}


def hash_model(folder: Path) -> dict[str, str]:
    """SHA-256 by name of those files of a model folder that decide what it does."""
    files = {file for pattern in MODEL_FILES for file in folder.glob(pattern) if file.name != "manifest.json"}
    return {file.name: sha256_of(file) for file in sorted(files)}


def describe_sources(base: Path, data: Iterable[Path], code: Iterable[Path]) -> dict[str, Any]:
    """The part of a manifest that names what was read: base model, data and code."""
    return {
        "base": {"path": base.as_posix(), "files": hash_model(base)},
        "data": hash_files(data),
        "code": hash_files(code),
        "packages": {name: version(name) for name in PACKAGES},
    }


def refuse_change(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Raise PlotwrightError if a source changed while the model was being made.

    DVC hashes dependencies after the command, so it would record the changed ones as what made the model.
    """
    changed = [name for name in before if before[name] != after[name]]
    if changed:
        raise PlotwrightError(
            f"the {' and the '.join(changed)} changed during training, so that nobody could say what made "
            "this model; leave them alone and run the same command again."
        )
