"""Writing: a draft is decided by its own request alone, can be stopped, streams whole text, shares one model."""

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import CONTEXT, make_model
from transformers import GPTNeoConfig, GPTNeoForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from plotwright.decoder import Decoder, GPT2Decoder, TransformersDecoder, make_decoder
from plotwright.documents import Plots, prompt
from plotwright.errors import PlotwrightError
from plotwright.linear import ROWS, DenseLinear, Int8Linear, multiplies_int8_exactly
from plotwright.queueing import Ended, Job, Loop, Piece
from plotwright.sampling import Sampling, check_sampling
from plotwright.scoring import token_nats
from plotwright.served import served_nats, surprisals
from plotwright.writing import Request, Stream, Writer, Written, collect

needs_int8 = pytest.mark.skipif(
    not multiplies_int8_exactly(), reason="this processor or PyTorch has no exact int8 products"
)


def controls(**values: object) -> Sampling:
    usual = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repetition_penalty": 1.0}
    return check_sampling(**{**usual, "max_new_tokens": 12, **values})


def make_gpt_neo(vocabulary: int) -> PreTrainedModel:
    torch.manual_seed(0)
    config = GPTNeoConfig(
        vocab_size=vocabulary,
        hidden_size=16,
        num_layers=2,
        num_heads=2,
        attention_types=[[["global", "local"], 1]],
        window_size=8,
        max_position_embeddings=CONTEXT,
        bos_token_id=0,
        eos_token_id=0,
    )
    return GPTNeoForCausalLM(config).eval()


def save(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Path:
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def peaked(model: PreTrainedModel) -> PreTrainedModel:
    """The model with larger weights, so that its choices differ in probability as a trained one's do."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 2:
                parameter.mul_(6)
    return model


@pytest.fixture(scope="module")
def gpt2_folder(tmp_path_factory, tokenizer) -> Path:
    return save(tmp_path_factory.mktemp("gpt2"), peaked(make_model(len(tokenizer))), tokenizer)


@pytest.fixture(scope="module")
def gpt_neo_folder(tmp_path_factory, tokenizer) -> Path:
    return save(tmp_path_factory.mktemp("gpt_neo"), make_gpt_neo(len(tokenizer)), tokenizer)


@pytest.fixture(scope="module", params=["gpt2", "gpt_neo"])
def writer(request) -> Writer:
    return Writer(request.getfixturevalue(f"{request.param}_folder"))


@pytest.fixture(scope="module")
def gpt2_writer(gpt2_folder) -> Writer:
    return Writer(gpt2_folder)


class Scripted:
    """A decoder that writes the tokens of a script, at a pace; it counts its steps."""

    description, context = "a script", CONTEXT

    def __init__(self, script: list[int], vocabulary: int, pace: float = 0.0):
        self.script, self.vocabulary, self.pace, self.steps = script, vocabulary, pace, 0

    def _row(self, at: int) -> torch.Tensor:
        row = torch.full((self.vocabulary,), -1e9)
        row[self.script[at % len(self.script)]] = 0
        return row

    def read(self, tokens: torch.Tensor, capacity: int) -> tuple[list[int], torch.Tensor]:
        return [0], self._row(0)

    def copy(self, memory: list[int]) -> list[int]:
        return list(memory)

    def step(self, memories: list[list[int]], tokens: list[int]) -> torch.Tensor:
        time.sleep(self.pace)
        self.steps += 1
        for memory in memories:
            memory[0] += 1
        return torch.stack([self._row(memory[0]) for memory in memories])


def run(decoder: Decoder, tokenizer: PreTrainedTokenizerFast, text: str, sampling: Sampling, **job: object) -> Stream:
    """Write with a decoder of one's own."""
    wanted = {"seed": 0, "drafts": 1, "stop": threading.Event(), **job}
    job = Job(torch.tensor(tokenizer(text)["input_ids"]), sampling, **wanted)
    Loop(decoder, tokenizer).submit(job)
    return Stream(job, text)


class Counting(Scripted):
    """A decoder that notes on how many threads its steps compute."""

    def step(self, memories: list[list[int]], tokens: list[int]) -> torch.Tensor:
        torch.rand(2**16).exp()
        self.threads = torch.get_num_threads()
        return super().step(memories, tokens)


def test_the_loop_computes_on_one_thread_and_leaves_later_threads_as_they_were(tokenizer):
    def in_a_new_thread(call):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(call).result()

    before = in_a_new_thread(torch.get_num_threads)
    in_a_new_thread(lambda: torch.set_num_threads(3))
    try:
        decoder = Counting([5], len(tokenizer))
        collect(run(decoder, tokenizer, "A pilot", controls()))
        assert decoder.threads == 1
        assert in_a_new_thread(torch.get_num_threads) == 3
    finally:
        in_a_new_thread(lambda: torch.set_num_threads(before))


# One draft, whatever runs beside it


def test_a_draft_is_the_same_alone_and_in_a_batch(writer):
    alone = collect(writer.write(Request(controls(), 5, "A pilot")))
    batch = collect(writer.write(Request(controls(), 5, "A pilot", drafts=4)))
    assert batch[0] == alone[0]
    assert len({draft.text for draft in batch}) == 4
    assert collect(writer.write(Request(controls(), 5, "A pilot", drafts=3))) == batch[:3]
    assert collect(writer.write(Request(controls(), 6, "A pilot"))) != alone


def test_eight_threads_at_once_each_get_their_own_text(writer):
    requests = [
        Request(controls(top_k=20 + i), i, opening, genre="comedy", drafts=1 + i % 3)
        for i, opening in enumerate(["A pilot", "", "The judge and the thief", "Winter"] * 2)
    ]
    alone = [collect(writer.write(request)) for request in requests]
    with ThreadPoolExecutor(len(requests)) as pool:
        together = list(pool.map(lambda request: collect(writer.write(request)), requests))
    assert together == alone


@pytest.mark.parametrize("width", [16, 36])
@pytest.mark.parametrize("linear", [pytest.param(Int8Linear, marks=needs_int8), DenseLinear])
def test_logits_are_the_same_bit_for_bit_whatever_rows_stand_beside(tokenizer, linear, width):
    torch.manual_seed(0)
    config = make_model(len(tokenizer)).config
    config.n_embd, config.n_layer = width, 2
    decoder = GPT2Decoder(peaked(type(make_model(9))(config)), linear, "")
    prompts = [torch.randint(300, (3 + 2 * i,)) for i in range(ROWS)]
    tokens = list(range(ROWS))

    def logits_after(rows: list[int]) -> torch.Tensor:
        memories = [decoder.read(prompts[row], 40)[0] for row in rows]
        with torch.inference_mode():
            first = decoder.step(memories, [tokens[row] for row in rows])
            return torch.stack([first, decoder.step(memories, [tokens[row] for row in rows])], dim=1)

    with torch.inference_mode():
        whole = logits_after(list(range(ROWS)))
        for rows in ([0], [7], [3, 1], [6, 5, 4, 3, 2]):
            assert torch.equal(logits_after(rows), whole[rows])


# The same model as Transformers'


@pytest.mark.parametrize("make", [lambda m: GPT2Decoder(m, DenseLinear, ""), TransformersDecoder])
def test_a_temperature_near_zero_writes_what_transformers_greedy_search_writes(tokenizer, make):
    model = peaked(make_model(len(tokenizer)))
    tokens = torch.tensor([tokenizer("Plot: A pilot")["input_ids"]])
    greedy = model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=30, do_sample=False)
    written = greedy[0, tokens.shape[1] :]
    events = run(make(model), tokenizer, "Plot: A pilot", controls(temperature=1e-6, max_new_tokens=30))
    assert collect(events)[0].text == tokenizer.decode(written, skip_special_tokens=True)


