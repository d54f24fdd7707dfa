"""The text format: prefix fields, cue, text, end."""

import numpy as np
from conftest import make_plots

from plotwright.documents import Plots, join_documents, prompt


def test_a_documents_tokens_are_the_tokens_of_its_text_and_the_end(tokenizer):
    frame = make_plots(12)
    documents = Plots(frame, tokenizer).with_random_prefix(0.0, np.random.default_rng(0))
    for index, row in enumerate(frame.itertuples()):
        year = None if row.Index % 5 == 0 else row.year
        text = prompt(row.text, row.genre, row.title, year)
        whole = [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
        assert documents[index].tolist() == whole


def test_labels_begin_with_the_text_and_end_with_the_end(tokenizer):
    frame = make_plots(12)
    documents = Plots(frame, tokenizer).with_random_prefix(0.0, np.random.default_rng(0))
    for index, text in enumerate(frame["text"]):
        labelled = documents[index][documents.label_from[index] :]
        assert labelled[-1] == tokenizer.eos_token_id
        assert tokenizer.decode(labelled[:-1]) == f" {text}"


def test_an_unknown_genre_and_a_missing_year_have_no_line():
    assert prompt("A man.", "unknown", "Home", None) == "Title: Home\nPlot: A man."
    assert prompt("", "comedy", None, 1950) == "Genre: comedy\nYear: 1950\nPlot:"
    assert prompt() == "Plot:"


def test_each_field_is_left_out_by_itself_about_as_often_as_asked(tokenizer):
    frame = make_plots(40)
    plots = Plots(frame, tokenizer)
    generator = np.random.default_rng(0)
    texts = [
        tokenizer.decode(documents[i])
        for documents in (plots.with_random_prefix(0.25, generator) for _ in range(20))
        for i in range(len(documents))
    ]
    share = sum("Title:" in text for text in texts) / len(texts)
    assert 0.70 < share < 0.80
    both = sum("Title:" in text and "Genre:" in text for text in texts) / len(texts)
    known = (frame["genre"] != "unknown").mean()
    assert abs(both - 0.75 * 0.75 * known) < 0.05


def test_full_dropout_leaves_the_bare_cue(tokenizer):
    plots = Plots(make_plots(6), tokenizer)
    bare, dropped = plots.documents(), plots.with_random_prefix(1.0, np.random.default_rng(0))
    assert np.array_equal(bare.tokens, dropped.tokens)
    assert np.array_equal(bare.label_from, dropped.label_from)


def test_selected_documents_keep_their_tokens_and_labels():
    documents = join_documents(
        [[np.array(part, dtype=int) for part in parts] for parts in ([[1, 2], [3]], [[4], [5, 6]], [[], [7]])]
    )
    chosen = documents.select(np.array([2, 0]))
    assert [chosen[0].tolist(), chosen[1].tolist()] == [[7], [1, 2, 3]]
    assert chosen.label_from.tolist() == [0, 2]
    assert len(documents.select(np.array([], dtype=int))) == 0
