"""What DVC knows of every experiment and commit, as tables."""

import math
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import dvc.api
import pandas as pd
import streamlit as st
from dvc.exceptions import DvcException
from scmrepo.exceptions import SCMError

from plotwright.errors import PlotwrightError
from plotwright.settings import load_yaml

COMMITS = 50  # looked at on each branch, the newest first
WORKSPACE = "workspace"
_METRICS = Path("metrics")
_WATCHED = ("params.yaml", "dvc.lock", "metrics/*.json", "plots/*.csv")


@dataclass(frozen=True)
class Run:
    """The state of the repository at a revision: an experiment, a commit or the files as they are now.

    metrics, params: by their dotted names, without what the revision does not have.
    """

    rev: str
    name: str
    created: str
    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, Any] = field(default_factory=dict)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return {prefix: value}
    return {
        name: leaf for key, part in value.items() for name, leaf in _flat(part, f"{prefix}.{key}".strip(".")).items()
    }


def _git(*arguments: str) -> str:
    """What git says, empty outside of a repository."""
    result = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return result.stdout if result.returncode == 0 else ""


def state_now() -> str:
    """A text that changes whenever an experiment, a commit or a result of the workspace does."""
    files = sorted(file for pattern in _WATCHED for file in Path().glob(pattern))
    times = [f"{file} {file.stat().st_mtime_ns}" for file in files]
    return "\n".join([str(Path.cwd()), _git("for-each-ref", "--format=%(refname) %(objectname)"), *times])


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not math.isnan(value) else None


def _run(row: Mapping[str, Any], names: set[str], subjects: Mapping[str, str]) -> Run:
    """A row of exp_show; a name in `names` is a parameter, any other number a metric."""
    present = {key.rpartition(":")[2]: value for key, value in row.items() if value not in (None, "", "!")}
    numbers = {key: _number(value) for key, value in present.items() if key not in names}
    return Run(
        rev=row["rev"],
        name=row.get("Experiment") or f"{row['rev']} {subjects.get(row['rev'], '')}".strip(),
        created=row.get("Created") or "",
        metrics={key: number for key, number in numbers.items() if number is not None},
        params={key: present[key] for key in names if key in present},
    )


def _subjects() -> dict[str, str]:
    """What each commit says of itself in its first line, by its short name."""
    lines = _git("log", "--all", "--abbrev=7", "--format=%h %s").splitlines()
    return {rev: subject for rev, _, subject in (line.partition(" ") for line in lines)}


@st.cache_data(show_spinner="Asking DVC …", max_entries=4)
def _all_runs(state: str) -> list[Run]:
    refs = _git("for-each-ref", "--format=%(refname:short)", "refs/heads", "refs/tags").split()
    try:
        rows = dvc.api.exp_show(revs=["HEAD", *refs], num=COMMITS)
    except (DvcException, SCMError) as error:
        reason = str(error).split("\n")[0].rstrip(".")
        raise PlotwrightError(
            f"DVC cannot list the experiments ({reason}); open the app in a clone of the repository."
        ) from None
    subjects = _subjects()
    names = set(_flat(load_yaml(Path("params.yaml"))))
    return list({row["rev"]: _run(row, names, subjects) for row in rows}.values())


def all_runs() -> list[Run]:
    """Every experiment and commit that DVC knows, the workspace first, then the newest.

    Raises PlotwrightError where there is no DVC repository.
    """
    return _all_runs(state_now())


def distinct(runs: list[Run]) -> list[Run]:
    """The measured runs, each result once: of commits with the same metrics and parameters the first stands."""
    seen: dict[str, Run] = {}
    for run in runs:
        if "test.bits_per_byte" in run.metrics:
            seen.setdefault(repr((sorted(run.metrics.items()), sorted(run.params.items()))), run)
    return list(seen.values())


def differing(runs: list[Run]) -> list[str]:
    """Names of the parameters that are not the same in all runs."""
    names = sorted({name for run in runs for name in run.params})
    return [name for name in names if len({repr(run.params.get(name)) for run in runs}) > 1]


@st.cache_data(show_spinner=False, max_entries=200)
def _read(path: str, rev: str, state: str) -> str | None:
    try:
        return dvc.api.read(path, rev=rev)
    except (DvcException, SCMError, FileNotFoundError):
        return None


def table_at(path: str, run: Run) -> pd.DataFrame | None:
    """A CSV file as it was in a run, None where the run has none."""
    if run.rev == WORKSPACE:
        return pd.read_csv(path) if Path(path).exists() else None
    text = _read(path, run.rev, str(Path.cwd()))
    return None if text is None else pd.read_csv(StringIO(text))


def tables_of(path: str, runs: list[Run]) -> pd.DataFrame:
    """That CSV file of all runs that have it, one after another, with the column `run`; empty if none has."""
    found = [(run, table_at(path, run)) for run in runs]
    tables = [table.assign(run=run.name) for run, table in found if table is not None]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
