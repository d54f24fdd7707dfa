"""The app as a process of its own on a free port of this machine, for benchmarks and tests."""

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from plotwright.errors import PlotwrightError

ROOT = Path(__file__).resolve().parent.parent
LIMIT = 120.0  # seconds after which the server counts as broken


def _answers(address: str) -> bool:
    try:
        return urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).status == 200
    except OSError:
        return False


@contextmanager
def served(
    script: Sequence[str] = ("-m", "streamlit", "run", "app"), **options: Any
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of the app and its process, which ends with the block.

    script: how Python starts it. options: of subprocess.Popen; without any it is served from this repository, quietly.
    Raises PlotwrightError when it does not come up.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [sys.executable, *script, f"--server.port={port}"]
    options = {"cwd": ROOT, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL} | options
    address, end = f"http://127.0.0.1:{port}", time.monotonic() + LIMIT
    with subprocess.Popen(command, **options) as app:
        try:
            while not _answers(address):
                if app.poll() is not None or time.monotonic() > end:
                    raise PlotwrightError(f"the app ended at its start, or did not answer within {LIMIT:.0f} seconds.")
                time.sleep(0.02)
            yield address, app
        finally:
            app.terminate()