@needs_int8
def test_int8_logits_are_close_to_fp32(tokenizer):
    model = peaked(make_model(len(tokenizer)))
    tokens = torch.arange(40)
    decoder = GPT2Decoder(model, Int8Linear, "")
    with torch.inference_mode():
        ours, theirs = decoder.head(decoder.hidden(tokens)), model(tokens[None]).logits[0]
    assert (ours - theirs).norm() < 0.03 * theirs.norm()
    assert not torch.equal(ours, theirs)


@pytest.mark.parametrize("linear", [pytest.param(Int8Linear, marks=needs_int8), DenseLinear])
def test_reading_at_once_equals_reading_step_by_step(tokenizer, linear):
    decoder = GPT2Decoder(peaked(make_model(len(tokenizer))), linear, "")
    tokens = torch.arange(20)
    with torch.inference_mode():
        memory, _ = decoder.read(tokens[:5], 20)
        for token in tokens[5:].tolist():
            stepped = decoder.step([memory], [token])[0]
        torch.testing.assert_close(stepped, decoder.head(decoder.hidden(tokens))[-1], atol=2e-2, rtol=1e-2)


def test_the_served_loss_is_within_a_percent_of_the_original(writer, tokenizer, plots):
    documents = Plots(plots.head(4), tokenizer).documents()
    model = make_gpt_neo(len(tokenizer)) if "generate" in writer.description else peaked(make_model(len(tokenizer)))
    original = token_nats(model, documents, CONTEXT, 16, 4)
    served = served_nats(writer, documents, CONTEXT, 16)
    assert [len(nats) for nats in served] == [len(nats) for nats in original]
    assert np.concatenate(served).mean() == pytest.approx(np.concatenate(original).mean(), rel=0.01)


