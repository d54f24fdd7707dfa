"""What readers preferred, as the align stage and `plotwright feedback` read it: which rows count, are they enough."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
from pydantic import Field

from plotwright.errors import PlotwrightError
from plotwright.files import whole_file
from plotwright.identity import Source
from plotwright.sentences import counted
from plotwright.settings import Count, OpenFraction, Positive, Section

PARAMS = Path("models/aligned/params.yaml")
EXPORT = Path("data/readers")

Kind = Literal["thumbs", "choices"]


class AlignSettings(Section):
    """The section `align` of models/aligned/params.yaml."""

    learn_from: Literal["thumbs", "choices", "both"]
    rows: Literal["same_model", "same_data", "all"]
    held_out: OpenFraction
    min_thumbs: Annotated[int, Field(ge=4)]
    min_share: Annotated[float, Field(gt=0, le=0.5)]
    min_choices: Annotated[int, Field(ge=2)]
    epochs: Count
    learning_rate: Positive
    batch_size: Annotated[int, Field(ge=2)]  # KTO pairs each prompt with a neighbour's text
    accumulation: Count
    beta: Positive
    gradient_checkpointing: bool

    @property
    def kinds(self) -> list[Kind]:
        """What is learnt from, in order."""
        return ["thumbs", "choices"] if self.learn_from == "both" else [self.learn_from]


class AlignParams(Section):
    """models/aligned/params.yaml as a whole."""

    align: AlignSettings


def mark(rows: pd.DataFrame, source: Source) -> pd.DataFrame:
    """The rows with two more columns: whether the model at hand wrote the text, and whether one trained on its data."""
    return rows.assign(same_model=rows["model"] == source.model, same_data=rows["data"] == source.data)


def usable(marked: pd.DataFrame, settings: AlignSettings) -> pd.DataFrame:
    """Those of the marked rows that align.rows lets count."""
    return marked if settings.rows == "all" else marked[marked[settings.rows]].reset_index(drop=True)


def write_rows(path: Path, rows: pd.DataFrame) -> None:
    """One JSON object a row and line, UTF-8; the same rows give the same bytes."""
    lines = [json.dumps(row, ensure_ascii=False, sort_keys=True) for row in rows.to_dict("records")]
    with whole_file(path) as partial:
        partial.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def read_rows(path: Path, columns: Iterable[str]) -> pd.DataFrame:
    """What write_rows wrote.

    Raises PlotwrightError when the file is missing, or is not what plotwright feedback export writes.
    """
    again = "write it anew with plotwright feedback export"
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    except FileNotFoundError:
        raise PlotwrightError(f"there is no {path}; {again}.") from None
    except ValueError:
        raise PlotwrightError(f"{path} is not one JSON object a line; {again}.") from None
    missing = [name for name in columns if any(not isinstance(row, dict) or name not in row for row in rows)]
    if missing:
        raise PlotwrightError(f"{path} has rows without {', '.join(missing)}; {again}.")
    return pd.DataFrame(rows, columns=list(columns))


def attempt_of(draft: str) -> str:
    """The attempt that a draft belongs to: the app calls a draft by its attempt and its number."""
    return draft.rpartition("-")[0] or draft


def thumbs_of(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Columns attempt, prompt, text, verdict (up or down): a row a rated draft."""
    columns = ["attempt", "prompt", "text", "verdict"]
    return verdicts.assign(attempt=verdicts["draft"].map(attempt_of))[columns]


def pairs_of(comparisons: pd.DataFrame) -> pd.DataFrame:
    """Columns attempt, prompt, chosen, rejected: the best draft of each attempt with every other one.

    Drafts without a word, and those that say what the best one says, make no pair.
    """
    pairs = [
        (row["attempt"], row["prompt"], best, text)
        for row in comparisons.to_dict("records")
        for best in [row["texts"][row["best"]]]
        for text in row["texts"]
        if text.strip() and best.strip() and text != best
    ]
    return pd.DataFrame(pairs, columns=["attempt", "prompt", "chosen", "rejected"])


@dataclass(frozen=True)
class Table:
    """A kind of feedback: its file in the export, the columns read from it, and what is learnt from them."""

    file: str
    columns: tuple[str, ...]
    prepare: Callable[[pd.DataFrame], pd.DataFrame]


TABLES: dict[Kind, Table] = {
    "thumbs": Table("verdicts.jsonl", ("draft", "prompt", "text", "verdict", "model", "data"), thumbs_of),
    "choices": Table("comparisons.jsonl", ("attempt", "prompt", "texts", "best", "model", "data"), pairs_of),
}


def lack(kind: Kind, rows: pd.DataFrame, settings: AlignSettings) -> str:
    """Half a sentence on what prepared rows lack to be learnt from; empty where they are enough."""
    count = len(rows) if kind == "thumbs" else rows["attempt"].nunique()
    least = settings.min_thumbs if kind == "thumbs" else settings.min_choices
    if count < least:
        verb = "is" if count == 1 else "are"
        return f"there {verb} {counted(count, kind.removesuffix('s'))}, and align.min_{kind} asks for {least}"
    if kind == "choices":
        return ""
    given = rows["verdict"].tolist()
    rarer = min(("up", "down"), key=given.count)
    share = given.count(rarer) / count
    if share < settings.min_share:
        return f"{share:.1%} of {count} thumbs are {rarer}, and align.min_share asks for {settings.min_share:.1%}"
    return ""


def read_preferences(folder: Path, source: Source, settings: AlignSettings) -> dict[Kind, pd.DataFrame]:
    """What align.learn_from names, prepared, of an export's rows that count.

    Raises PlotwrightError when the export is missing or broken, or holds too little to learn from.
    """
    found: dict[Kind, pd.DataFrame] = {}
    for kind in settings.kinds:
        table = TABLES[kind]
        rows = mark(read_rows(folder / table.file, table.columns), source)
        counted = usable(rows, settings)
        found[kind] = table.prepare(counted)
        if missing := lack(kind, found[kind], settings):
            others = len(rows) - len(counted)
            left_out = f" (align.rows leaves out {others} on texts of other models)" if others else ""
            raise PlotwrightError(f"the readers' feedback is not enough: {missing}{left_out}.")
    return found


def hold_out(kind: Kind, rows: pd.DataFrame, share: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The rows to learn from and those to be scored only: of about `share` of the attempts, drawn by their names' hash.

    All drafts of an attempt are on one side, thumbs and choices alike, and more rows move none across. Raises
    PlotwrightError when a side would not hold what it takes to compare.
    """

    def drawn(attempt: str) -> bool:
        digest = hashlib.sha256(f"{seed} {attempt}".encode()).digest()
        return int.from_bytes(digest[:8], "big") < share * 2**64

    kept = rows["attempt"].map(drawn).astype(bool)
    parts = rows[~kept].reset_index(drop=True), rows[kept].reset_index(drop=True)
    for part in parts:
        if part.empty or (kind == "thumbs" and part["verdict"].nunique() < 2):
            raise PlotwrightError(
                f"{len(parts[1])} of {len(rows)} {kind} would be held out, and one side would hold nothing to compare; "
                "change align.held_out or gather more."
            )
    return parts
