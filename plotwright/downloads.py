"""Downloads that go on after a cut, and the folder where they gather.

Plain HTTP requests with a Range, for files of the Hugging Face Hub too: huggingface_hub 2 throws away what an
interrupted download brought.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from tqdm import tqdm
from urllib3.util import Retry

from plotwright.errors import PlotwrightError
from plotwright.files import locked

TIMEOUT = 30  # seconds without a byte
CHUNK = 64 * 1024  # bytes; no more than these are lost when a connection is cut


class DownloadError(PlotwrightError):
    """Why a download failed, in half a sentence."""


@contextmanager
def downloading(what: str, by_hand: str) -> Iterator[None]:
    """Download in this block, one process at a time: queued experiments may need the same file at once.

    Makes a whole sentence of a DownloadError: what failed, and how to do without.
    """
    try:
        with locked(downloads_folder() / "lock", "another process is downloading: waiting until it ends"):
            yield
    except DownloadError as error:
        raise PlotwrightError(
            f"could not download {what}: {error}; run the same command again later, or {by_hand}, and run it again."
        ) from None


def downloads_folder() -> Path:
    """Where downloads gather, and where files placed by hand are looked for.

    DVC sets DVC_ROOT to the main repository in queued and temporary runs too, so all runs share one folder.
    """
    folder = Path(os.environ.get("DVC_ROOT", ".")).resolve() / ".plotwright" / "downloads"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _session() -> requests.Session:
    """A session that tries again by itself when a server is busy or does not answer at once."""
    retries = Retry(
        total=3,
        backoff_factor=0.5,
        status_forcelist=(429, 500, 502, 503, 504),
        raise_on_status=False,
        respect_retry_after_header=False,
    )
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retries))
    return session


def _refusal(host: str, response: requests.Response) -> str:
    explanation = response.headers.get("X-Error-Message")  # the Hub's
    return f"{host} answered {response.status_code} {response.reason}" + (f" ({explanation})" if explanation else "")


def _reason(error: requests.RequestException, url: str) -> str:
    """Half a sentence on what went wrong, and at which host: after a redirect it is not that of `url`."""
    host = urlsplit(str(error.request.url) if error.request else url).netloc
    match error:
        case requests.HTTPError(response=requests.Response() as response):
            return _refusal(host, response)
        case requests.exceptions.SSLError():
            return f"this machine does not trust the certificate of {host}"
        case requests.exceptions.ProxyError():
            return f"the proxy gives no way to {host}"
        case requests.Timeout():
            return f"{host} did not answer within {TIMEOUT} seconds"
        case requests.exceptions.ChunkedEncodingError():
            return f"the connection to {host} was cut"
        case requests.ConnectionError():
            return f"there is no connection to {host}"
        case _:
            return str(error)


def get_json(url: str) -> Any:
    """The JSON that `url` answers with. Raises DownloadError with the reason when it does not."""
    try:
        response = _session().get(url, timeout=TIMEOUT)
        response.raise_for_status()
        return response.json()
    except requests.RequestException as error:
        raise DownloadError(_reason(error, url)) from None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _etag_file(partial: Path) -> Path:
    """The file that remembers which version of the remote file the bytes in `partial` are from."""
    return partial.with_name(f"{partial.name}.etag")


def discard(partial: Path) -> None:
    """Forget what `fetch` brought into `partial`."""
    partial.unlink(missing_ok=True)
    _etag_file(partial).unlink(missing_ok=True)


def _begin(partial: Path, etag: str | None) -> None:
    """Make `partial` empty, and resumable if the server names the version with a strong ETag (RFC 9110, 13.1.5)."""
    discard(partial)
    partial.touch()
    if etag and not etag.startswith("W/"):
        _etag_file(partial).write_text(etag, encoding="latin-1")


def _range_headers(partial: Path) -> dict[str, str]:
    """Ask for the bytes that `partial` lacks, or for all of them if the file is no longer the one it began."""
    if not (_size(partial) and _etag_file(partial).exists()):
        return {}
    return {"Range": f"bytes={_size(partial)}-", "If-Range": _etag_file(partial).read_text(encoding="latin-1")}


def _fetch_rest(url: str, partial: Path) -> None:
    """One request for the bytes of `url` that `partial` lacks."""
    headers = {"Accept-Encoding": "identity", **_range_headers(partial)}
    with _session().get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing is missing; if that is not so, the checksum tells
        response.raise_for_status()
        if response.status_code != requests.codes.partial_content:
            _begin(partial, response.headers.get("ETag"))
        _append(response, partial)


def _append(response: requests.Response, partial: Path) -> None:
    have = _size(partial)
    length = response.headers.get("Content-Length")
    with (
        partial.open("ab") as file,
        tqdm(
            desc=partial.name.removesuffix(".partial"),
            initial=have,
            total=have + int(length) if length else None,
            unit="B",
            unit_scale=True,
        ) as bar,
    ):
        for chunk in response.iter_content(CHUNK):
            file.write(chunk)
            bar.update(len(chunk))


def fetch(url: str, partial: Path) -> None:
    """Download `url` into `partial`, going on after the bytes that an earlier run left there.

    Takes up a cut connection again for as long as each attempt brings something new.
    Raises DownloadError with the reason when one does not. The caller checks the contents and moves or discards them.
    """
    while True:
        before = _size(partial)
        try:
            return _fetch_rest(url, partial)
        except requests.RequestException as error:
            if _size(partial) <= before:
                kept = f" ({_size(partial):,} bytes are kept)" if _range_headers(partial) else ""
                raise DownloadError(_reason(error, url) + kept) from None
