"""A killed run goes on and comes to the same end; benchmarks/kill_anywhere.py does this at any moment of any stage."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
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


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_training_killed_with_dvc_leaves_no_process_and_comes_to_the_same_weights(project):
    quiet = Path(shutil.copytree(project, project.with_name("quiet"), symlinks=True))
    run(quiet, "dvc", "repro", "train")
    for number in (signal.SIGKILL, signal.SIGTERM)[:KILLS]:
        kill_after_a_checkpoint(project, number)
        deadline = time.monotonic() + 20
        while works_in(project) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert works_in(project) == []
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
