"""Seconds and memory of building the copy check's index, and milliseconds of a query, on made-up plots.

python benchmarks/originality.py OUT_JSON [PLOTS]

The made-up plots have the length of Wikipedia's film plots (416 words in the mean) and words drawn by Zipf's law from
250,000; one in twenty repeats a passage of another. Words that depend on the words before them would share more runs:
repeated passages of up to 400 words stand in for that.
"""

import argparse
import json
import platform
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd

from plotwright.files import write_json
from plotwright.originality import CopyIndex

PLOTS = 34_886
WORDS = 250_000
QUERY_WORDS = 300


def make_up(plots: int, random: np.random.Generator) -> pd.DataFrame:
    """Plots of lognormal length whose words follow Zipf's law; every twentieth holds a passage of an earlier one."""
    vocabulary = np.array([f"w{number}" for number in range(WORDS)], dtype=object)
    chances = 1 / np.arange(3, WORDS + 3)
    chances /= chances.sum()
    lengths = random.lognormal(5.65, 0.85, plots).astype(int).clip(30, 6000)
    words = vocabulary[random.choice(WORDS, size=lengths.sum(), p=chances)]
    texts = [piece.tolist() for piece in np.split(words, np.cumsum(lengths)[:-1])]
    for number in range(20, plots, 20):
        passage = texts[int(random.integers(number))][: int(random.integers(8, 400))]
        texts[number][10 : 10 + len(passage)] = passage
    return pd.DataFrame(
        {
            "id": [f"plot{number}" for number in range(plots)],
            "title": [f"Film {number}" for number in range(plots)],
            "text": [" ".join(text) for text in texts],
        }
    )


def write_made_up(plots: int, path: Path) -> None:
    """Made-up plots and, from other random numbers, a hundred more to ask about, as two Parquet files."""
    make_up(plots, np.random.default_rng(0)).to_parquet(path / "plots.parquet")
    make_up(100, np.random.default_rng(1)).to_parquet(path / "new.parquet")


def resident_mib() -> float:
    """Memory that this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def peak_mib() -> float:
    """The most memory that this process held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def milliseconds(index: CopyIndex, texts: list[str]) -> dict[str, float]:
    """Median and longest processor time of a query: one thread does it, and others may want the processor too."""
    times = []
    for text in texts:
        start = time.process_time()
        index.check(text)
        times.append(1000 * (time.process_time() - start))
    return {"median": round(float(np.median(times)), 2), "longest": round(max(times), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("plots", type=int, nargs="?", default=PLOTS)
    arguments = parser.parse_args()
    # In a process of its own: the memory that making them up takes is not the index's.
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, get_context("spawn")) as pool:
        pool.submit(write_made_up, arguments.plots, Path(folder)).result()
        plots, others = (pd.read_parquet(Path(folder) / f"{name}.parquet") for name in ("plots", "new"))
    before, start, processor = resident_mib(), time.perf_counter(), time.process_time()
    index = CopyIndex(plots)
    seconds, processor = time.perf_counter() - start, time.process_time() - processor
    new = [" ".join(text.split()[:QUERY_WORDS]) for text in others["text"]]
    copied = [" ".join(text.split()[:QUERY_WORDS]) for text in plots["text"].head(100)]
    result = {
        "machine": f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}",
        "plots": len(plots),
        "words": int(plots["text"].str.count(" ").sum()) + len(plots),
        "build_seconds": round(seconds, 1),
        "build_processor_seconds": round(processor, 1),
        "build_peak_mib": round(peak_mib() - before),
        "held_mib": round(resident_mib() - before),
        "query_milliseconds": {"new_text": milliseconds(index, new), "copied_text": milliseconds(index, copied)},
    }
    write_json(arguments.out, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
