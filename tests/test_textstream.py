"""Text streams: pieces join to the whole, no half characters; and plots cut back to their last sentence."""

import pytest

from plotwright.sentences import finish_at_sentence_end
from plotwright.textstream import TextStream, decode


@pytest.mark.parametrize("text", ["A pilot.", "naïve — “日本” 🎬 end", "🎬🎬", " é", "", "two\n\nlines"])
def test_pieces_join_to_the_text_and_hold_no_half_character(tokenizer, text):
    stream = TextStream(tokenizer)
    pieces = [stream.add(token) for token in tokenizer(text)["input_ids"]]
    assert "".join(pieces) == text
    assert not any("\ufffd" in piece for piece in pieces)
    assert stream.finish() == ""


def test_a_character_cut_off_at_the_end_is_given_only_when_nothing_follows(tokenizer):
    tokens = tokenizer("film 🎬")["input_ids"][:-1]
    stream = TextStream(tokenizer)
    given = "".join(stream.add(token) for token in tokens)
    assert "\ufffd" not in given
    assert given + stream.finish() == decode(tokenizer, tokens)


def test_bytes_that_never_become_a_character_do_not_hold_up_the_text(tokenizer):
    broken = tokenizer("🎬")["input_ids"][0]
    tokens = [broken, *[broken] * 5, *tokenizer(" a pilot")["input_ids"], broken, broken]
    stream = TextStream(tokenizer)
    pieces = [stream.add(token) for token in tokens]
    assert " a pilot" in "".join(pieces)
    assert "".join(pieces) + stream.finish() == decode(tokenizer, tokens)


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("He leaves. She stays and", "He leaves."),
        ("He leaves.", "He leaves."),
        ("He leaves. \n", "He leaves."),
        ('She says "Go!" and he', 'She says "Go!"'),
        ('He asks: "Why?" Then', 'He asks: "Why?"'),
        ("“It is over.” The", "“It is over.”"),
        ("(They marry.) Then", "(They marry.)"),
        ("It ends. Then Dr. Brown and Mrs. Jones meet J. R. Ewing", "It ends."),
        ("He has $3.50 left. It cost 2.5", "He has $3.50 left."),
        ("He waits... and", "He waits..."),
        ("What?! No", "What?!"),
        ("no sentence ends here", "no sentence ends here"),
        ("", ""),
    ],
)
def test_a_plot_ends_with_its_last_whole_sentence(text, finished):
    assert finish_at_sentence_end(text) == finished
