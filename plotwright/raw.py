"""Reading a raw CSV with the Wikipedia Movie Plots columns, or saying in one sentence why it cannot be read."""

import io
import shlex
import warnings
from pathlib import Path

import pandas as pd

from plotwright.errors import PlotwrightError

# What the file must have; further columns, such as Director or Cast, are not read.
RAW_COLUMNS = ("Release Year", "Title", "Genre", "Plot")

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_MAGIC = {
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip archive",
    b"PAR1": "a Parquet file",
    b"%PDF": "a PDF document",
}
_UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def _check_bytes(path: Path, data: bytes) -> None:
    """Raise PlotwrightError if `data` cannot be a CSV in UTF-8."""
    start = data.removeprefix(_BYTE_ORDER_MARK).lstrip()[:8]
    for magic, kind in _MAGIC.items():
        if data.startswith(magic):
            raise PlotwrightError(f"{path} is {kind}, not a CSV; unpack or export it as CSV first.")
    if not start:
        raise PlotwrightError(f"{path} is empty; give a CSV with the columns {', '.join(RAW_COLUMNS)}.")
    if start.startswith(b"<"):
        raise PlotwrightError(f"{path} is an HTML or XML page, not a CSV; download the file itself, not its web page.")
    if start[:1] in (b"{", b"["):
        raise PlotwrightError(f"{path} is JSON, not a CSV; export it as CSV first.")


def _line_of(data: bytes, position: int) -> int:
    return data.count(b"\n", 0, position) + 1


def _how_to_convert(path: Path, encoding: str) -> str:
    old, new = (shlex.quote(str(name)) for name in (path, path.with_name(f"{path.stem}.utf8{path.suffix}")))
    return f"convert it, for example with: iconv -f {encoding} -t UTF-8 {old} > {new}"


def _check_encoding(path: Path, data: bytes) -> None:
    """Raise PlotwrightError if `data` is not UTF-8 text without null bytes."""
    if data.startswith(_UTF_16_MARKS):
        raise PlotwrightError(f"{path} is encoded in UTF-16, not UTF-8; {_how_to_convert(path, 'UTF-16')}")
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        if b"\0" in data:
            raise PlotwrightError(f"{path} is binary data, not a CSV; give the path of a text file.") from None
        where = f"byte 0x{data[error.start]:02x} on line {_line_of(data, error.start)}"
        raise PlotwrightError(f"{path} is not UTF-8 ({where}); {_how_to_convert(path, 'WINDOWS-1252')}") from None
    if b"\0" in data:
        line = _line_of(data, data.index(b"\0"))
        raise PlotwrightError(
            f"{path} holds a null byte on line {line}; remove such bytes, for example with tr -d '\\000'."
        )


def _parse(path: Path, data: bytes) -> pd.DataFrame:
    """All columns as strings; an empty field is missing, but a film may be called "Null" or "NA"."""
    try:
        with warnings.catch_warnings():
            # pandas warns, and drops fields, where every row is longer than the header.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                io.BytesIO(data),
                dtype=str,
                keep_default_na=False,
                na_values=[""],
                index_col=False,
                encoding="utf-8-sig",
            )
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        what = " ".join(str(error).removeprefix("Error tokenizing data. C error:").split()).rstrip(".")
        raise PlotwrightError(
            f"{path} is not a well-formed CSV ({what}); put fields that hold commas, quotes or line breaks in quotes."
        ) from None


def read_raw(path: Path) -> pd.DataFrame:
    """The columns RAW_COLUMNS of a CSV file in UTF-8, as strings, empty fields missing.

    Raises PlotwrightError when the file is missing, empty, not a CSV, not UTF-8, or lacks a column or any row.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise PlotwrightError(f"there is no file {path}; check data.raw in params.yaml.") from None
    except IsADirectoryError:
        raise PlotwrightError(f"{path} is a folder; give data.raw in params.yaml the path of a CSV file.") from None
    _check_bytes(path, data)
    _check_encoding(path, data)
    raw = _parse(path, data)
    missing = [column for column in RAW_COLUMNS if column not in raw.columns]
    if missing:
        found = ", ".join(str(column)[:40] for column in raw.columns[:12])
        raise PlotwrightError(
            f"{path} lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}; its first line names: {found}."
        )
    if raw.empty:
        raise PlotwrightError(f"{path} has a header and no rows; add a row for each plot.")
    return raw[list(RAW_COLUMNS)]
