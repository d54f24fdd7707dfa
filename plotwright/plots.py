"""The prepared table: one clean row a plot, each plot once, and how it is stored."""

import hashlib
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from plotwright.cleaning import clean_text, drop_lost_quotation, says_no_plot
from plotwright.duplicates import near_duplicates
from plotwright.errors import PlotwrightError
from plotwright.genres import GENRES, UNKNOWN, normalise_genre, unread_spellings

# What a prepared table and each part of a split hold. `year` is a nullable integer, the others are strings.
COLUMNS = ("id", "title", "year", "genre", "text")

_DISAMBIGUATION = re.compile(r"\s*\((?:[^()]*\s)?(?:film|movie|film series|serial)\)$|\s*\([12]\d{3}\)$", re.IGNORECASE)
_ARTICLE = re.compile(r"^(?:the|an?) (?=\w)|(?<=\w) (?:the|an?)$")
_YEAR = re.compile(r"\s*([12]\d{3})(?:\.0)?\s*")


def clean_title(raw: str) -> str:
    """A title on one line without Wikipedia's disambiguation: "Lola (1981 film)" is "Lola"."""
    return _DISAMBIGUATION.sub("", " ".join(clean_text(raw).split()))


def title_key(title: str) -> str:
    """What the titles of remakes and re-listings have in common.

    Case, accents, punctuation, a leading or trailing article and "(film)", "(1981 film)" or "(1981)" do not count;
    a title of nothing else is its own key.
    """
    bare = unicodedata.normalize("NFKD", clean_title(title).casefold().replace("&", " and ").replace("'", ""))
    bare = "".join(character for character in bare if not unicodedata.combining(character))
    words = " ".join(re.findall(r"[^\W_]+", bare))
    return _ARTICLE.sub("", words) or title.casefold().strip()


def parse_year(raw: str) -> int | None:
    """A four-digit year ("1999", "1999.0"), or None."""
    match = _YEAR.fullmatch(raw)
    return int(match[1]) if match else None


def plot_id(title: str, year: int | None, text: str) -> str:
    """16 hexadecimal digits that depend on the plot alone, not on its row or the other rows."""
    return hashlib.sha256(f"{title_key(title)}\n{year}\n{text}".encode()).hexdigest()[:16]


def clean_rows(raw: pd.DataFrame) -> pd.DataFrame:
    """The prepared columns of each raw row; title and text are empty where the raw row has none.

    Also returns the column `raw_genre`, the spelling that `genre` was read from.
    """
    raw = raw.fillna("")
    texts = tqdm(raw["Plot"], desc="cleaning", unit=" plots", delay=2, disable=None, leave=False)
    table = pd.DataFrame(
        {
            "title": [clean_title(title) for title in raw["Title"]],
            "year": pd.array([parse_year(year) for year in raw["Release Year"]], dtype="Int64"),
            "genre": [normalise_genre(genre) for genre in raw["Genre"]],
            "text": [drop_lost_quotation(clean_text(text)) for text in texts],
            "raw_genre": [" ".join(genre.split()) for genre in raw["Genre"]],
        }
    )
    years = [None if pd.isna(year) else int(year) for year in table["year"]]
    ids = [plot_id(*row) for row in zip(table["title"], years, table["text"], strict=True)]
    table.insert(0, "id", ids)
    return table


def _drop_exact_duplicates(table: pd.DataFrame) -> pd.DataFrame:
    """One row a text, sorted by id. Kept is the row that knows more: a genre, then a year, then the smallest id."""
    ranked = table.assign(no_genre=table["genre"] == UNKNOWN, no_year=table["year"].isna())
    ranked = ranked.sort_values(["no_genre", "no_year", "id", "genre", "raw_genre", "title"], kind="stable")
    return ranked.drop_duplicates("text").drop(columns=["no_genre", "no_year"]).sort_values("id", ignore_index=True)