def test_surprisals_spell_the_text_and_are_its_bits(writer):
    text = "A pilot naïve 🎬 " + "and the thief " * 30
    read = surprisals(writer, text, genre="comedy", alternatives=3)
    assert "".join(token.text for token in read) == f" {text.strip()}"
    assert len(read) > CONTEXT
    first = len(writer.encode(prompt("", "comedy")))
    tokens = torch.tensor(writer.encode(prompt(text, "comedy")))[: first + 1]
    with torch.inference_mode():
        rows = writer.decoder.head(writer.decoder.hidden(tokens)).softmax(-1)
    assert read[0].bits == pytest.approx(-float(rows[first - 1, tokens[first]].log2()), rel=1e-2)
    for token in read:
        chances = [other.probability for other in token.alternatives]
        assert len(chances) == 3
        assert chances == sorted(chances, reverse=True)
        assert token.bits >= -np.log2(chances[0]) - 1e-4


def test_an_empty_text_has_no_surprisals(gpt2_writer):
    assert surprisals(gpt2_writer, "  ") == []


# How a draft ends


def test_the_end_token_ends_a_draft_and_is_no_text(tokenizer):
    script = [*tokenizer(" the pilot.")["input_ids"], tokenizer.eos_token_id]
    (draft,) = collect(run(Scripted(script, len(tokenizer)), tokenizer, "Plot:", controls(max_new_tokens=40)))
    assert draft == Written(" the pilot.", "end", len(script) - 1)


def test_as_many_tokens_as_asked_for_end_a_draft(tokenizer):
    script = tokenizer(" pilot")["input_ids"]
    (draft,) = collect(run(Scripted(script, len(tokenizer)), tokenizer, "Plot:", controls(max_new_tokens=7)))
    assert (draft.reason, draft.tokens) == ("length", 7)


def test_a_full_context_ends_a_draft(gpt2_writer):
    drafts = collect(gpt2_writer.write(Request(controls(max_new_tokens=1000), 0, "A pilot", drafts=ROWS)))
    full = {draft.tokens for draft in drafts if draft.reason == "context"}
    assert full == {CONTEXT - len(gpt2_writer.encode(prompt("A pilot")))}


def test_a_script_that_never_ends_fills_the_context_exactly(tokenizer):
    script = tokenizer(" pilot")["input_ids"]
    (draft,) = collect(run(Scripted(script, len(tokenizer)), tokenizer, "Plot:", controls(max_new_tokens=1000)))
    assert (draft.reason, draft.tokens) == ("context", CONTEXT - len(tokenizer("Plot:")["input_ids"]))


def test_a_stop_from_another_thread_takes_effect_within_two_tokens(tokenizer):
    script = tokenizer(" pilot")["input_ids"]
    decoder, stop = Scripted(script, len(tokenizer), pace=0.01), threading.Event()
    events = run(decoder, tokenizer, "Plot:", controls(max_new_tokens=60), drafts=2, stop=stop)
    kept = [next(events) for _ in range(6)]
    steps = decoder.steps
    stop.set()
    rest = list(events)
    assert decoder.steps <= steps + 2
    assert {event.reason for event in rest if isinstance(event, Ended)} == {"stopped"}
    assert "".join(event.text for event in [*kept, *rest] if isinstance(event, Piece)).count("pilot") >= 3


# Streaming


def test_pieces_join_to_the_whole_text_with_characters_of_several_tokens(tokenizer):
    text = " “naïve” 🎬 日本."
    script = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]
    events = list(run(Scripted(script, len(tokenizer)), tokenizer, "Plot:", controls(max_new_tokens=60), drafts=2))
    for draft in (0, 1):
        pieces = [event.text for event in events if isinstance(event, Piece) and event.draft == draft]
        assert "".join(pieces) == text
        assert not any("\ufffd" in piece for piece in pieces)
        assert len(pieces) > 3


# Several at once


