"""Every speed figure in one run: training against three peers, writing against Transformers, the app, the data stages.

python benchmarks/bench.py OUT_FOLDER     (make bench)

Writes bench.json, bench.md (tables) and bench.png. Each part is a process of its own, and the recipes of training take
turns, so that a slow minute of the machine slows all of them. Nothing but the repository is read. trl is optional:
pip install -e ".[bench]".
"""

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from plotwright.errors import PlotwrightError, run_or_explain
from plotwright.files import whole_file, write_json

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
RECIPES = ("plotwright", "concat", "seed", "trl")
ROUNDS = 2
SECONDS = 20.0  # of training, each recipe and round
ROWS = (1_000, 4_000, 16_000, 34_886)  # the last as many as there are Wikipedia plots
MEANINGS = {
    "plotwright": "Plotwright, packed blocks of 1,024",
    "concat": "Trainer, texts run together, blocks of 512",
    "seed": "Trainer, each plot cut or padded to 128",
    "trl": "trl's SFTTrainer, packing, blocks of 512",
}

Result = dict[str, Any]


@dataclass(frozen=True)
class Part:
    """One process: its title, its script, and the arguments before and after the name of the file it writes."""

    title: str
    script: str
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def parts() -> Iterator[Part]:
    """Everything that is run, in this order."""
    yield Part("app", "startup.py")
    yield Part("ceilings, before", "ceilings.py")
    for number in range(ROUNDS):
        for recipe in RECIPES:
            if recipe != "trl" or importlib.util.find_spec("trl"):
                title = f"training, {recipe}, {number + 1}"
                yield Part(title, "training.py", (recipe,), ("--seconds", str(SECONDS)))
    yield Part("ceilings, after", "ceilings.py")
    yield Part("writing", "writing.py")
    yield Part("data stages", "data_stages.py", (str(ROOT / "data/sample/plots.csv"),), tuple(map(str, ROWS)))


def run_part(part: Part, log: Path) -> Any:
    """What one part's process has written into its JSON file.

    Raises PlotwrightError with the end of what it printed when it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        command = [sys.executable, str(HERE / part.script), *part.before, str(out), *part.after]
        with log.open("w") as printed:
            status = subprocess.run(command, cwd=ROOT, stdout=printed, stderr=subprocess.STDOUT).returncode
        if status:
            raise PlotwrightError(f"{part.title}: {part.script} failed; it printed\n{log.read_text()[-2000:]}")
        return json.loads(out.read_text())


def run_all(log: Path) -> dict[str, Any]:
    """The results of all parts by title, telling how far it is."""
    planned, results = list(parts()), {}
    for number, part in enumerate(planned, 1):
        print(f"[{number:2} of {len(planned)}] {part.title}", end=" ", flush=True)
        started = time.perf_counter()
        results[part.title] = run_part(part, log)
        print(f"({time.perf_counter() - started:.0f} s)", flush=True)
    return results


def medians(rows: list[Result]) -> Result:
    """One row of several of the same recipe: the median of what was measured, the first of the rest."""
    return {
        key: round(median(row[key] for row in rows), 1) if isinstance(value, float) else value
        for key, value in rows[0].items()
    }


def summarize(results: dict[str, Any]) -> Result:
    """The report of all parts: ceilings are the better of before and after, recipes medians over the rounds."""
    before, after = results["ceilings, before"], results["ceilings, after"]
    ceilings = {key: max(before[key], after[key]) for key in before if key != "machine"}
    training = []
    for recipe in RECIPES:
        rows = [results[title] for title in results if title.startswith(f"training, {recipe},")]
        if rows:
            training.append(medians(rows) | {"peak_mib": max(row["peak_mib"] for row in rows)})
    fastest = max(row["useful_tokens_per_second"] for row in training if row["recipe"] != "plotwright")
    for row in training:
        row["times_fastest_peer"] = round(row["useful_tokens_per_second"] / fastest, 2)
        for name in ("fp32", "bf16"):
            row[f"share_of_{name}_ceiling"] = round(
                row["gflops_at_6_a_parameter_and_token"] / ceilings[f"{name}_gflops"], 3
            )
    return {
        "machine": before["machine"],
        "ceilings": ceilings,
        "training": training,
        "writing": results["writing"],
        "app": results["app"],
        "data_stages": results["data stages"],
    }


def table(head: list[str], rows: list[list[Any]]) -> str:
    """A Markdown table; the first column is text, the others numbers."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def training_table(report: Result) -> str:
    rows = [
        [
            MEANINGS[row["recipe"]],
            row["precision"],
            row["useful_tokens_per_second"],
            row["times_fastest_peer"],
            f"{row['share_of_fp32_ceiling']:.0%}",
            f"{row['share_of_bf16_ceiling']:.0%}",
            row["peak_mib"],
        ]
        for row in report["training"]
    ]
    head = ["training, distilgpt2's shape", "precision", "useful tokens/s", "times fastest peer"]
    text = table([*head, "of fp32 ceiling", "of bf16 ceiling", "peak MiB"], rows)
    if len(rows) < len(RECIPES):
        text += '\n\nNot measured: trl is not installed here (`pip install -e ".[bench]"`).'
    return text