def _drop_near_duplicates(table: pd.DataFrame) -> pd.DataFrame:
    copies = near_duplicates(table["text"].tolist(), table["id"].tolist())
    return table.drop(index=sorted(copies)).reset_index(drop=True)


def select(table: pd.DataFrame, min_words: int) -> tuple[pd.DataFrame, dict[str, int]]:
    """The cleaned rows that are plots, each plot once, sorted by id; and how many rows each reason dropped.

    The result depends on the rows, not on their order.
    """
    steps: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {
        "title_missing": lambda rows: rows[rows["title"] != ""],
        "plot_missing": lambda rows: rows[rows["text"] != ""],
        "says_no_plot": lambda rows: rows[~rows["text"].map(says_no_plot).astype(bool)],
        "too_short": lambda rows: rows[rows["text"].map(lambda text: len(text.split()) >= min_words).astype(bool)],
        "exact_duplicate": _drop_exact_duplicates,
        "near_duplicate": _drop_near_duplicates,
    }
    dropped = {}
    for reason, step in steps.items():
        before = len(table)
        table = step(table)
        dropped[reason] = before - len(table)
    return table, dropped


def draw(table: pd.DataFrame, limit: int | None, seed: int) -> pd.DataFrame:
    """`limit` plots, or all where there are fewer or limit is None, sorted by id.

    The plots are ordered by a hash of seed and id, so a smaller draw is a part of every larger one.
    """
    if limit is None or limit >= len(table):
        return table
    rank = table["id"].map(lambda plot: hashlib.sha256(f"{seed} {plot}".encode()).hexdigest())
    return table.loc[rank.sort_values().index[:limit]].sort_values("id", ignore_index=True)


def describe_plots(plots: pd.DataFrame) -> dict[str, Any]:
    """Genres, lengths in words and years of the plots taken, for metrics/prepare.json.

    Of the plots whose genre is unknown, `said_unknown` say so or nothing, `forms_only` name a form such as "short", and
    `unread` hold no word of the table.
    """
    words = plots["text"].map(lambda text: len(text.split()))
    raw = plots.loc[plots["genre"] == UNKNOWN, "raw_genre"]
    said = int(raw.str.casefold().isin(["", UNKNOWN]).sum())
    unread = unread_spellings(raw)
    return {
        "plots": len(plots),
        "genre": {
            "share_unknown": round(len(raw) / len(plots), 4),
            "said_unknown": said,
            "forms_only": len(raw) - said - len(unread),
            "unread": len(unread),
            "unread_spellings": sorted(set(unread))[:20],
        },
        "genres": {genre: int((plots["genre"] == genre).sum()) for genre in GENRES},
        "words": {
            "total": int(words.sum()),
            "shortest": int(words.min()),
            "median": int(words.median()),
            "mean": round(float(words.mean()), 1),
            "longest": int(words.max()),
        },
        "without_year": int(plots["year"].isna().sum()),
    }


def write_plots(path: Path, table: pd.DataFrame) -> None:
    """Write the COLUMNS of `table` as Parquet; the same table gives the same bytes."""
    types = {column: "Int64" if column == "year" else "str" for column in COLUMNS}
    table[list(COLUMNS)].astype(types).reset_index(drop=True).to_parquet(path, index=False, compression="zstd")


def read_plots(path: Path) -> pd.DataFrame:
    """A prepared table or a part of a split, with COLUMNS.

    Raises PlotwrightError when the file is missing, is not Parquet or lacks a column.
    """
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise PlotwrightError(f"there is no {path}; make it with dvc repro.") from None
    except (OSError, ValueError):
        raise PlotwrightError(f"{path} cannot be read as Parquet; make it anew with dvc repro.") from None
    missing = [column for column in COLUMNS if column not in table.columns]
    if missing:
        raise PlotwrightError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; make it anew with dvc repro."
        )
    return table[list(COLUMNS)]
