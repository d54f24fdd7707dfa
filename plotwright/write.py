"""plotwright write: plots on the terminal, with the engine, the controls and the copy check of the app."""

import argparse
import json
import secrets
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from queue import SimpleQueue
from threading import Event as Flag
from threading import Thread
from threading import enumerate as enumerate_threads
from typing import Any

from transformers.utils.logging import disable_progress_bar

from plotwright.errors import PlotwrightError
from plotwright.files import sha256_of
from plotwright.folders import MODEL, require_model
from plotwright.genres import GENRES, UNKNOWN
from plotwright.identity import Source, data_of, read_manifest
from plotwright.originality import CopyIndex, Originality
from plotwright.plots import read_plots
from plotwright.queueing import WRITING
from plotwright.sampling import Sampling, check_sampling
from plotwright.sentences import counted, finish_at_sentence_end
from plotwright.settings import load_params
from plotwright.terminal import Terminal, is_terminal
from plotwright.writing import Ended, Reason, Request, Stream, Writer

TRAIN = Path("data/splits/train.parquet")
RUN_WORDS = 8
YEARS = range(1880, 2101)
NAMED_GENRES = tuple(genre for genre in GENRES if genre != UNKNOWN)
ENDINGS: dict[Reason, str] = {
    "end": "ended by itself",
    "length": "ended at the last whole sentence, at the length asked for",
    "context": "ended at the last whole sentence, with the model's context full",
    "stopped": "stopped",
}
CONTROLS = {
    "temperature": (float, "divides the logits; 1 leaves the model's own distribution"),
    "top_k": (int, "keep the k likeliest tokens; 0 keeps all"),
    "top_p": (float, "keep the likeliest tokens that together reach p; 1 keeps all"),
    "min_p": (float, "keep the tokens at least min_p times as likely as the likeliest; 0 keeps all"),
    "repetition_penalty": (float, "above 1 makes tokens that already stand in the text less likely"),
    "max_new_tokens": (int, "tokens a plot at most"),
}


@dataclass
class Draft:
    """One plot as it comes: the opening, and what the model has written after it so far."""

    request: Request
    number: int
    text: str = ""
    end: Ended | None = None

    @property
    def plot(self) -> str:
        """Opening and text; a text cut off by its length ends at its last whole sentence."""
        cut = self.end is not None and self.end.reason in ("length", "context")
        return (self.request.opening.strip() + (finish_at_sentence_end(self.text) if cut else self.text)).strip()


def drafts_of(request: Request, stream: Stream) -> Iterator[tuple[Draft, bool]]:
    """The drafts one after another, each as often as it has grown; the second value says that it is whole.

    All are written at the same time: while one is shown, the later ones gather.
    """
    drafts = [Draft(request, number) for number in range(request.drafts)]
    shown = 0
    for event in stream:
        draft = drafts[event.draft]
        if isinstance(event, Ended):
            draft.end = event
        else:
            draft.text += event.text
        while shown < len(drafts):
            yield drafts[shown], drafts[shown].end is not None
            if drafts[shown].end is None:
                break
            shown += 1


class Copies:
    """What plots have in common with the training plots in data/splits, where those are there."""

    def __init__(self, manifest: dict[str, Any]):
        """`manifest` is the model's: it says which training plots it has read."""
        self.known = TRAIN.exists()
        self._trained_on = manifest.get("sources", {}).get("data", {}).get(TRAIN.as_posix())

    @cached_property
    def index(self) -> CopyIndex:
        """The training plots' words; made when the first plot is whole."""
        return CopyIndex(read_plots(TRAIN))

    @cached_property
    def note(self) -> str:
        """What the reader must know about the check: that there is none, or that it reads other plots."""
        if not self.known:
            return f"Originality is not known, because there is no {TRAIN}; dvc pull or dvc repro brings it."
        if self._trained_on not in (None, sha256_of(TRAIN)):
            return f"Originality is measured against {TRAIN} as it is now, which this model was not trained on."
        return ""

    def check(self, plot: str) -> Originality | None:
        """The figures of one plot, None where the training plots are not there."""
        return self.index.check(plot) if self.known else None


def originality_in_words(found: Originality) -> str:
    """One sentence: the longest run shared with a training plot and whose it is, and the share of new runs."""
    longest, share = found.longest, found.novel_share(RUN_WORDS)
    new = "" if share is None else f"; {share:.1%} of its {RUN_WORDS}-word runs are in none"
    if longest is None:
        return f"no word shared with a training plot{new}."
    words, passage = counted(longest.words, "word"), " ".join(longest.passage.split())
    return f'at most {words} running shared with a training plot ("{passage}", in {longest.title}){new}.'


