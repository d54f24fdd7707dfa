"""A training that runs now or was cut off, by the curve and the lock that it keeps on disk."""

import fcntl
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKPOINTS = Path(".plotwright/checkpoints")
FINISHED = Path("metrics/train.json")


@dataclass(frozen=True)
class Progress:
    """A training not yet finished. curve: rows of step, split, loss. age: seconds since it was last heard of.

    running: whether a process is at it; else it was cut off, and dvc repro goes on from its last checkpoint.
    """

    step: int
    steps: int
    curve: list[dict[str, Any]]
    age: float
    running: bool


def _modified(path: Path) -> float:
    """When a file was last written; 0 where it is not, or no longer, there."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0


def _running(curve: Path) -> bool:
    """Whether a process holds the lock of the training that keeps this curve (plotwright.training.only_run)."""
    try:
        with (curve.parent.parent.parent / f"training-{curve.parent.name[:16]}.lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def training_now(folder: Path = CHECKPOINTS) -> Progress | None:
    """The unfinished training that was heard of last, one that runs before others; None where there is none.

    A finished one leaves no curve. One that was given up does; it counts for nothing once another has finished.
    """
    since = _modified(FINISHED)
    found = [(_running(path), _modified(path), path) for path in folder.glob("*/curve.json")]
    running, heard, newest = max(found, default=(False, 0.0, folder))
    if not heard or not (running or heard > since):
        return None
    try:
        curve = json.loads(newest.read_text(encoding="utf-8"))
    except FileNotFoundError:  # it has finished in this moment
        return None
    return Progress(curve["step"], curve["steps"], curve["curve"], time.time() - heard, running)
