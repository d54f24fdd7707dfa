"""Seconds and peak memory of prepare and split on growing numbers of rows.

python benchmarks/data_stages.py RAW_CSV OUT_JSON [ROWS ...]

More rows than RAW_CSV holds are made by repeating its rows with changed words, so that they do not collapse as
duplicates. Each stage runs as its own process, with data.limit null and the other parameters of params.yaml.
"""

import argparse
import json
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from plotwright.errors import run_or_explain
from plotwright.files import write_json
from plotwright.raw import read_raw

ROOT = Path(__file__).resolve().parent.parent
ROWS = (1_000, 5_339, 10_000, 20_000, 34_886)
# Share of the words that are replaced in a repeated row: of 13 words in a row about one, so hardly a run survives.
CHANGED = 0.15


def change_words(text: str, words: list[str], random: np.random.Generator) -> str:
    """`text` with CHANGED of its words replaced by words drawn from `words`; blanks and line breaks stay."""
    pieces = re.split(r"(\s+)", text)
    for place in np.flatnonzero(random.random(len(pieces)) < CHANGED):
        if pieces[place].strip():
            pieces[place] = words[random.integers(len(words))]
    return "".join(pieces)


def make_up(raw: pd.DataFrame, number: int) -> pd.DataFrame:
    """`number` rows: those of `raw` first, then its rows again and again with a new title and changed words."""
    random = np.random.default_rng(0)
    words = " ".join(raw["Plot"].dropna()).split()
    rows = raw.iloc[np.arange(number) % len(raw)].reset_index(drop=True)
    repeated = rows.index >= len(raw)
    copies = rows[repeated].fillna("")
    rows.loc[repeated, "Plot"] = [change_words(text, words, random) for text in copies["Plot"]]
    rows.loc[repeated, "Title"] = [f"{title} {row}" for row, title in copies["Title"].items()]
    return rows


# Run in a small process of its own: a child's peak memory is at least what its parent held when it started it.
MEASURE = """
import json, resource, subprocess, sys, time
started = time.perf_counter()
status = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([time.perf_counter() - started, usage.ru_utime + usage.ru_stime, usage.ru_maxrss]))
sys.exit(status)
"""


def measure(folder: Path, stage: str, *arguments: str) -> dict[str, float]:
    """Seconds and peak resident memory in MB of one stage as a process of its own, run in `folder`."""
    command = [sys.executable, "-c", MEASURE, sys.executable, str(ROOT / "stages" / f"{stage}.py"), *arguments]
    output = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True).stdout
    seconds, processor, peak = json.loads(output)
    peak /= 1e6 if platform.system() == "Darwin" else 1e3  # macOS counts bytes, Linux kilobytes
    return {"seconds": round(seconds, 1), "processor_seconds": round(processor, 1), "peak_mb": round(peak)}


def benchmark(raw: pd.DataFrame, number: int) -> dict[str, float]:
    """One row of the table: rows read, plots left, and what both stages took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_up(raw, number).to_csv(folder / "raw.csv", index=False)
        params = (ROOT / "params.yaml").read_text(encoding="utf-8")
        (folder / "params.yaml").write_text(re.sub(r"(?m)^  limit: \S+", "  limit: null", params), encoding="utf-8")
        prepare = measure(folder, "prepare", "raw.csv", "plots.parquet", "prepare.json")
        split = measure(folder, "split", "plots.parquet", "splits", "split.json")
        plots = len(pd.read_parquet(folder / "plots.parquet", columns=["id"]))
    stages = {"prepare": prepare, "split": split}
    costs = {f"{stage}_{what}": cost for stage, of_stage in stages.items() for what, cost in of_stage.items()}
    return {"rows": number, "plots": plots, **costs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("raw", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("rows", type=int, nargs="*", default=ROWS)
    arguments = parser.parse_args()
    raw = read_raw(arguments.raw)
    results = []
    for number in arguments.rows:
        results.append(benchmark(raw, number))
        print(pd.DataFrame(results[-1:]).to_string(index=False), flush=True)
    write_json(arguments.out, results)
    print(pd.DataFrame(results).to_string(index=False))


if __name__ == "__main__":
    run_or_explain(main)
