"""Seconds from starting the app until it can be used, and until the model behind it has written a first token.

python benchmarks/startup.py OUT_JSON [--model FOLDER]

The server counts as up when it answers on its port; the page as usable when a fresh process has run its script to the
end, as a first visit does.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from server import ROOT, served

from plotwright.errors import run_or_explain
from plotwright.files import write_json

PAGE = """
from streamlit.testing.v1 import AppTest
page = AppTest.from_file("app/streamlit_app.py", default_timeout=120).run()
assert not page.exception, page.exception
"""
FIRST_TOKEN = """
import sys
from plotwright.queueing import Piece
from plotwright.settings import load_params
from plotwright.write import Work
from plotwright.writing import Request, Writer
request = Request(load_params().generate, 1, "A pilot loses her way over the mountains")
with Work(Writer(sys.argv[1]), [request]) as streams:
    next(event for _, stream in streams for event in stream if isinstance(event, Piece))
"""


def seconds_until_up() -> float:
    """Start the server, wait until it answers, end it."""
    started = time.perf_counter()
    with served():
        return time.perf_counter() - started


def seconds_of(script: str, *arguments: str) -> float:
    """A script in a process of its own, from the process's start to its end."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", script, *arguments], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", type=Path, default=ROOT / "models/base/storyteller")
    options = parser.parse_args()
    seconds_of("import streamlit, torch, transformers")  # a first start also waits for the disk
    result = {
        "server_up_seconds": round(seconds_until_up(), 1),
        "page_usable_seconds": round(seconds_of(PAGE), 1),
        "first_token_seconds": round(seconds_of(FIRST_TOKEN, str(options.model)), 1),
    }
    write_json(options.out, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    run_or_explain(main)
