"""Where models stand, and what makes each of them."""

import os
from pathlib import Path
from typing import Any

from plotwright.errors import PlotwrightError
from plotwright.settings import load_yaml

MODEL = Path("models/plot-generator")
ALIGNED = Path("models/plot-generator-aligned")
BASES = Path("models/base")
STORYTELLER = BASES / "storyteller"


def _is_downloaded(folder: Path) -> bool:
    """Whether models/base/params.yaml says where on the Hub this base comes from."""
    params = BASES / "params.yaml"
    if folder.parent != BASES or not params.exists():
        return False
    described: Any = load_yaml(params)
    return folder.name in described["hub"]


def _maker(folder: Path) -> tuple[str, str]:
    """The command that makes or mends the model in `folder`, and what it does; both empty where there is none."""
    folder = Path(os.path.relpath(folder))
    if folder == MODEL:
        return "dvc repro", "makes it"
    if folder == ALIGNED:
        return "dvc repro models/aligned/dvc.yaml", "makes it"
    if folder == STORYTELLER:
        return f"git checkout {folder}", "brings it back"
    if _is_downloaded(folder):
        return f"dvc repro {BASES}/dvc.yaml:download@{folder.name}", "downloads it"
    return "", ""


def command_for(folder: Path) -> str:
    """The command that makes or mends the model in `folder`, empty for one of the user's own."""
    return _maker(folder)[0]


def how_to_make(folder: Path) -> str:
    """Half a sentence: the command that makes or mends the model in `folder`, or what to put there."""
    command, does = _maker(folder)
    return f"`{command}` {does}" if command else "put a model in Transformers' format with model.safetensors there"


def require_model(folder: Path) -> None:
    """Raise PlotwrightError when there is no such folder."""
    if not Path(folder).is_dir():
        raise PlotwrightError(f"there is no model in {folder}; {how_to_make(folder)}.")
