"""The real data: the Wikipedia Movie Plots, downloaded or placed by hand."""

import shutil
import zipfile
import zlib
from pathlib import Path
from typing import Annotated

from pydantic import Field

from plotwright.downloads import DownloadError, discard, downloading, downloads_folder, fetch
from plotwright.errors import PlotwrightError
from plotwright.files import sha256_of, whole_file
from plotwright.settings import Count, Section

Text = Annotated[str, Field(min_length=1)]


class PlotsSource(Section):
    """Where the raw plots come from: `member` of the zip at `url`, `size` bytes unpacked."""

    url: Text
    page: Text
    member: Text
    size: Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class WikipediaParams(Section):
    """data/wikipedia/params.yaml."""

    download: PlotsSource


def _check(path: Path, source: PlotsSource) -> None:
    """Raise DownloadError unless the file at `path` is the one that `source` describes."""
    size = path.stat().st_size
    if size != source.size:
        raise DownloadError(f"{source.member} has {size:,} bytes instead of {source.size:,}")
    sha256 = sha256_of(path)
    if sha256 != source.sha256:
        raise DownloadError(f"{source.member} has the sha256 {sha256} instead of {source.sha256}")


def _unpack(archive: Path, member: str, out: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as pack, pack.open(member) as packed, out.open("wb") as file:
            shutil.copyfileobj(packed, file)
    except (zipfile.BadZipFile, zlib.error):
        raise DownloadError("what came is not a whole zip file") from None
    except KeyError:
        raise DownloadError(f"the zip does not contain {member}") from None


def _fetch_plots(source: PlotsSource, plots: Path) -> None:
    """Download the zip and unpack the checked file `plots` from it."""
    archive = plots.with_name(f"{plots.stem}.zip.partial")
    fetch(source.url, archive)
    try:
        with whole_file(plots) as partial:
            _unpack(archive, source.member, partial)
            _check(partial, source)
    finally:
        discard(archive)


def download_plots(source: PlotsSource, out: Path) -> None:
    """Put the raw plots at `out`: from the downloads folder if they are there, else from the network.

    Raises PlotwrightError if they cannot be had or are not the expected ones.
    """
    folder = downloads_folder()
    plots = folder / source.member
    by_hand = f"download {source.page} in a browser, unzip it, put {source.member} into {folder}"
    with downloading("the Wikipedia movie plots", by_hand):
        if not plots.exists():
            _fetch_plots(source, plots)
    try:
        _check(plots, source)
    except DownloadError as error:
        raise PlotwrightError(f"the file in {folder} is not the expected one: {error}; remove or replace it.") from None
    with whole_file(out) as partial:
        shutil.copyfile(plots, partial)
