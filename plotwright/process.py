"""What a stage does before it begins: its arguments, and its end when DVC ends."""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

import psutil


def end_with_dvc() -> None:
    """Have this process killed when the DVC that started it dies.

    Without it SIGTERM or SIGKILL to `dvc repro` leaves the stage running, and the next `dvc repro` starts a second
    one beside it. Killing loses nothing: outputs appear whole or not at all, and training goes on from its last
    checkpoint. Stages call this before their slow imports. On Linux only; a stage started by hand is left alone.

    DVC sets DVC_STAGE for what it starts, so it is the nearest ancestor without it: a shell or torchrun may stand
    between. That is why a thread waits for it; the kernel's own signal, PR_SET_PDEATHSIG, is for a parent's death.
    """
    if sys.platform != "linux" or "DVC_STAGE" not in os.environ:
        return
    dvc = next(process for process in psutil.Process().parents() if "DVC_STAGE" not in process.environ())

    def follow() -> None:
        dvc.wait()
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=follow, daemon=True).start()


def read_paths(description: str | None, *names: str) -> list[Path]:
    """The script's arguments, as many as there are names; --help shows the description, a wrong number the usage."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in names:
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    return [getattr(given, name) for name in names]