def flags(request: Request) -> str:
    """The options that write the same text again after the same words, whatever params.yaml says then."""
    values = {"seed": request.seed, **request.sampling.model_dump()}
    return " ".join(f"--{name.replace('_', '-')} {repr(value).removesuffix('.0')}" for name, value in values.items())


def as_json(draft: Draft, found: Originality | None, source: Source) -> str:
    """One line of JSON: the plot, and all that it takes to write it again."""
    request, end = draft.request, draft.end
    copied = found and {
        "words": found.words,
        "longest_shared_run": found.longest_words,
        "passage": found.longest and found.longest.passage,
        "source": found.longest and {"id": found.longest.id, "title": found.longest.title},
        f"novel_{RUN_WORDS}_word_runs": found.novel_share(RUN_WORDS),
    }
    return json.dumps(
        {
            "plot": draft.plot,
            "opening": request.opening.strip(),
            "genre": request.genre,
            "title": request.title,
            "year": request.year,
            "seed": request.seed,
            "settings": {**request.sampling.model_dump(), "drafts": request.drafts, "draft": draft.number},
            "ended": end and end.reason,
            "tokens": end and end.tokens,
            "originality": copied,
            "model": source.model,
            "data": source.data,
        },
        ensure_ascii=False,
    )


def show_json(drafts: Iterable[tuple[Draft, bool]], copies: Copies, source: Source) -> None:
    """One line a plot, as soon as it is whole."""
    for draft, whole in drafts:
        if whole and draft.plot:
            print(as_json(draft, copies.check(draft.plot), source), flush=True)


def show_text(drafts: Iterable[tuple[Draft, bool]], copies: Copies) -> None:
    """Each plot with its originality and settings below; on a terminal word by word, else when it is whole."""
    terminal = Terminal() if is_terminal(sys.stdout) else None
    for draft, whole in drafts:
        if terminal is not None:
            terminal.show(_heading(draft) + draft.plot)
        elif whole:
            print(_heading(draft) + draft.plot)
        if whole:
            if terminal is not None:
                terminal.leave()
            print(_footer(draft, copies), flush=True)


def _heading(draft: Draft) -> str:
    return f"Draft {draft.number + 1} of {draft.request.drafts}\n" if draft.request.drafts > 1 else ""


def _footer(draft: Draft, copies: Copies) -> str:
    assert draft.end is not None
    found = copies.check(draft.plot)
    lines = [f"Originality: {originality_in_words(found)}"] if found else []
    lines.append(f"{counted(draft.end.tokens, 'token')}, {ENDINGS[draft.end.reason]}. {flags(draft.request)}")
    return "\n".join(["", *(f"  {line}" for line in lines), ""])


