"""A repository like ours with a tiny base and sixty plots, and ways to run programs in it and in other folders."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import yaml
from conftest import ROOT, make_model, make_plots
from transformers import PreTrainedTokenizerBase

from plotwright.errors import run_or_explain

IDENTITY = {"user.name": "t", "user.email": "t@example.org"}
TRACKED = ["dvc.yaml", "stages", "plotwright", "pyproject.toml", ".dvcignore", ".gitignore"]


def environment(project: Path) -> dict[str, str]:
    """This process's environment with its own interpreter's programs and the project's package first.

    One thread: a model this small gains nothing from more.
    """
    ours = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(project), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    return {**os.environ, **ours}


def run(project: Path, *command: str, fails: bool = False, timeout: float = 400) -> str:
    """What a command prints; it must succeed, or fail where `fails`."""
    done = subprocess.run(
        command, cwd=project, env=environment(project), capture_output=True, text=True, timeout=timeout
    )
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def run_here(main: Callable[[], None], folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a script's `main` in this process, as in `folder`: importing PyTorch anew each time takes seconds."""
    out, errors, status = io.StringIO(), io.StringIO(), 0
    with (
        chdir(folder),
        patch.object(sys, "argv", [main.__module__, *map(str, arguments)]),
        redirect_stdout(out),
        redirect_stderr(errors),
    ):
        try:
            run_or_explain(main)
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
            print(end.code, file=errors)
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), errors.getvalue())


def tiny_params() -> dict[str, Any]:
    """Our own params.yaml with everything small."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["data"]["raw"] = "raw.csv"
    params["model"]["base"] = "base"
    params["train"] |= {"block_size": 64, "batch_size": 4, "epochs": 2, "evaluations": 2, "precision": "fp32"}
    params["evaluate"] |= {"stride": 16, "resamples": 200, "train_sample": 5, "openings": 4, "opening_tokens": 12}
    params["evaluate"] |= {"continuation_tokens": 12, "texts": 2, "texts_per_genre": 1, "text_tokens": 24}
    params["generate"]["max_new_tokens"] = 24
    return params


def lay_out(folder: Path, tokenizer: PreTrainedTokenizerBase, **train: Any) -> None:
    """Make the repository's files without Git and DVC; `train` changes its training parameters."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TRACKED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    make_model(len(tokenizer)).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    columns = {"year": "Release Year", "title": "Title", "genre": "Genre", "text": "Plot"}
    make_plots(60, words=30).drop(columns="id").rename(columns=columns).to_csv(folder / "raw.csv", index=False)
    params = tiny_params()
    params["train"] |= train
    (folder / "params.yaml").write_text(yaml.safe_dump(params))


def build(folder: Path, tokenizer: PreTrainedTokenizerBase, **train: Any) -> None:
    """Make the repository, committed and with nothing run; `train` changes its training parameters."""
    lay_out(folder, tokenizer, **train)
    run(folder, "git", "init", "-q")
    for name, value in IDENTITY.items():  # DVC experiments are commits, and whoever runs the tests may have no identity
        run(folder, "git", "config", name, value)
    run(folder, "dvc", "init", "-q")
    shutil.copytree(ROOT / ".dvc/plots", folder / ".dvc/plots", dirs_exist_ok=True)
    shutil.copy(ROOT / ".dvc/config", folder / ".dvc/config")
    commit(folder, "start")


def commit(project: Path, why: str) -> None:
    """Commit everything that Git does not ignore."""
    run(project, "git", "add", "-A")
    run(project, "git", "commit", "-qm", why)


def run_stage_here(project: Path, name: str) -> subprocess.CompletedProcess[str]:
    """Run a stage of the project's dvc.yaml in this process, with this checkout's code."""
    params, stages = (yaml.safe_load((project / file).read_text()) for file in ("params.yaml", "dvc.yaml"))
    names = {"${data.raw}": params["data"]["raw"], "${model.base}": params["model"]["base"]}
    _, arguments = stages["stages"][name]["cmd"].split(f"-m stages.{name} ")
    main = import_module(f"stages.{name}").main
    return run_here(main, project, *(names.get(word, word) for word in arguments.split()))


def output_files(project: Path) -> dict[str, bytes]:
    """The bytes of every file that stands under an output's name, by its path."""
    stages = yaml.safe_load((project / "dvc.yaml").read_text())["stages"]
    entries = [
        entry for stage in stages.values() for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])
    ]
    paths = [project / (next(iter(entry)) if isinstance(entry, dict) else entry) for entry in entries]
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*")) if file.is_file()]
    return {file.relative_to(project).as_posix(): file.read_bytes() for file in files}
