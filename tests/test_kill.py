"""A killed run goes on and comes to the same end; benchmarks/kill_anywhere.py does this at any moment of any stage."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from conftest import ROOT
from tiny_project import build, environment, output_files, run

from plotwright.files import whole_file, whole_folder

KILLS = 2


@pytest.fixture(scope="module")
def project(tmp_path_factory, tokenizer) -> Path:
    """A tiny repository, its data ready, in which training takes so long that a busy machine still kills it midway."""
    folder = tmp_path_factory.mktemp("kill") / "project"
    build(folder, tokenizer, epochs=30, evaluations=20)
    run(folder, "dvc", "repro", "split")
    return folder


def complete_checkpoints(project: Path) -> set[Path]:
    return {file.parent for file in project.glob(".plotwright/checkpoints/*/checkpoint-*/complete")}


def works_in(project: Path) -> list[str]:
    """Command lines of the processes whose working folder is the project."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd() == str(project) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except (psutil.Error, OSError):
            continue
    return found


def wait_until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not met():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kill_after_a_checkpoint(project: Path, number: signal.Signals) -> None:
    """Start or go on with training; send dvc alone the signal as soon as one more checkpoint is there."""
    before = complete_checkpoints(project)
    process = subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro", "train"],
        cwd=project,
        env=environment(project),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not complete_checkpoints(project) - before:
        assert process.poll() is None, "training ended before it was killed"
        time.sleep(0.01)
    os.kill(process.pid, number)
    process.wait(timeout=60)


ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux a stage ends with the DVC that started it")


@ON_LINUX
def test_a_stage_ends_with_dvc_whatever_shell_stands_between(tmp_path):
    (tmp_path / "stage.py").write_text(
        "import pathlib, time\n"
        "from plotwright.process import end_with_dvc\n"
        "end_with_dvc()\n"
        "pathlib.Path('running').touch()\n"
        "time.sleep(60)\n"
    )
    # A shell with more to do stays the stage's parent, as dash does in any case.
    run_it = "subprocess.run('python stage.py; true', shell=True, env=os.environ | {'DVC_STAGE': 'x'})"
    dvc = subprocess.Popen(
        [sys.executable, "-c", f"import os, subprocess; {run_it}"], cwd=tmp_path, env=environment(ROOT)
    )
    wait_until(lambda: (tmp_path / "running").exists())
    dvc.kill()
    dvc.wait()
    wait_until(lambda: works_in(tmp_path) == [])


@ON_LINUX
def test_training_killed_with_dvc_leaves_no_process_and_comes_to_the_same_weights(project):
    quiet = Path(shutil.copytree(project, project.with_name("quiet"), symlinks=True))
    run(quiet, "dvc", "repro", "train")
    for number in (signal.SIGKILL, signal.SIGTERM)[:KILLS]:
        kill_after_a_checkpoint(project, number)
        wait_until(lambda: works_in(project) == [])
        assert not (project / "models/plot-generator").exists(), "training ended before it was killed"
    run(project, "dvc", "repro", "train")
    assert output_files(project) == output_files(quiet)
    assert (project / "dvc.lock").read_text() == (quiet / "dvc.lock").read_text()
    assert list((project / ".plotwright/checkpoints").iterdir()) == []


def test_what_a_killed_process_left_half_written_is_neither_seen_nor_kept(tmp_path):
    for name in (".report.partial.json", ".model.partial"):
        path = tmp_path / name
        path.write_text("half") if path.suffix == ".json" else path.mkdir()
    (tmp_path / ".model.partial" / "old").write_text("half")
    with whole_file(tmp_path / "report.json") as partial:
        partial.write_text("whole")
        assert not (tmp_path / "report.json").exists()
    with whole_folder(tmp_path / "model") as partial:
        (partial / "new").write_text("whole")
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")) == [
        "model",
        "model/new",
        "report.json",
    ]


def test_an_error_while_writing_keeps_the_file_that_was_there(tmp_path):
    path = tmp_path / "report.json"
    path.write_text("before")
    with pytest.raises(OSError, match="No space"), whole_file(path) as partial:
        partial.write_text("half")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
