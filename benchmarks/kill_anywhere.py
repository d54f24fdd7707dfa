"""Ends a running `dvc repro` at random moments of every stage, goes on each time, and compares with a quiet run.

PYTHONPATH=tests python benchmarks/kill_anywhere.py OUT_JSON [--parts kill,others,parameter,disk] [--kills 30] ...

Four ways to end it: SIGKILL to the whole process group, SIGKILL to dvc alone, SIGTERM to dvc alone, and Ctrl-C (SIGINT
to the group). As root on Linux also a disk that is full: a small tmpfs that grows until the run gets through.
After each: no process is left, and every file under an output's name is, byte for byte, that of the quiet run. At the
end of each round: all outputs, weights among them, and dvc.lock are the quiet run's. Last, a run is killed in training
and goes on with another learning rate: it must equal a quiet run with that rate.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import psutil
import yaml
from conftest import CONTEXT, make_plots
from tiny_project import build, environment, output_files, run

from plotwright.files import write_json
from plotwright.pretraining import train_tokenizer

PARTS = ("kill", "others", "parameter", "disk")
STAGES = ("prepare", "split", "train", "train", "evaluate")  # where a round is ended, in this order
GRACE = 90.0  # seconds that an ended run has to go away, on a machine that may be busy
PAGE = 4096  # bytes
DISK_STEPS = 12  # sizes of the disk between "nothing fits" and "everything fits"


@dataclass(frozen=True)
class Way:
    """A way to end a run."""

    name: str
    signal: signal.Signals
    group: bool  # whether every process of the run gets the signal, or dvc alone


KILLS = (Way("SIGKILL to all", signal.SIGKILL, True), Way("SIGKILL to dvc", signal.SIGKILL, False))
OTHERS = (Way("SIGTERM to dvc", signal.SIGTERM, False), Way("Ctrl-C", signal.SIGINT, True))


@dataclass(frozen=True)
class Quiet:
    """A run that nothing disturbed: its outputs, its lock file, and each stage's seconds."""

    outputs: dict[str, bytes]
    lock: str
    seconds: dict[str, float]


def start(project: Path, log: IO[str]) -> subprocess.Popen[str]:
    """`dvc repro` in a process group of its own in which Ctrl-C works."""
    return subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=project,
        env=environment(project),
        stdout=log,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def stages_begun(log: Path) -> list[str]:
    """The stages that DVC says it has begun to run."""
    return [line.split("'")[1] for line in log.read_text().splitlines() if line.startswith("Running stage '")]


def quiet_run(project: Path) -> Quiet:
    """Run the pipeline to its end, looking on."""
    log, began = project.with_suffix(".log"), {}
    with log.open("w") as file:
        process = start(project, file)
        while process.poll() is None:
            began |= {stage: time.monotonic() for stage in stages_begun(log) if stage not in began}
            time.sleep(0.02)
    if process.returncode:
        raise RuntimeError(log.read_text())
    ends = [*list(began.values())[1:], time.monotonic()]
    seconds = {stage: end - begin for (stage, begin), end in zip(began.items(), ends, strict=True)}
    return Quiet(output_files(project), (project / "dvc.lock").read_text(), seconds)


def end_in(project: Path, stage: str, delay: float, way: Way) -> str | None:
    """Begin or go on with the run, end it `delay` seconds after `stage` began; the stage it was in, None if over."""
    log = project.with_suffix(".log")
    with log.open("w") as file:
        process = start(project, file)
        while process.poll() is None and stage not in stages_begun(log):
            time.sleep(0.01)
        time.sleep(delay)
        if process.poll() is not None:
            return None
        (os.killpg if way.group else os.kill)(process.pid, way.signal)
        process.wait(GRACE)
    return stages_begun(log)[-1]


def left_over(project: Path) -> list[str]:
    """The command lines of processes that still work in the project after GRACE seconds."""
    deadline = time.monotonic() + GRACE
    while True:
        left = []
        for process in psutil.process_iter():
            try:
                if Path(process.cwd()).is_relative_to(project) and process.status() != psutil.STATUS_ZOMBIE:
                    left.append(" ".join(process.cmdline()))
            except (psutil.Error, OSError):
                continue
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def differences(project: Path, quiet: Quiet) -> list[str]:
    """Files under an output's name that are not those of the quiet run."""
    return [name for name, data in output_files(project).items() if quiet.outputs.get(name) != data]


def faults_at_the_end(project: Path, quiet: Quiet) -> list[str]:
    """What is wrong after the last `dvc repro` of a round."""
    run(project, "dvc", "repro")
    outputs = output_files(project)
    faults = [f"{name} is missing" for name in quiet.outputs if name not in outputs]
    faults += [f"{name} differs" for name in differences(project, quiet)]
    faults += ["dvc.lock differs"] * ((project / "dvc.lock").read_text() != quiet.lock)
    faults += [f"{path.name} was left" for path in (project / ".plotwright/checkpoints").iterdir()]
    faults += [f"{path.name} was left" for path in project.rglob(".*.partial*")]
    return faults