def writing_table(report: Result) -> str:
    writing = report["writing"]
    ceiling = writing["ceiling_tokens_per_second_one_draft"]
    rows = [
        [
            f"{case['drafts']} draft{'s' if case['drafts'] > 1 else ''} after {case['prompt_tokens']} tokens",
            case["tokens_per_second"],
            case["transformers_tokens_per_second"],
            case["times_transformers"],
            case["first_token_ms"],
            case["transformers_first_token_ms"],
            f"{case['tokens_per_second'] / case['drafts'] / ceiling:.0%}",
        ]
        for case in writing["cases"]
    ]
    head = [f"writing {writing['cases'][0]['new_tokens']} tokens a draft", "tokens/s", "Transformers fp32", "times"]
    return table([*head, "first token ms", "Transformers ms", "of memory ceiling"], rows)


def data_table(report: Result) -> str:
    columns = ["plots", "prepare_seconds", "prepare_peak_mb", "split_seconds", "split_peak_mb"]
    rows = [[row["rows"], *(row[name] for name in columns)] for row in report["data_stages"]]
    return table(["rows", "plots left", "prepare s", "prepare peak MB", "split s", "split peak MB"], rows)


def page(report: Result) -> str:
    """bench.md."""
    machine, ceilings, app, writing = (report[name] for name in ("machine", "ceilings", "app", "writing"))
    features = ", ".join(machine["features"]) or "no vector units that are told apart"
    return f"""# Speed

Written by `make bench` in {report["minutes"]} minutes on a machine with {machine["cores"]} cores ({features}; \
PyTorch {machine["torch"]}, Transformers {machine["transformers"]}). Ceilings measured in the same run: matrix \
products fp32 {ceilings["fp32_gflops"]:.0f} GFLOP/s, bf16 {ceilings["bf16_gflops"]:.0f}; reading memory \
{ceilings["memory_gb_per_second"]:.0f} GB/s. What each part measures stands at the head of its file in `benchmarks/`.

{training_table(report)}

1,024 tokens a step. A useful token carries a label; a token is counted as 6 operations a parameter. Dropout is each \
recipe's own default: none in Plotwright, 0.1 in the peers, who take it from GPT-2's configuration.

{writing_table(report)}

Written by: {writing["path"]}. The memory ceiling is how often a second {writing["int8_weight_mb"]:.0f} MB of int8 \
weights can be read, times drafts.

The app: its server answers after {app["server_up_seconds"]} s, a page can be used after {app["page_usable_seconds"]} \
s, the first token of the embedded base stands {app["first_token_seconds"]} s after a process starts.

{data_table(report)}

![Speed](bench.png)
"""


def bars(axes: Any, names: list[str], values: list[float], title: str) -> None:
    axes.barh(names[::-1], values[::-1], color=["#4c72b0"] * (len(values) - 1) + ["#c44e52"])
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)


def draw(report: Result, file: Path) -> None:
    """bench.png: speeds of training and writing, seconds of the data stages."""
    import matplotlib  # here, since what a process starts is counted from what it held itself

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, middle, right) = pyplot.subplots(1, 3, figsize=(13, 3.2), layout="constrained")
    training, writing, data = (report[name] for name in ("training", "writing", "data_stages"))
    rates = [row["useful_tokens_per_second"] for row in training]
    bars(left, [row["recipe"] for row in training], rates, "training: useful tokens a second")
    for offset, key in ((0.2, "tokens_per_second"), (-0.2, "transformers_tokens_per_second")):
        names = [f"{case['drafts']} after {case['prompt_tokens']}" for case in writing["cases"]]
        places = [place + offset for place in range(len(names))]
        label = "Plotwright" if key == "tokens_per_second" else "Transformers fp32"
        middle.barh(places, [case[key] for case in writing["cases"]], 0.4, label=label)
        middle.set_yticks(range(len(names)), names)
    middle.set_title("writing: tokens a second (drafts after prompt tokens)", loc="left", fontsize=10)
    middle.legend(frameon=False)
    for stage in ("prepare", "split"):
        right.plot([row["rows"] for row in data], [row[f"{stage}_seconds"] for row in data], "o-", label=stage)
    right.set_title("data stages: seconds by rows", loc="left", fontsize=10)
    right.legend(frameon=False)
    with whole_file(file) as partial:
        figure.savefig(partial, dpi=100)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        report = summarize(run_all(Path(folder) / "log"))
    report["minutes"] = round((time.perf_counter() - started) / 60, 1)
    write_json(out / "bench.json", report)
    draw(report, out / "bench.png")
    with whole_file(out / "bench.md") as partial:
        partial.write_text(page(report), encoding="utf-8")
    print(page(report))


if __name__ == "__main__":
    run_or_explain(main)
