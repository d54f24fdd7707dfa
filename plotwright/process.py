"""What a stage does before it begins: its arguments, and its end when DVC ends."""

import argparse
import ctypes
import os
import signal
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # of Linux's prctl(2)


def end_with_dvc() -> None:
    """Have the kernel kill this process when the DVC that started it dies.

    Without it SIGTERM or SIGKILL to `dvc repro` leaves the stage running, and the next `dvc repro` starts a second
    one beside it. Killing loses nothing: outputs appear whole or not at all, and training goes on from its last
    checkpoint. Stages call this before their slow imports. On Linux only; a stage started by hand is left alone.

    Where train.launcher is torchrun or accelerate, that is what DVC started, and it does not call this: when DVC is
    killed, it and its workers train on, and the next `dvc repro` waits for them. Ending the launcher ends its workers.
    """
    if sys.platform == "linux" and "DVC_STAGE" in os.environ:
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def read_paths(description: str | None, *names: str) -> list[Path]:
    """The script's arguments, as many as there are names; --help shows the description, a wrong number the usage."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in names:
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    return [getattr(given, name) for name in names]
