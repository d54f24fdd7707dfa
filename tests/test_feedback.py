"""The feedback store loses nothing that it acknowledged, whoever else writes and whenever a process dies."""

import signal
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from plotwright.feedback import Comparison, FeedbackStore, Verdict

VERDICT = Verdict(
    draft="a",
    prompt="Plot: A pilot",
    text=" lands; DROP TABLE verdicts; -- it's “over”\x00",
    seed=2**40,
    settings={"temperature": 0.8, "drafts": 2},
    model="m1",
    data="d1",
    verdict="up",
    reason="<b>bold</b> 'quoted' \N{CLAPPER BOARD}",
)
COMPARISON = Comparison(
    attempt="x",
    prompt="Plot:",
    texts=["one", "two; '"],
    best=1,
    seed=3,
    settings={"temperature": 1.0},
    model="m1",
    data="d1",
)

# Writes verdicts named <name>-0, <name>-1, ... and prints each name once it is acknowledged.
WRITE = """
import sys
from dataclasses import replace
from pathlib import Path
from plotwright.feedback import FeedbackStore
from tests.test_feedback import VERDICT
path, name, count = sys.argv[1:]
store = FeedbackStore(Path(path))
for number in range(int(count)):
    store.add_verdict(replace(VERDICT, draft=f"{name}-{number}"))
    print(f"{name}-{number}", flush=True)
"""


def start_writer(path: Path, name: str, count: int) -> subprocess.Popen:
    command = [sys.executable, "-c", WRITE, str(path), name, str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent.parent)


def test_a_verdict_and_a_comparison_come_back_as_they_were_given(tmp_path):
    store = FeedbackStore(tmp_path / "new" / "feedback.sqlite")
    store.add_verdict(VERDICT)
    store.add_comparison(COMPARISON)
    assert Verdict(**store.verdicts().iloc[0]) == VERDICT
    assert Comparison(**store.comparisons().iloc[0]) == COMPARISON


def test_an_empty_store_reads_as_tables_without_rows(tmp_path):
    store = FeedbackStore(tmp_path / "feedback.sqlite")
    assert store.verdicts().empty and {"draft", "verdict", "settings"} <= set(store.verdicts().columns)
    assert store.comparisons().empty and {"attempt", "texts", "best"} <= set(store.comparisons().columns)


def test_the_last_word_on_a_draft_counts(tmp_path):
    store = FeedbackStore(tmp_path / "feedback.sqlite")
    for draft, verdict, reason in [
        ("a", "up", ""),
        ("b", "up", ""),
        ("a", "down", ""),
        ("a", "down", "dull"),
        ("c", "up", ""),
        ("c", "withdrawn", ""),
    ]:
        store.add_verdict(replace(VERDICT, draft=draft, verdict=verdict, reason=reason))
    store.add_comparison(COMPARISON)
    store.add_comparison(replace(COMPARISON, best=0))
    kept = store.verdicts()[["draft", "verdict", "reason"]].values.tolist()
    assert kept == [["b", "up", ""], ["a", "down", "dull"]]
    assert store.comparisons()["best"].tolist() == [0]


def test_every_row_is_synced_to_the_disk(tmp_path):
    store = FeedbackStore(tmp_path / "feedback.sqlite")
    store.add_verdict(VERDICT)
    with store._connect() as connection:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_eight_threads_that_begin_together_all_find_the_file_made(tmp_path):
    store = FeedbackStore(tmp_path / "feedback.sqlite")
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: store.add_verdict(replace(VERDICT, draft=str(n))), range(64)))
    assert len(store.verdicts()) == 64


def test_a_thousand_writes_from_eight_processes_are_a_thousand_rows(tmp_path):
    path = tmp_path / "feedback.sqlite"
    writers = [start_writer(path, f"p{n}", 125) for n in range(8)]
    acknowledged = [line for writer in writers for line in writer.communicate()[0].split()]
    assert [writer.returncode for writer in writers] == [0] * 8
    assert len(acknowledged) == 1000
    assert set(FeedbackStore(path).verdicts()["draft"]) == set(acknowledged)


def test_killed_writers_lose_nothing_that_was_acknowledged(tmp_path):
    path = tmp_path / "feedback.sqlite"
    writers = [start_writer(path, f"p{n}", 100_000) for n in range(4)]
    acknowledged: list[str] = []
    for number, writer in enumerate(writers):
        acknowledged += [writer.stdout.readline().strip() for _ in range(20 + 10 * number)]
        writer.send_signal(signal.SIGKILL)
    for writer in writers:
        # What stands in the pipe was acknowledged too; a line that the kill cut off has no line break.
        acknowledged += [line.strip() for line in writer.stdout.readlines() if line.endswith("\n")]
        writer.wait()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    stored = set(FeedbackStore(path).verdicts()["draft"])
    assert len(acknowledged) >= 140 and stored >= set(acknowledged)
    # At most one row a writer may have been stored without its writer having lived to say so.
    assert len(stored) <= len(acknowledged) + len(writers)