def disturb(original: Path, quiet: Quiet, ways: tuple[Way, ...], count: int, chance: random.Random) -> dict[str, Any]:
    """End runs in `ways`, in turn, until `count` were ended; what was found."""
    ended: Counter[str] = Counter()
    stages: Counter[str] = Counter()
    faults: list[str] = []
    while sum(ended.values()) < count:
        project = Path(shutil.copytree(original, original.with_name(f"round-{time.monotonic_ns()}"), symlinks=True))
        for stage in STAGES[: count - sum(ended.values())]:
            way = ways[sum(ended.values()) % len(ways)]
            hit = end_in(project, stage, chance.uniform(0, quiet.seconds[stage]), way)
            if hit is None:
                continue
            ended[way.name] += 1
            stages[hit] += 1
            found = [f"left running: {command}" for command in left_over(project)]
            found += [f"not whole: {name}" for name in differences(project, quiet)]
            faults += [f"{way.name} in {hit}: {fault}" for fault in found]
            print(f"{sum(ended.values()):>4} {way.name:<16} in {hit:<9} {'; '.join(found) or 'well'}", flush=True)
        found = faults_at_the_end(project, quiet)
        faults += [f"at the end of a round: {fault}" for fault in found]
        print(f"     went on to the end: {'; '.join(found) or 'as undisturbed'}", flush=True)
        shutil.rmtree(project)
    return {"ended": dict(ended), "in": dict(stages), "faults": faults}


def kill_at_a_checkpoint(project: Path) -> None:
    """Begin the run and kill all of it as soon as training has left a whole checkpoint."""
    log = project.with_suffix(".log")
    with log.open("w") as file:
        process = start(project, file)
        while not list(project.glob(".plotwright/checkpoints/*/checkpoint-*/complete")):
            if process.poll() is not None:
                raise RuntimeError(f"the run ended before it was killed: {log.read_text()}")
            time.sleep(0.01)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(GRACE)


def change_after_kill(original: Path) -> dict[str, Any]:
    """Kill training after a checkpoint, go on with another learning rate, compare with a quiet run at that rate."""
    projects = []
    for name in ("changed-killed", "changed-quiet"):
        project = Path(shutil.copytree(original, original.with_name(name), symlinks=True))
        if name == "changed-killed":
            kill_at_a_checkpoint(project)
        params = yaml.safe_load((project / "params.yaml").read_text())
        params["train"]["learning_rate"] = 1.25e-3
        (project / "params.yaml").write_text(yaml.safe_dump(params))
        run(project, "dvc", "repro")
        projects.append(project)
    killed, other = map(output_files, projects)
    return {"faults": [name for name in killed | other if killed.get(name) != other.get(name)]}


def size_in_pages(folder: Path) -> int:
    """Bytes that a folder's files take on a tmpfs, which gives out whole pages."""
    sizes = [file.lstat().st_size for file in folder.rglob("*") if not file.is_dir()]
    return sum(-(-size // PAGE) * PAGE for size in sizes)


def fill_disk(original: Path, quiet: Quiet, folder: Path) -> dict[str, Any]:
    """Run on a tmpfs that is too small at first and grows a step after each failure, until the run gets through."""
    base, whole = size_in_pages(original), size_in_pages(folder / "quiet")
    folder = folder / "disk"
    folder.mkdir()
    room = base + 2**16
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", folder], check=True)
    try:
        project = Path(shutil.copytree(original, folder / "project", symlinks=True))
        failures, faults, told = 0, [], Counter[str]()
        while True:
            done = subprocess.run(
                [sys.executable, "-m", "dvc", "repro"],
                cwd=project,
                env=environment(project),
                capture_output=True,
                text=True,
            )
            faults += [f"not whole on a full disk: {name}" for name in differences(project, quiet)]
            if done.returncode == 0 or failures > 5 * DISK_STEPS:
                break
            failures += 1
            told["No space left" if "o space left" in done.stderr + done.stdout else "something else"] += 1
            print(
                f"{failures:>4} disk of {room:,} bytes full: {(done.stderr or done.stdout).strip()[-160:]!r}",
                flush=True,
            )
            room += max(2**14, (whole - base) // DISK_STEPS)
            subprocess.run(["mount", "-o", f"remount,size={room}", folder], check=True)
        faults += faults_at_the_end(project, quiet)
        return {"failures": failures, "told": dict(told), "faults": faults}
    finally:
        subprocess.run(["umount", folder], check=True)


def disturb_all(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Make the project in `folder`, let it run once in quiet, then do the parts that are asked for."""
    chance, parts = random.Random(arguments.seed), arguments.parts.split(",")
    original = folder / "original"
    build(original, train_tokenizer(iter(make_plots(40)["text"]), 400, CONTEXT), epochs=8, evaluations=8)
    quiet = quiet_run(Path(shutil.copytree(original, folder / "quiet", symlinks=True)))
    print("seconds of a quiet run:", {stage: round(seconds, 1) for stage, seconds in quiet.seconds.items()})
    report: dict[str, Any] = {"seconds": quiet.seconds}
    if "kill" in parts:
        report["SIGKILL"] = disturb(original, quiet, KILLS, arguments.kills, chance)
    if "others" in parts:
        for way in OTHERS:
            report[way.name] = disturb(original, quiet, (way,), arguments.others, chance)
    if "parameter" in parts:
        report["changed parameter after a kill"] = change_after_kill(original)
    if "disk" in parts and sys.platform == "linux" and os.geteuid() == 0:
        report["full disk"] = fill_disk(original, quiet, folder)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--parts", default=",".join(PARTS), help="what to do of: %(default)s")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--others", type=int, default=10, help="times each of SIGTERM and Ctrl-C")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        report = disturb_all(Path(scratch).resolve(), arguments)
    write_json(arguments.out, report)
    for name, part in report.items():
        if name != "seconds":
            times = sum(part.get("ended", {}).values()) or part.get("failures", 1)
            print(f"{name:<32}{times:>4} times  {len(part['faults'])} faults  {part.get('in', '')}")
    sys.exit(any(part.get("faults") for name, part in report.items() if name != "seconds"))


if __name__ == "__main__":
    main()
