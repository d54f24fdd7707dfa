"""Base models of the Hugging Face Hub at pinned revisions, downloaded or placed by hand.

Configuration, tokenizer and safetensors only: never pickled weights, never code.
"""

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from huggingface_hub import constants, hf_hub_url, is_offline_mode
from pydantic import ConfigDict, Field

from plotwright.downloads import DownloadError, discard, downloading, downloads_folder, fetch, get_json
from plotwright.errors import PlotwrightError
from plotwright.files import sha256_of, whole_folder, write_json
from plotwright.settings import Section

WEIGHTS = "model.safetensors"
SMALL_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
)
TOKENIZERS = ({"tokenizer.json"}, {"vocab.json", "merges.txt"})  # either is enough


class HubSource(Section):
    """A model repository at one commit; `sha256` is that of its model.safetensors, where known."""

    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None


class HubParams(Section):
    """The section `hub` of models/base/params.yaml, a source by name; the file's other sections are not read."""

    model_config = ConfigDict(extra="ignore")
    hub: dict[str, HubSource]


@dataclass(frozen=True)
class Blob:
    """What the Hub says of a file: its size in bytes and its digest.

    That is the SHA-256 (64 digits) of a large file, and Git's SHA-1 of the blob (40 digits) of a small one.
    """

    size: int
    digest: str

    def is_in(self, path: Path) -> bool:
        """Whether the file at `path` is this one."""
        if path.stat().st_size != self.size:
            return False
        return self.digest == (sha256_of(path) if len(self.digest) == 64 else git_blob_id(path))


def git_blob_id(path: Path) -> str:
    """Git's name for the contents of a file, as `git hash-object` prints it."""
    contents = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(contents) + contents, usedforsecurity=False).hexdigest()


def _list_files(source: HubSource) -> dict[str, Blob]:
    """The files of the repository at the pinned commit, as the Hub lists them."""
    if is_offline_mode():
        raise DownloadError("HF_HUB_OFFLINE is set, so the Hub may not be asked")
    url = f"{constants.ENDPOINT}/api/models/{source.repo}/revision/{source.revision}?blobs=true"
    return {
        file["rfilename"]: Blob(file["size"], file["lfs"]["sha256"] if file.get("lfs") else file["blobId"])
        for file in get_json(url)["siblings"]
    }


def _check_listing(blobs: Mapping[str, Blob], source: HubSource) -> None:
    """Raise DownloadError before any download if the Hub does not have the weights that are wanted."""
    if WEIGHTS not in blobs:
        raise DownloadError(f"this revision has no {WEIGHTS}, and no other format is safe to load")
    if source.sha256 not in (None, blobs[WEIGHTS].digest):
        raise DownloadError(f"the Hub lists {WEIGHTS} with the sha256 {blobs[WEIGHTS].digest}, not {source.sha256}")


def _fetch_blob(url: str, blob: Blob, path: Path) -> None:
    """Download one file to `path`, checked."""
    partial = path.with_name(f"{path.name}.partial")
    fetch(url, partial)
    if not blob.is_in(partial):
        discard(partial)
        raise DownloadError(f"{path.name} came with a wrong size or checksum and was thrown away")
    partial.rename(path)
    discard(partial)


def _fetch_model(source: HubSource, folder: Path) -> None:
    """Download the model's files into `folder`, the weights last: where they are, everything is."""
    blobs = _list_files(source)
    _check_listing(blobs, source)
    folder.mkdir(exist_ok=True)
    for name in (*SMALL_FILES, WEIGHTS):
        if name in blobs and not (folder / name).exists():
            url = hf_hub_url(source.repo, name, revision=source.revision)
            _fetch_blob(url, blobs[name], folder / name)


def _check(folder: Path, source: HubSource) -> str:
    """The sha256 of the weights in `folder`. Raises PlotwrightError unless they are the pinned ones and not alone."""
    names = {path.name for path in folder.iterdir()}
    if "config.json" not in names or not any(tokenizer <= names for tokenizer in TOKENIZERS):
        raise PlotwrightError(f"{folder} needs config.json and tokenizer.json beside {WEIGHTS}; add what is missing.")
    sha256 = sha256_of(folder / WEIGHTS)
    if source.sha256 not in (None, sha256):
        raise PlotwrightError(
            f"{folder / WEIGHTS} is not the expected file: it has the sha256 {sha256} instead of {source.sha256}; "
            "remove or replace it."
        )
    return sha256


def download_model(name: str, source: HubSource, out: Path) -> None:
    """Put the model as a folder at `out`: from the downloads folder if it is there, else from the Hub.

    Raises PlotwrightError if it cannot be had or is not the expected one. Prints what of a model that was there already
    is not checked.
    """
    folder = downloads_folder() / f"{name}-{source.revision[:8]}"
    by_hand = (
        f"download {WEIGHTS}, config.json and tokenizer.json (or vocab.json and merges.txt) in a browser from "
        f"https://huggingface.co/{source.repo}/tree/{source.revision}, put them into {folder}"
    )
    with downloading(f"{source.repo} at revision {source.revision}", by_hand):
        found = (folder / WEIGHTS).exists()
        if not found:
            _fetch_model(source, folder)
    sha256 = _check(folder, source)
    if found:
        weights = "has the pinned sha256" if source.sha256 else f"has the sha256 {sha256}, and none is pinned"
        print(f"taken from {folder}: {WEIGHTS} {weights}; configuration and tokenizer are not checked")
    with whole_folder(out) as partial:
        for file in (*SMALL_FILES, WEIGHTS):
            if (folder / file).exists():
                shutil.copyfile(folder / file, partial / file)
        write_json(partial / "source.json", {"repo": source.repo, "revision": source.revision, "sha256": sha256})
