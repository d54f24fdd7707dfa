"""plotwright feedback: what readers said in the app, as files for the align stage and as counts for a person."""

import argparse
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from plotwright.errors import PlotwrightError
from plotwright.feedback import STORE, FeedbackStore
from plotwright.folders import MODEL
from plotwright.identity import Source, source_of
from plotwright.preferences import (
    EXPORT,
    PARAMS,
    TABLES,
    AlignParams,
    AlignSettings,
    Kind,
    lack,
    mark,
    usable,
    write_rows,
)
from plotwright.sentences import counted
from plotwright.settings import load_settings

NO_GENRE = "none asked for"


Feedback = dict[Kind, pd.DataFrame]


def read_feedback(store: Path, source: Source) -> Feedback:
    """What the store holds, the last word on each draft and attempt, marked by whether `source` wrote the text.

    Ordered by the names of drafts and attempts: neither by when they were rated, nor by how often a reader's mind
    changed. Raises PlotwrightError when there is no store or it cannot be read.
    """
    if not store.exists():
        raise PlotwrightError(f"there is no {store}, so nobody has rated a plot yet; rate some in the app.")
    try:
        held = FeedbackStore(store)
        tables: Feedback = {
            "thumbs": held.verdicts().sort_values("draft", ignore_index=True),
            "choices": held.comparisons().sort_values("attempt", ignore_index=True),
        }
    except (sqlite3.Error, pd.errors.DatabaseError, OSError) as error:
        raise PlotwrightError(f"{store} cannot be read ({' '.join(str(error).split())}).") from None
    return {kind: mark(table, source) for kind, table in tables.items()}


def export(feedback: Feedback, folder: Path) -> list[str]:
    """Write a table a kind into `folder`; a line about each.

    Raises PlotwrightError when the folder cannot be written to.
    """
    lines = []
    for kind, rows in feedback.items():
        file = folder / TABLES[kind].file
        try:
            write_rows(file, rows)
        except OSError as error:
            raise PlotwrightError(f"{file} cannot be written ({error.strerror}).") from None
        others = int((~rows["same_model"]).sum())
        lines.append(f"{file}: {counted(len(rows), kind.removesuffix('s'))}, {others} on texts of other models")
    return lines


def genre_asked(prompt: str) -> str:
    """The genre in a prompt's first line."""
    line = prompt.split("\n", 1)[0]
    return line.removeprefix("Genre: ") if line.startswith("Genre: ") else NO_GENRE


def count_by(feedback: Feedback, name: str) -> pd.DataFrame:
    """Columns up, down, choices: a row a value of the column `name` that both tables have, the commonest first."""
    thumbs, choices = feedback["thumbs"], feedback["choices"]
    counts = {verdict: thumbs[thumbs["verdict"] == verdict][name].value_counts() for verdict in ("up", "down")}
    table = pd.DataFrame({**counts, "choices": choices[name].value_counts()}).fillna(0).astype(int)
    return table.loc[sorted(table.index, key=lambda value: (-table.loc[value].sum(), value))]


def _table(head: str, counts: pd.DataFrame, labels: Sequence[str]) -> list[str]:
    width = max(map(len, [head, *labels]))
    lines = [f"  {head:<{width}}{'up':>7}{'down':>7}{'choices':>9}"]
    rows = zip(labels, counts.itertuples(index=False), strict=True)
    return [*lines, *(f"  {label:<{width}}{row.up:>7}{row.down:>7}{row.choices:>9}" for label, row in rows)]


def enough(feedback: Feedback, settings: AlignSettings) -> list[str]:
    """For each kind a sentence: whether the align stage would learn from it."""
    counted = {
        "same_model": "texts of this model",
        "same_data": "texts of models trained on the same plots",
        "all": "texts of any model",
    }[settings.rows]
    lines = []
    for kind, rows in feedback.items():
        missing = lack(kind, TABLES[kind].prepare(usable(rows, settings)), settings)
        verdict = f"not enough for the align stage: {missing}" if missing else "enough for the align stage"
        lines.append(f"{kind.capitalize()} are {verdict} (counting {counted}).")
    return lines


def report(feedback: Feedback, source: Source, model: Path, settings: AlignSettings) -> str:
    """What the command prints."""
    given = feedback["thumbs"]["verdict"].tolist()
    counts = (
        f"{counted(len(given), 'thumb')} ({given.count('up')} up, {given.count('down')} down), "
        f"{counted(len(feedback['choices']), 'choice')}"
    )
    asked: Feedback = {
        kind: rows.assign(genre=rows["prompt"].map(genre_asked).astype(str)) for kind, rows in feedback.items()
    }
    genres, models = count_by(asked, "genre"), count_by(feedback, "model")
    names = [f"{name[:16]} ({model if name == source.model else 'another'})" for name in models.index]
    return "\n".join(
        [
            counts,
            "",
            *_table("genre", genres, list(genres.index)),
            "",
            *_table("model", models, names),
            "",
            *enough(feedback, settings),
        ]
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.description = "What readers said of written plots in the app."
    commands = parser.add_subparsers(dest="what", required=True, metavar="export|report")
    exporting = commands.add_parser("export", help=f"write the rows to {EXPORT}, which the align stage reads")
    exporting.add_argument("--to", type=Path, default=EXPORT, metavar="FOLDER", help=f"default {EXPORT}")
    reporting = commands.add_parser("report", help="count by verdict, genre and model, and say whether that is enough")
    for one in (exporting, reporting):
        one.add_argument("--store", type=Path, default=STORE, metavar="FILE", help=f"default {STORE}")
        one.add_argument("--model", type=Path, default=MODEL, metavar="FOLDER", help=f"this model; default {MODEL}")


def run(arguments: argparse.Namespace) -> None:
    """Export, or report."""
    source = source_of(arguments.model)
    feedback = read_feedback(arguments.store, source)
    if arguments.what == "export":
        print("\n".join(export(feedback, arguments.to)))
    else:
        settings = load_settings(PARAMS, AlignParams).align
        print(report(feedback, source, arguments.model, settings))
