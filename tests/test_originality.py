"""The copy check finds what is there, nothing else, and says where it stands."""

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import make_plots
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pad_sequence
from transformers import GPT2Config, GPT2LMHeadModel

from plotwright.documents import Documents, Plots
from plotwright.duplicates import words_of
from plotwright.optimizer import build_optimizer
from plotwright.originality import RUN_SIZES, CopyIndex, suffix_array, word_spans
from plotwright.sampling import check_sampling
from plotwright.specimens import write_texts
from plotwright.writing import Request, Writer

# Few different words, so that long runs are often shared; "c" stands in no training plot unless drawn.
TEXTS = st.lists(st.sampled_from(["a", "b", "A,", "c-b", "..."]), max_size=25).map(" ".join)
# Letters whose case folding changes their number, and marks that are no words.
ODD = st.text(alphabet="aB ßİŉ_-.é1ﬁ\n", max_size=30)


def table(texts: list[str]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": [f"id{number}" for number in range(len(texts))],
            "title": [f"Film {number}" for number in range(len(texts))],
            "text": texts,
        }
    )


def story(seed: int, words: int) -> list[str]:
    """Words that no other seed shares in the same order."""
    return [f"w{number}" for number in np.random.default_rng(seed).integers(0, 10**6, words)]


def runs_of(text: str, size: int) -> list[tuple[str, ...]]:
    words = words_of(text)
    return [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]


def brute_force_lengths(training: list[str], text: str) -> list[int]:
    """The longest match at each word, by looking for every run in every training plot."""
    words = words_of(text)
    known = {run for plot in training for size in range(1, len(words) + 1) for run in runs_of(plot, size)}
    return [
        max((end - at for end in range(at + 1, len(words) + 1) if tuple(words[at:end]) in known), default=0)
        for at in range(len(words))
    ]


@given(st.lists(TEXTS, max_size=6), TEXTS)
@settings(max_examples=300, deadline=None)
def test_longest_runs_and_novel_shares_equal_a_search_of_every_plot(training, text):
    index = CopyIndex(table(training))
    found = index.check(text)
    expected = brute_force_lengths(training, text)
    assert index.match_lengths(text).tolist() == expected
    assert found.words == len(expected)
    assert found.longest_words == max(expected, default=0)
    for size in RUN_SIZES:
        known = {run for plot in training for run in runs_of(plot, size)}
        runs = runs_of(text, size)
        assert found.novel[size] == (sum(run not in known for run in runs), len(runs))
    if found.longest:
        run = words_of(text[found.longest.start : found.longest.end])
        assert words_of(found.longest.passage) == run
        assert len(run) == found.longest.words
        plot = training[int(found.longest.id.removeprefix("id"))]
        assert found.longest.passage in plot
        assert not any(tuple(run) in runs_of(earlier, len(run)) for earlier in training[: training.index(plot)])


@given(st.lists(st.integers(0, 2), max_size=60))
@settings(max_examples=200, deadline=None)
def test_the_suffix_array_is_the_order_of_the_suffixes(numbers):
    words = [*numbers, 3]
    expected = sorted(range(len(words)), key=lambda start: words[start:])
    assert suffix_array(np.array(words, dtype=np.int32)).tolist() == expected


@given(ODD)
def test_word_spans_cover_the_words_as_written(text):
    spans = word_spans(text)
    assert len(spans) == len(words_of(text))
    assert all(start < end for start, end in spans)
    assert [word for start, end in spans for word in words_of(text[start:end])[:1]] == words_of(text) or "ŉ" in text


def test_a_planted_30_word_copy_is_found_with_its_source_as_written():
    training = [" ".join(story(seed, 200)) for seed in range(50)]
    training[17] = training[17].replace(" ", ", ").capitalize()
    copied = " ".join(training[17].split()[100:130])
    text = " ".join(story(100, 120)) + " " + copied.replace(",", "").upper() + " " + " ".join(story(101, 120))
    longest = CopyIndex(table(training)).check(text).longest
    assert longest is not None
    assert (longest.words, longest.id, longest.title) == (30, "id17", "Film 17")
    assert longest.passage == copied.rstrip(",")
    assert text[longest.start : longest.end] == copied.replace(",", "").upper()


def test_a_training_plot_is_a_copy_of_itself_and_a_new_story_is_none():
    training = [" ".join(story(seed, 60)) for seed in range(5)]
    index = CopyIndex(table(training))
    copy, new = index.check(training[3]), index.check(" ".join(story(9, 60)))
    assert copy.longest_words == 60
    assert copy.novel_share(8) == 0.0
    assert new.longest is None
    assert new.novel_share(8) == 1.0


def test_no_run_goes_from_one_plot_into_the_next():
    assert CopyIndex(table(["a b c", "d e f"])).match_lengths("b c d e").tolist() == [2, 1, 2, 1]


@pytest.mark.parametrize("text", ["", "...", "two words"])
def test_a_text_of_fewer_words_than_a_run_has_no_share_of_novel_runs(text):
    assert CopyIndex(table(["two words"])).check(text).novel_share(8) is None


def model_that_read(documents: Documents, vocabulary: int, steps: int) -> GPT2LMHeadModel:
    """A small model after `steps` steps on all documents at once."""
    torch.manual_seed(0)
    size = {"vocab_size": vocabulary, "n_positions": 64, "n_embd": 64, "n_layer": 2, "n_head": 2}
    config = GPT2Config(**size, bos_token_id=0, eos_token_id=0, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    model = GPT2LMHeadModel(config).train()
    rows = [torch.from_numpy(documents[index][:64].astype(np.int64)) for index in range(len(documents))]
    inputs = pad_sequence(rows, batch_first=True)
    labels = pad_sequence(rows, batch_first=True, padding_value=-100)
    optimizer = build_optimizer(model, "muon", 0.02, 0.0, torch.float32)
    for _ in range(steps):
        optimizer.zero_grad()
        model(input_ids=inputs, labels=labels).loss.backward()
        optimizer.step()
    return model


@pytest.mark.parametrize(("steps", "shortest", "longest"), [(0, 0, 6), (60, 15, 99)])
def test_a_model_that_learnt_fifty_plots_by_heart_is_caught_and_an_untrained_one_is_not(
    tokenizer, tmp_path, steps, shortest, longest
):
    plots = make_plots(50, words=16)
    model_that_read(Plots(plots, tokenizer).documents(), len(tokenizer), steps).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    sampling = check_sampling(temperature=0.3, top_k=0, top_p=1.0, min_p=0.0, repetition_penalty=1.0, max_new_tokens=50)
    texts = write_texts(Writer(tmp_path), [Request(sampling, seed) for seed in range(6)], "writing")
    index = CopyIndex(plots)
    assert shortest <= np.median([index.check(sample.text).longest_words for sample in texts]) <= longest
