"""What readers say of written plots, in an SQLite file that loses nothing it has acknowledged.

Rows are only ever added. A reader who changes their mind, or gives a reason a moment later, adds a row; reading takes
the last row of each draft.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from filelock import FileLock

STORE = Path("data/feedback/feedback.sqlite")

Opinion = Literal["up", "down", "withdrawn"]

_BUSY = 60.0  # seconds a writer waits for the others
_VERSION = 1  # of the tables below, kept in the file as SQLite's user_version
_SCHEMA = """
CREATE TABLE verdicts (
    id INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    draft TEXT NOT NULL,
    prompt TEXT NOT NULL,
    text TEXT NOT NULL,
    seed INTEGER NOT NULL,
    settings TEXT NOT NULL,
    model TEXT NOT NULL,
    data TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('up', 'down', 'withdrawn')),
    reason TEXT NOT NULL
);
CREATE TABLE comparisons (
    id INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    attempt TEXT NOT NULL,
    prompt TEXT NOT NULL,
    texts TEXT NOT NULL,
    best INTEGER NOT NULL,
    seed INTEGER NOT NULL,
    settings TEXT NOT NULL,
    model TEXT NOT NULL,
    data TEXT NOT NULL
);
"""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


@dataclass(frozen=True)
class Verdict:
    """A thumb up or down for one draft.

    draft: which one, unlike any other. prompt: exactly what the model was asked with; text: what it wrote after that.
    settings: the sampling controls, the number of the draft and whatever else it takes to write it again.
    model, data: fingerprints; data is empty where the model's folder does not say what it was trained on.
    """

    draft: str
    prompt: str
    text: str
    seed: int
    settings: dict[str, Any]
    model: str
    data: str
    verdict: Opinion
    reason: str = ""
    time: str = field(default_factory=_now)


@dataclass(frozen=True)
class Comparison:
    """A choice among the drafts of one attempt: `texts[best]` is the one that the reader liked best."""

    attempt: str
    prompt: str
    texts: list[str]
    best: int
    seed: int
    settings: dict[str, Any]
    model: str
    data: str
    time: str = field(default_factory=_now)


class FeedbackStore:
    """The feedback file; any number of threads and processes may hold one on the same path.

    Every write is on the disk when the call returns. Raises sqlite3.Error and OSError when it cannot be: the disk is
    full, the folder may not be written to.
    """

    def __init__(self, path: Path = STORE):
        self.path = Path(path)

    def add_verdict(self, verdict: Verdict) -> None:
        """Store a thumb; it replaces what was said of the same draft before."""
        self._add("verdicts", verdict)

    def add_comparison(self, comparison: Comparison) -> None:
        """Store a choice; it replaces the one made among the same drafts before."""
        self._add("comparisons", comparison)

    def verdicts(self) -> pd.DataFrame:
        """The last verdict on each draft in the order given, with the columns of Verdict; withdrawn ones left out.

        `settings` is a dict.
        """
        table = self._last("verdicts", "draft")
        return table[table["verdict"] != "withdrawn"].reset_index(drop=True)

    def comparisons(self) -> pd.DataFrame:
        """The last choice of each attempt in the order given, with the columns of Comparison.

        `settings` is a dict and `texts` a list.
        """
        table = self._last("comparisons", "attempt")
        return table.assign(texts=table["texts"].map(json.loads))

    def _add(self, table: str, row: Verdict | Comparison) -> None:
        names = [column.name for column in fields(row)]
        values = [getattr(row, name) for name in names]
        encoded = [json.dumps(value) if isinstance(value, dict | list) else value for value in values]
        command = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
        self._create_once()
        with self._connect() as connection:
            connection.execute(command, encoded)

    def _last(self, table: str, per: str) -> pd.DataFrame:
        self._create_once()
        query = f"SELECT * FROM {table} WHERE id IN (SELECT max(id) FROM {table} GROUP BY {per}) ORDER BY id"
        with self._connect() as connection:
            rows = pd.read_sql_query(query, connection)
        return rows.drop(columns="id").assign(settings=rows["settings"].map(json.loads))

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        """A connection with no transaction open: each statement is one, on the disk when it returns."""
        with closing(sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = FULL")
            yield connection

    def _create_once(self) -> None:
        """Make the file where it is missing, one process at a time.

        Going over to WAL, which lets readers read while a row is written, does not wait for others by itself.
        """
        if self.path.exists() and self._version() == _VERSION:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_suffix(".lock")), self._connect() as connection:
            if self._version() != _VERSION:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version = {_VERSION}; COMMIT;")

    def _version(self) -> int:
        with self._connect() as connection:
            return int(connection.execute("PRAGMA user_version").fetchone()[0])
