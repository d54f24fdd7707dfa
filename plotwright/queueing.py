"""Several requests at once on one model: one loop gives each of them one token in turn."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Literal

import torch
from transformers import PreTrainedTokenizerBase

from plotwright.decoder import Decoder
from plotwright.linear import ROWS
from plotwright.sampling import Sampling, draft_generator, draw
from plotwright.textstream import TextStream

WRITING = "plotwright-writing"  # the name of the thread that computes

_SETTING = threading.Lock()  # so that none takes another's 1 for the number before

# end: the model ended the plot. length: max_new_tokens are written. context: the model's context is full.
# stopped: the request was stopped.
Reason = Literal["end", "length", "context", "stopped"]


@dataclass(frozen=True)
class Piece:
    """Text that a draft goes on with; a draft's pieces joined are its text."""

    draft: int
    text: str


@dataclass(frozen=True)
class Ended:
    """A draft is finished after `tokens` new tokens, and why."""

    draft: int
    reason: Reason
    tokens: int


Event = Piece | Ended


class Job:
    """A request on its way: what is to be written, and the queue its events go out by.

    The queue also carries an exception, if the loop met one, and at last None.
    """

    def __init__(self, prompt: torch.Tensor, sampling: Sampling, seed: int, drafts: int, stop: threading.Event):
        self.prompt, self.sampling, self.seed, self.drafts, self.stop = prompt, sampling, seed, drafts, stop
        self.out: SimpleQueue[Event | BaseException | None] = SimpleQueue()


class _Draft:
    """One draft: all that its text depends on is its own."""

    def __init__(self, job: Job, number: int, tokenizer: PreTrainedTokenizerBase, context: int):
        self.job, self.number = job, number
        self.room = context - len(job.prompt)
        self.generator = draft_generator(job.seed, number)
        self.text = TextStream(tokenizer)
        self.end = tokenizer.eos_token_id
        self.tokens = torch.cat([job.prompt, torch.empty(min(job.sampling.max_new_tokens, self.room)).long()])
        self.written = 0
        self.ended = False
        self.memory: Any = None
        self.logits = torch.empty(0)

    @property
    def last(self) -> int:
        """The token written last."""
        return int(self.tokens[len(self.job.prompt) + self.written - 1])

    def advance(self) -> None:
        """Write one token, or end."""
        if self.job.stop.is_set():
            return self.finish("stopped")
        at = len(self.job.prompt) + self.written
        token = draw(self.logits, self.tokens[:at], self.job.sampling, self.generator)
        if token == self.end:
            return self.finish("end")
        self.tokens[at] = token
        self.written += 1
        self._put(self.text.add(token))
        if self.written == self.job.sampling.max_new_tokens:
            self.finish("length")
        elif self.written == self.room:
            self.finish("context")

    def finish(self, reason: Reason) -> None:
        self._put(self.text.finish())
        self.job.out.put(Ended(self.number, reason, self.written))
        self.ended = True

    def _put(self, text: str) -> None:
        if text:
            self.job.out.put(Piece(self.number, text))


def _compute_on_one_thread() -> None:
    """Have the calling thread compute alone, and those that are started later on as many threads as before.

    A round is hundreds of small products, and a second thread that waits for each of them keeps its core from whoever
    shows the text: benchmarks/NOTES.md, "Threads". No result depends on it. What is set in a thread holds for itself,
    and also for every thread begun afterwards, unless another thread sets that back.
    """
    with _SETTING:
        before = torch.get_num_threads()  # from here on this thread has a number of its own
        torch.set_num_threads(1)
        another = threading.Thread(target=torch.set_num_threads, args=(before,))
        another.start()
        another.join()


class Loop:
    """Writes all jobs together: in order of arrival as many as ROWS drafts allow, the rest wait.

    Every admitted draft gets a token in every round, so none waits for another's end. The loop's thread
    lives only while there is something to write, so that a model that nobody holds any more is freed.
    """

    def __init__(self, decoder: Decoder, tokenizer: PreTrainedTokenizerBase):
        self.decoder, self.tokenizer = decoder, tokenizer
        self.lock = threading.Lock()
        self.waiting: list[Job] = []
        self.drafts: list[_Draft] = []
        self.running = False

    def submit(self, job: Job) -> None:
        """Queue a job of at most ROWS drafts; its events come by its queue."""
        with self.lock:
            self.waiting.append(job)
            if not self.running:
                self.running = True
                threading.Thread(target=self._run, name=WRITING, daemon=True).start()

    @torch.inference_mode()
    def _run(self) -> None:
        _compute_on_one_thread()
        try:
            while self._admit():
                self._round()
        except BaseException as error:
            self._fail(error)

    def _admit(self) -> bool:
        """Take in the jobs that now have room; whether there is anything to write. If not, the loop is over."""
        with self.lock:
            self._drop_stopped()
            opened = []
            while self.waiting and self.waiting[0].drafts <= ROWS - len(self.drafts):
                opened.append(self._open(self.waiting.pop(0)))
                self.drafts += opened[-1]
            going = self.running = bool(self.drafts)
        for drafts in opened:
            self._read(drafts)
        return going

    def _drop_stopped(self) -> None:
        """End the jobs that were stopped while they waited."""
        for job in [job for job in self.waiting if job.stop.is_set()]:
            self.waiting.remove(job)
            for number in range(job.drafts):
                job.out.put(Ended(number, "stopped", 0))
            job.out.put(None)

    def _open(self, job: Job) -> list[_Draft]:
        return [_Draft(job, number, self.tokenizer, self.decoder.context) for number in range(job.drafts)]

    def _read(self, drafts: list[_Draft]) -> None:
        """Read the prompt that these drafts share, once."""
        first, *others = drafts
        first.memory, first.logits = self.decoder.read(first.job.prompt, len(first.tokens))
        for draft in others:
            draft.memory, draft.logits = self.decoder.copy(first.memory), first.logits

    def _round(self) -> None:
        """One token for every draft."""
        for draft in self.drafts:
            draft.advance()
        self._release(draft.job for draft in self.drafts if draft.ended)
        if self.drafts:
            rows = self.decoder.step([draft.memory for draft in self.drafts], [draft.last for draft in self.drafts])
            for draft, logits in zip(self.drafts, rows, strict=True):
                draft.logits = logits

    def _release(self, ended: Iterable[Job]) -> None:
        """Give back the places of ended drafts and tell the jobs that have no draft left."""
        jobs = dict.fromkeys(ended)
        self.drafts = [draft for draft in self.drafts if not draft.ended]
        left = {draft.job for draft in self.drafts}
        for job in jobs:
            if job not in left:
                job.out.put(None)

    def _fail(self, error: BaseException) -> None:
        """Hand an error to every job, so that nobody waits for ever."""
        with self.lock:
            jobs = dict.fromkeys([*(draft.job for draft in self.drafts), *self.waiting])
            self.drafts, self.waiting, self.running = [], [], False
        for job in jobs:
            job.out.put(error)
            job.out.put(None)
