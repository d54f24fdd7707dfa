"""What one visitor has had written since the page was opened."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import streamlit as st
from look import sentence
from serving import Served
from streamlit import runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from plotwright.documents import prompt
from plotwright.errors import PlotwrightError
from plotwright.feedback import Comparison, Opinion, Verdict
from plotwright.sentences import finish_at_sentence_end
from plotwright.served import ReadToken
from plotwright.writing import Ended, Event, Reason, Request

REASONS: dict[Reason, str] = {
    "end": "ended by itself",
    "length": "length reached, ended at the last whole sentence",
    "context": "as much as the model can hold, ended at the last whole sentence",
    "stopped": "stopped by you",
}

# Seconds that a visitor may be gone, as when a phone changes its network, before the writing for nobody ends.
PATIENCE = 20.0
# Characters of a link at most. Servers take request lines of 8 to 16 thousand bytes, and the browser sends the
# address once more as the referrer.
LONGEST_LINK = 4000


def _presence() -> Callable[[], bool]:
    """A question for any thread: has the visitor for whom this script runs the page open?

    Always, where no server runs the script.
    """
    context = get_script_run_ctx(suppress_warning=True)
    if context is None or not runtime.exists():
        return lambda: True
    return lambda: runtime.get_instance().is_active_session(context.session_id)


@dataclass
class Draft:
    """One of an attempt's texts: what the model wrote after the opening.

    reason: None while it is being written. reading: the surprisals of the whole text, once asked for, and read_by the
    fingerprint of the model that read it. rated: whether a verdict on it is stored.
    """

    number: int
    text: str = ""
    reason: Reason | None = None
    tokens: int = 0
    reading: list[ReadToken] = field(default_factory=list)
    read_by: str = ""
    rated: bool = False

    def take(self, event: Event) -> None:
        """Go on with a piece, or end."""
        if not isinstance(event, Ended):
            self.text += event.text
            return
        if event.reason in ("length", "context"):
            self.text = finish_at_sentence_end(self.text)
        self.reason, self.tokens = event.reason, event.tokens


class Attempt:
    """One request and what came of it.

    A thread of its own collects the text, so that a widget touched, or another page opened, takes nothing away. Where
    the visitor closes or reloads the page it stops the writing after a while, and `left` says so.
    """

    def __init__(self, served: Served, request: Request):
        """Begins to write. Raises PlotwrightError when the request cannot be met."""
        self.id = uuid4().hex
        self.request, self.model = request, served.writer.fingerprint
        self.manifest, self.data = served.manifest, served.data
        self.began = datetime.now().astimezone()
        self.drafts = [Draft(number) for number in range(request.drafts)]
        self.best: int | None = None
        self.failed, self.left = False, False
        self._present = _presence()
        self._stream = served.writer.write(request)
        self.opening_read = self._stream.opening_read
        self._news = threading.Condition()
        self._writing = True
        threading.Thread(target=self._listen, name=f"attempt-{self.id}", daemon=True).start()

    def _listen(self) -> None:
        seen = time.monotonic()
        try:
            for event in self._stream:
                if self._present():
                    seen = time.monotonic()
                elif time.monotonic() - seen > PATIENCE and not self.left:
                    self.left = True
                    self.stop()
                with self._news:
                    self.drafts[event.draft].take(event)
                    self._news.notify_all()
        except Exception:
            self.failed = True
            raise
        finally:
            with self._news:
                self._writing = False
                self._news.notify_all()

    @property
    def writing(self) -> bool:
        """Whether text still comes."""
        return self._writing

    def news(self, seconds: float) -> Iterator[None]:
        """Yield now and whenever there is more text, and at least every `seconds`, until all is written."""
        while self._writing:
            yield
            with self._news:
                if self._writing:
                    self._news.wait(seconds)

    def stop(self) -> None:
        """End within two tokens; what is written stays."""
        self._stream.stop()

    @property
    def opening_cut(self) -> bool:
        """Whether the opening was longer than the model can read."""
        return self.opening_read != self.request.opening.strip()

    def whole(self, draft: Draft) -> str:
        """Opening and what was written after it."""
        return (self.request.opening.strip() + draft.text).strip()

    @property
    def settings(self) -> dict[str, Any]:
        """The controls that the texts depend on, beside prompt, seed and model."""
        return {**self.request.sampling.model_dump(), "drafts": self.request.drafts}

    @property
    def link(self) -> dict[str, str]:
        """The query parameters of an address that makes the page write the same again."""
        request = self.request
        fields = {"opening": request.opening, "genre": request.genre, "title": request.title, "year": request.year}
        asked = {name: value for name, value in fields.items() if value}
        return {
            name: str(value)
            for name, value in {**asked, "seed": request.seed, **self.settings, "model": self.model[:16]}.items()
        }

    @property
    def query(self) -> str | None:
        """The link as an address has it after the question mark; None where it would be too long for servers."""
        encoded = urlencode(self.link)
        return encoded if len(encoded) < LONGEST_LINK else None

    def verdict(self, draft: Draft, opinion: Opinion, reason: str) -> Verdict:
        """What the feedback store keeps of a thumb."""
        return Verdict(
            draft=f"{self.id}-{draft.number}",
            prompt=self.prompt,
            text=draft.text,
            seed=self.request.seed,
            settings={**self.settings, "draft": draft.number},
            model=self.model,
            data=self.data,
            verdict=opinion,
            reason=reason,
        )

    def comparison(self, best: int) -> Comparison:
        """What the feedback store keeps of a choice among the drafts."""
        return Comparison(
            attempt=self.id,
            prompt=self.prompt,
            texts=[draft.text for draft in self.drafts],
            best=best,
            seed=self.request.seed,
            settings=self.settings,
            model=self.model,
            data=self.data,
        )

    @property
    def prompt(self) -> str:
        """What the model was asked with."""
        request = self.request
        return prompt(self.opening_read, request.genre, request.title, request.year)

    def as_json(self, draft: Draft) -> str:
        """The draft with all that it takes to write it again."""
        request = self.request
        return json.dumps(
            {
                "plot": self.whole(draft),
                "opening": request.opening.strip(),
                "genre": request.genre,
                "title": request.title,
                "year": request.year,
                "seed": request.seed,
                "settings": {**self.settings, "draft": draft.number},
                "ended": draft.reason,
                "tokens": draft.tokens,
                "model": self.model,
                "data": self.data,
                "written": self.began.isoformat(timespec="seconds"),
            },
            ensure_ascii=False,
            indent=2,
        )


@dataclass
class Visit:
    """A visitor's attempts, the newest last. `shown` is the one on the desk; `editing` the draft edited by hand."""

    attempts: list[Attempt] = field(default_factory=list)
    shown: Attempt | None = None
    editing: int | None = None
    problem: str = ""
    link_read: bool = False

    def begin(self, served: Served, request: Request) -> Attempt:
        """Begin an attempt and put it on the desk; whatever is being written for this visitor ends first.

        Raises PlotwrightError when the request cannot be met; what was on the desk then stays there.
        """
        for attempt in self.attempts:
            attempt.stop()
        self.editing, self.problem = None, ""
        self.shown = Attempt(served, request)
        self.attempts.append(self.shown)
        return self.shown


def this_visit() -> Visit:
    """The visit of whoever looks at the page."""
    if "visit" not in st.session_state:
        st.session_state.visit = Visit()
    return st.session_state.visit


@contextmanager
def explained() -> Iterator[None]:
    """For what a click starts: where it cannot be done, the page says why, until another can."""
    this_visit().problem = ""
    try:
        yield
    except PlotwrightError as error:
        this_visit().problem = sentence(error)