class Work:
    """The requests' streams in the order asked for; interrupting it stops all of them within two tokens.

    Openings are taken from standard input as they come, so that many are written at once and none waits for a later
    line.
    """

    def __init__(self, writer: Writer, requests: Iterable[Request]):
        self._writer, self._requests, self._stop = writer, requests, Flag()
        self._all: list[Stream] = []
        self._begun: SimpleQueue[tuple[Request, Stream] | BaseException | None] = SimpleQueue()

    def __enter__(self) -> Iterator[tuple[Request, Stream]]:
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        Thread(target=self._begin, name="plotwright-openings", daemon=True).start()
        return self._streams()

    def __exit__(self, *_: object) -> None:
        self._end_all()
        signal.signal(signal.SIGINT, self._before)
        for thread in enumerate_threads():
            if thread.name == WRITING:  # PyTorch aborts a process that ends while it computes
                thread.join()

    @property
    def interrupted(self) -> bool:
        """Whether the user asked to stop."""
        return self._stop.is_set()

    def _interrupt(self, *_: object) -> None:
        """The first Ctrl-C keeps what is written; the second does what it always does."""
        self._end_all()
        self._begun.put(None)
        signal.signal(signal.SIGINT, self._before)

    def _end_all(self) -> None:
        self._stop.set()
        for stream in list(self._all):
            stream.stop()

    def _begin(self) -> None:
        try:
            for request in self._requests:
                stream = self._writer.write(request)
                self._all.append(stream)
                if self._stop.is_set():  # maybe after _end_all went through the list
                    stream.stop()
                    break
                self._begun.put((request, stream))
            self._begun.put(None)
        except BaseException as error:
            self._begun.put(error)

    def _streams(self) -> Iterator[tuple[Request, Stream]]:
        while (item := self._begun.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item


def openings(given: str | None) -> Iterator[str]:
    """The opening given as an argument, else those on standard input, one a line; on a terminal a plot without one.

    Raises PlotwrightError where standard input holds nothing, or no text.
    """
    if given is not None or sys.stdin.isatty():
        yield given or ""
        return
    lines = 0
    try:
        for line in sys.stdin:
            if line.strip():
                lines += 1
                yield line.strip()
    except UnicodeDecodeError:
        raise PlotwrightError("standard input is not text in UTF-8; convert it first.") from None
    if not lines:
        raise PlotwrightError(
            'standard input holds no opening; give one a line there, or one as an argument ("" for a plot without).'
        )


def check_genre(given: str | None) -> str | None:
    """The genre as the model knows it. Raises PlotwrightError, naming all, when there is no such genre."""
    genre = given and given.strip().casefold()
    if genre and genre not in NAMED_GENRES:
        raise PlotwrightError(f"there is no genre {given!r}; choose one of {', '.join(NAMED_GENRES)}.")
    return genre or None


def read_request(arguments: argparse.Namespace) -> Request:
    """What the command line asks for, but for the opening. Raises PlotwrightError when it cannot be met."""
    given = {name: getattr(arguments, name) for name in CONTROLS}
    sampling: Sampling = load_params().generate
    if arguments.year is not None and arguments.year not in YEARS:
        raise PlotwrightError(f"the year is {arguments.year}; it goes from {YEARS.start} to {YEARS.stop - 1}.")
    return Request(
        sampling=check_sampling(**sampling.model_dump() | {name: v for name, v in given.items() if v is not None}),
        seed=secrets.randbelow(2**31) if arguments.seed is None else arguments.seed,
        genre=check_genre(arguments.genre),
        title=" ".join((arguments.title or "").split()) or None,
        year=arguments.year,
        drafts=arguments.drafts,
    )


def open_writer(folder: Path) -> Writer:
    """Raises PlotwrightError when there is no model, or none that can be opened."""
    require_model(folder)
    disable_progress_bar()
    return Writer(folder)


def with_openings(request: Request, texts: Iterable[str]) -> Iterator[Request]:
    """The request once for each opening, with the same seed: a plot does not depend on the others of a batch."""
    for text in texts:
        yield Request(**{**vars(request), "opening": text})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.description = "Write plots. The same words, options and seed give the same text on the same machine."
    parser.add_argument(
        "opening",
        nargs="?",
        help='how the plot begins, "" for none; without it, standard input is read, one opening a line',
    )
    parser.add_argument("--genre", help=f"one of {', '.join(NAMED_GENRES)}")
    parser.add_argument("--title", help="of the film")
    parser.add_argument("--year", type=int, help="of the film")
    parser.add_argument("--drafts", type=int, default=1, help="how many different plots of each opening; default 1")
    parser.add_argument("--seed", type=int, help="of every random choice; without it a new one, which is printed")
    for name, (kind, what) in CONTROLS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, help=f"{what}; default in params.yaml")
    parser.add_argument("--json", action="store_true", help="one JSON object a plot and line")
    parser.add_argument("--model", type=Path, default=MODEL, metavar="FOLDER", help=f"default {MODEL}")


def run(arguments: argparse.Namespace) -> None:
    """Write what is asked for. Raises KeyboardInterrupt after Ctrl-C, when what is written has been shown."""
    request = read_request(arguments)
    writer = open_writer(arguments.model)
    manifest = read_manifest(arguments.model)
    copies, source = Copies(manifest), Source(writer.fingerprint, data_of(manifest))
    _tell(copies.note)
    show: Callable[[Iterable[tuple[Draft, bool]]], None] = (
        (lambda drafts: show_json(drafts, copies, source))
        if arguments.json
        else lambda drafts: show_text(drafts, copies)
    )
    work = Work(writer, with_openings(request, openings(arguments.opening)))
    with work as streams:
        for asked, stream in streams:
            if stream.opening_read != asked.opening.strip():
                _tell("The opening is longer than the model can read; it goes on from the opening's end.")
            show(_begun(drafts_of(asked, stream)))
        interrupted = work.interrupted
    if interrupted:
        raise KeyboardInterrupt


def _begun(drafts: Iterable[tuple[Draft, bool]]) -> Iterator[tuple[Draft, bool]]:
    """Those that have a word of their own: what was stopped before its first is not shown."""
    return ((draft, whole) for draft, whole in drafts if draft.text or (draft.end and draft.end.reason != "stopped"))


def _tell(note: str) -> None:
    if note:
        print(note, file=sys.stderr)
