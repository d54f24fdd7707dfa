"""Which models the app serves: each open once, shared by all visitors, the newest that could be opened."""

import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from plotwright.errors import PlotwrightError
from plotwright.folders import ALIGNED, MODEL, how_to_make
from plotwright.identity import data_of, manifest_if_readable
from plotwright.manifest import MODEL_FILES
from plotwright.writing import Writer

# What a visitor may choose among; the second is there once the model has learnt from readers' feedback.
MODELS = {"As trained": MODEL, "Aligned with readers": ALIGNED}

Stamp = tuple[tuple[str, int, int], ...]


@dataclass(frozen=True)
class Served:
    """An open model. manifest: what it was made from, empty where its folder does not say; `notice`: see Shelf."""

    writer: Writer
    manifest: dict[str, Any]
    notice: str = ""

    @property
    def data(self) -> str:
        """Fingerprint of the data it was trained on, empty where its folder does not say."""
        return data_of(self.manifest)


def stamp_of(folder: Path) -> Stamp:
    """What changes whenever a file of the model changes: names, sizes and times. Empty without a model.

    Hashing the weights would say the same, but takes a second each time that a page is drawn.
    """
    files = sorted({file for pattern in MODEL_FILES for file in folder.glob(pattern)})
    try:
        return tuple((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    except FileNotFoundError:  # deleted since it was listed
        return ()


class Shelf:
    """Holds the one open model of a folder, and keeps serving it while the folder is being made anew.

    folder: as the visitors shall read it in messages, relative to the repository.

    serve() opens the folder when its files have changed. Where that fails and a model is open already, that one
    stays, and `notice` of what is served says so.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock = threading.Lock()
        self._tried: Stamp = ()
        self._served: Served | None = None
        self._problem = ""

    @property
    def loaded(self) -> bool:
        """Whether a model is open, be its folder there or not."""
        return self._served is not None

    def serve(self) -> Served:
        """The model to write with now. Raises PlotwrightError, with what to do about it, when there is none."""
        with self._lock:
            stamp = stamp_of(self.folder)
            if not stamp:
                self._tried = ()
                problem = f"there is no model in {self.folder}; {how_to_make(self.folder)}."
                return self._keep(problem, "is being made anew")
            if stamp != self._tried:
                self._open(stamp)
            if self._problem:
                return self._keep(self._problem, "cannot be opened at the moment")
            assert self._served is not None
            return self._served

    def _keep(self, problem: str, what: str) -> Served:
        if self._served is None:
            raise PlotwrightError(problem)
        notice = f"{self.folder} {what}. The model that was loaded before keeps writing until the new one is there."
        return Served(self._served.writer, self._served.manifest, notice)

    def _open(self, stamp: Stamp) -> None:
        self._tried, self._problem = stamp, ""
        try:
            self._served = Served(Writer(self.folder), manifest_if_readable(self.folder))
        except PlotwrightError as error:
            self._problem = str(error)
        except Exception:
            # Whatever else Transformers may raise on a folder that is no model: the visitor needs a sentence.
            logging.getLogger(__name__).exception("The model in %s cannot be opened", self.folder)
            self._problem = (
                f"the files in {self.folder} are not a language model that can be opened (the server's log says "
                f"why); {how_to_make(self.folder)}."
            )


@st.cache_resource(show_spinner=False)
def _shelf(repository: str, folder: str) -> Shelf:
    return Shelf(Path(folder))


def _shelf_of(folder: Path) -> Shelf:
    return _shelf(str(Path.cwd()), str(folder))


def offered() -> dict[str, Path]:
    """The models to choose among now, by their names: always the trained one, first, and others that are there.

    Or were: one that is loaded stays while its folder is being made anew.
    """
    return {
        name: folder
        for name, folder in MODELS.items()
        if folder == MODEL or folder.is_dir() or _shelf_of(folder).loaded
    }


def serve(folder: Path = MODEL) -> Served:
    """The model to write with now, the same for all visitors. Raises PlotwrightError when there is none."""
    return _shelf_of(folder).serve()