def test_an_abandoned_request_frees_its_place(tokenizer):
    script = tokenizer(" pilot")["input_ids"]
    decoder = Scripted(script, len(tokenizer), pace=0.005)
    loop = Loop(decoder, tokenizer)
    start = torch.tensor(tokenizer("Plot:")["input_ids"])

    def begin(drafts: int) -> Stream:
        job = Job(start, controls(max_new_tokens=60), 0, drafts, threading.Event())
        loop.submit(job)
        return Stream(job, "")

    closed, dropped = begin(ROWS // 2), begin(ROWS // 2)
    next(closed), next(dropped)
    waiting = begin(ROWS)
    closed.close()
    del dropped
    gc.collect()
    steps = decoder.steps
    next(waiting)
    assert decoder.steps <= steps + 3
    assert list(closed) == []
    waiting.close()


def test_a_request_stopped_while_it_waits_ends_at_once(tokenizer):
    decoder = Scripted(tokenizer(" pilot")["input_ids"], len(tokenizer), pace=0.005)
    loop = Loop(decoder, tokenizer)
    jobs = [Job(torch.tensor([5]), controls(max_new_tokens=60), 0, ROWS, threading.Event()) for _ in range(2)]
    for job in jobs:
        loop.submit(job)
    jobs[1].stop.set()
    ended = collect(Stream(jobs[1], ""))
    assert ended == [Written("", "stopped", 0)] * ROWS
    assert decoder.steps < 30
    jobs[0].stop.set()


def test_an_error_while_writing_reaches_every_request_and_the_next_one_can_write(tokenizer):
    decoder = Scripted(tokenizer(" pilot")["input_ids"], len(tokenizer), pace=0.01)
    loop, step = Loop(decoder, tokenizer), decoder.step

    def broken(*_: object) -> torch.Tensor:
        raise RuntimeError("out of memory")

    decoder.step = broken
    jobs = [Job(torch.tensor([5]), controls(), 0, ROWS, threading.Event()) for _ in range(2)]
    for job in jobs:
        loop.submit(job)
    with pytest.raises(RuntimeError, match="out of memory"):
        collect(Stream(jobs[0], ""))
    decoder.step = step
    last = Job(torch.tensor([5]), controls(), 0, 1, threading.Event())
    loop.submit(last)
    assert collect(Stream(last, ""))[0].reason == "length"


# Folders and requests


def test_the_writer_says_what_computes(gpt2_writer, gpt_neo_folder):
    if multiplies_int8_exactly() and not torch.cuda.is_available():
        assert gpt2_writer.description == "int8 decode loop"
    assert "Transformers' generate (gpt_neo" in Writer(gpt_neo_folder).description
    assert gpt2_writer.context == CONTEXT


def test_the_fingerprint_changes_with_the_model_alone(gpt2_folder, gpt_neo_folder, gpt2_writer):
    assert Writer(gpt2_folder).fingerprint == gpt2_writer.fingerprint
    assert Writer(gpt_neo_folder).fingerprint != gpt2_writer.fingerprint


def test_a_gpt2_that_scales_attention_by_layer_is_left_to_transformers(tokenizer):
    model = make_model(len(tokenizer))
    model.config.scale_attn_by_inverse_layer_idx = True
    assert isinstance(make_decoder(model), TransformersDecoder)


def test_an_opening_longer_than_the_context_is_read_from_its_last_part(writer):
    opening = "winter " * 100 + "the judge and the singer"
    stream = writer.write(Request(controls(), 0, opening, genre="comedy", drafts=2))
    assert opening.endswith(stream.opening_read)
    assert stream.opening_read.startswith("winter")
    assert len(writer.encode(prompt(stream.opening_read, "comedy"))) <= CONTEXT - 12
    assert all(draft.reason in ("length", "end") for draft in collect(stream))


def test_an_opening_that_fits_is_read_whole(writer):
    stream = writer.write(Request(controls(), 0, "  A pilot lands. "))
    assert stream.opening_read == "A pilot lands."


@pytest.mark.parametrize("opening", ["", "日本の映画 🎬", "<script>alert(1)</script> **x**", "\n\n"])
def test_any_opening_can_be_continued(writer, opening):
    assert collect(writer.write(Request(controls(), 1, opening)))[0].tokens >= 0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"drafts": 0}, "drafts is 0"),
        ({"drafts": ROWS + 1}, "drafts is"),
        ({"title": "long " * 200}, "shorten the title"),
    ],
)
def test_a_request_that_cannot_be_met_says_so_at_once(gpt2_writer, values, words):
    with pytest.raises(PlotwrightError, match=words) as caught:
        gpt2_writer.write(Request(controls(), 0, **values))
    assert "\n" not in str(caught.value)


def test_a_missing_or_broken_folder_is_one_sentence(tmp_path, gpt2_folder, tokenizer):
    (tmp_path / "broken").mkdir()
    tokenizer.save_pretrained(tmp_path / "broken")
    (tmp_path / "broken" / "config.json").write_text((gpt2_folder / "config.json").read_text())
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"not weights")
    for folder in (tmp_path / "nothing", tmp_path / "broken"):
        with pytest.raises(PlotwrightError) as caught:
            Writer(folder)
        assert "\n" not in str(caught.value)
        assert str(folder) in str(caught.value)
