"""Writing plots with a model folder: the one interface of app, evaluation and command line."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event as Flag

import torch
from transformers import PreTrainedTokenizerBase

from plotwright.decoder import make_decoder
from plotwright.documents import prompt
from plotwright.errors import PlotwrightError
from plotwright.linear import ROWS
from plotwright.manifest import fingerprint, hash_model
from plotwright.models import load_model, load_tokenizer
from plotwright.queueing import Ended, Event, Job, Loop, Piece, Reason
from plotwright.sampling import Sampling
from plotwright.textstream import decode

__all__ = ["Ended", "Event", "Piece", "Reason", "Request", "Stream", "Writer", "Written", "collect"]


@dataclass(frozen=True)
class Request:
    """What is to be written: the plot's beginning and what else is known, how to sample, how many drafts.

    To continue a draft, ask again with its whole text as the opening.
    """

    sampling: Sampling
    seed: int
    opening: str = ""
    genre: str | None = None
    title: str | None = None
    year: int | None = None
    drafts: int = 1


@dataclass(frozen=True)
class Written:
    """A finished draft: what the model wrote after the opening, why it ended, and how many tokens it is."""

    text: str
    reason: Reason
    tokens: int


class Stream(Iterator[Event]):
    """The events of one request as they happen.

    Closing it, or letting go of it, stops the request and frees its place. `opening_read` is the part of
    the opening that the model reads: all of it, or its end where the context cannot hold more.
    """

    def __init__(self, job: Job, opening_read: str):
        self._job, self._over, self.opening_read = job, False, opening_read

    def __next__(self) -> Event:
        """The next event; raises what the loop raised, if it did."""
        if self._over:
            raise StopIteration
        item = self._job.out.get()
        if isinstance(item, Piece | Ended):
            return item
        self._over = True
        if item is None:
            raise StopIteration
        raise item

    def stop(self) -> None:
        """End all drafts within two tokens; what is written still comes, with the reason "stopped"."""
        self._job.stop.set()

    def close(self) -> None:
        """Stop, and give no more events."""
        self.stop()
        self._over = True

    def __del__(self) -> None:
        self.stop()


class Writer:
    """A model folder opened for writing; one instance serves any number of threads.

    A draft's text depends on the model, this machine's arithmetic, the prompt, the sampling, the seed and
    the draft's number: neither on the drafts beside it nor on other requests. `fingerprint` names the
    model's files, `description` says what computes, `context` is how many tokens the model can hold.
    """

    def __init__(self, folder: Path):
        """Raises PlotwrightError when the folder is missing or broken."""
        folder = Path(folder)
        self.tokenizer: PreTrainedTokenizerBase = load_tokenizer(folder)
        # Eager attention is what every architecture has; the decode loop of GPT-2 has its own.
        self.decoder = make_decoder(load_model(folder, attention="eager"))
        self.fingerprint = fingerprint(hash_model(folder))
        self.description, self.context = self.decoder.description, self.decoder.context
        self._loop = Loop(self.decoder, self.tokenizer)

    def write(self, request: Request, stop: Flag | None = None) -> Stream:
        """Begin to write; the events come as the text does.

        Setting `stop`, from any thread, ends the request like Stream.stop. Where prompt and new tokens
        do not fit into the context, the model reads genre, title, year and the end of the opening, so that
        room is left for all new tokens or for half a context, whichever is less; a draft that still fills
        the context ends with the reason "context". Raises PlotwrightError when the request cannot be met.
        """
        if not 1 <= request.drafts <= ROWS:
            raise PlotwrightError(f"drafts is {request.drafts}: ask for 1 to {ROWS} at a time.")
        if request.seed < 0:
            raise PlotwrightError(f"the seed is {request.seed}: choose a number from 0 up.")
        tokens, opening_read = self._prompt(request)
        job = Job(tokens, request.sampling, request.seed, request.drafts, stop or Flag())
        self._loop.submit(job)
        return Stream(job, opening_read)

    def _prompt(self, request: Request) -> tuple[torch.Tensor, str]:
        """The prompt's tokens, and the part of the opening that they spell."""
        head = self.encode(prompt("", request.genre, request.title, request.year))
        opening = request.opening.strip()
        body = self.encode(f" {opening}") if opening else []
        reserved = min(request.sampling.max_new_tokens, self.context // 2)
        room = self.context - reserved - len(head)
        if room < 1:
            raise PlotwrightError(
                f"genre, title and year take {len(head)} of the model's {self.context} tokens; shorten the title."
            )
        if len(body) > room:
            body = body[self._word_start(body, len(body) - room) :]
            opening = decode(self.tokenizer, body).strip()
        return torch.tensor(head + body), opening

    def _word_start(self, body: list[int], at: int) -> int:
        """The first token from `at` on that begins a word, or `at` where none does."""
        blanks = (place for place in range(at, len(body)) if decode(self.tokenizer, [body[place]])[:1].isspace())
        return next(blanks, at)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, without special tokens."""
        return list(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


def collect(events: Iterable[Event]) -> list[Written]:
    """Wait for all drafts of a request."""
    texts: dict[int, str] = {}
    ends: dict[int, Ended] = {}
    for event in events:
        if isinstance(event, Piece):
            texts[event.draft] = texts.get(event.draft, "") + event.text
        else:
            ends[event.draft] = event
    return [Written(texts.get(draft, ""), ends[draft].reason, ends[draft].tokens) for draft in sorted(ends)]
