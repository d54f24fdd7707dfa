"""What this machine can do at best: matrix products in fp32 and bf16, and reading memory.

python benchmarks/ceilings.py OUT_JSON
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from plotwright.errors import run_or_explain
from plotwright.files import write_json

SIZE = 2048  # rows and columns of the matrices
SECONDS = 2.0  # of trying for each ceiling
FEATURES = ("avx2", "avx512_f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16")


def best_seconds(work: Callable[[], Any]) -> float:
    """The shortest of as many tries as fit into SECONDS, after one that does not count."""
    work()
    best, end = float("inf"), time.perf_counter() + SECONDS
    while (started := time.perf_counter()) < end:
        work()
        best = min(best, time.perf_counter() - started)
    return best


def matrix_gflops(dtype: torch.dtype) -> float:
    """Floating-point operations of a matrix product, in thousand millions a second."""
    left, right = (torch.randn(SIZE, SIZE).to(dtype) for _ in range(2))
    return 2 * SIZE**3 / best_seconds(lambda: left @ right) / 1e9


def gb_a_second() -> float:
    """How fast memory is read: a sum over 400 MB, which no cache holds."""
    numbers = torch.ones(100_000_000)
    return numbers.nbytes / best_seconds(numbers.sum) / 1e9


def machine() -> dict[str, Any]:
    """The machine in words that say what it can do."""
    able = torch.cpu.get_capabilities()
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "architecture": platform.machine(),
        "features": [name for name in FEATURES if able.get(name)],
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    result = {
        "machine": machine(),
        "fp32_gflops": round(matrix_gflops(torch.float32), 1),
        "bf16_gflops": round(matrix_gflops(torch.bfloat16), 1),
        "memory_gb_per_second": round(gb_a_second(), 1),
    }
    write_json(out, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    run_or_explain(main)
