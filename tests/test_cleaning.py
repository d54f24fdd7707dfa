"""Cleaning removes what is not the story, and nothing else."""

import ftfy
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from plotwright.cleaning import clean_text, drop_lost_quotation, says_no_plot

# Arbitrary characters, often between the pieces that cleaning looks for.
MARKS = "[1] [2,3] [a] [note [N 2] [citation needed] [who?] [edit] [ ] :15 Plot Plot: Summary : . Music: by"
MARKUP = "&amp; &lt; &#13; & amp; lt; <br> </p> <i> <ref> </ref> <!-- --> <| |> endoftext"
CHARACTERS = "â€™ Ã© ﬁ “ ’ \r\n \r \n\n \t \xa0 \u200b \ufeff \x00 \x1b[0m \x85 \u0301 \u2028"
PIECES = [*MARKS.split(" "), *MARKUP.split(" "), *CHARACTERS.split(" "), " "]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=25).map("".join)


@given(st.one_of(TEXTS, st.text()))
@example("&amp;amp;lt;b>bold[[1]2]")
@example("<<b>i>text")
@example("\ud800 lone surrogate")
@settings(max_examples=400, deadline=None)
def test_cleaning_a_clean_text_changes_nothing(text):
    once = clean_text(text)
    assert clean_text(once) == once


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E) | st.just("\n")))
@settings(deadline=None)
def test_ftfy_changes_nothing_in_printable_ascii_so_leaving_it_out_there_is_equivalent(text):
    assert ftfy.fix_text(text, unescape_html=False) == text


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("He dies.[1]", "He dies."),
        ("Alone [2] he waits.[3][4] Then[note 2] he[N 1] goes.", "Alone he waits. Then he goes."),
        ("The film ends.[1]:15", "The film ends."),
        ("He wins $5,000.[a] Then", "He wins $5,000. Then"),
        ("in love[clarification needed][citation needed (June 2012)] again.[who?]", "in love again."),
        ("A show for [a] man and [his] wife", "A show for [a] man and [his] wife"),
        ("One.\r\n\r\n  Two. \n\n\nThree.", "One.\nTwo.\nThree."),
        ("A  girl\u00a0\t runs", "A girl runs"),
        ("in France . To do , a .45 gun ... and", "in France. To do, a .45 gun ... and"),
        ("Tom &amp; Jerry &quot;run&quot;", 'Tom & Jerry "run"'),
        ("One.<br />Two <i>three</i>.", "One.\nTwo three."),
        ("I <3 you, <Anna>", "I <3 you, <Anna>"),
        ("The cafÃ© is hisâ€™s", "The café is his's"),
        ("“Don’t,” she says", '"Don\'t," she says'),
        ("zero\u200bwidth\x00 and\x07 soft\u00adhyphen", "zerowidth and softhyphen"),
        ("cafe\u0301", "caf\u00e9"),
        ("Plot summary\nA man runs.", "A man runs."),
        ("Synopsis: A man runs.", "A man runs."),
        ("Plot[edit]\nA man runs.", "A man runs."),
        ("He runs.\nDirected by Ann Lee\nMusic by: Bo\nShe walks.", "He runs.\nShe walks."),
        ("Directed by fate, he runs.", "Directed by fate, he runs."),
        ("He runs. This section needs expansion. You can help by adding to it. She walks.", "He runs. She walks."),
        ("He dies.<|endoftext|>She lives.", "He dies.She lives."),
    ],
)
def test_what_is_not_the_story_goes(raw, clean):
    assert clean_text(raw) == clean


def test_a_closing_sentence_that_announces_a_lost_quotation_goes():
    assert drop_lost_quotation("He wins.\nThe film ends with a caption:") == "He wins."
    assert drop_lost_quotation("He wins. It reads:") == "He wins."
    assert drop_lost_quotation("It reads:\nHe wins.") == "It reads:\nHe wins."
    assert drop_lost_quotation("The story reads:") == ""


@pytest.mark.parametrize(
    "text", ["No plot available.", "TBA", "N/A", "The plot of this film is unknown.", "No synopsis is known to exist."]
)
def test_a_text_that_only_says_there_is_no_plot_is_recognised(text):
    assert says_no_plot(text)


def test_a_long_plot_that_speaks_of_a_plot_is_kept():
    assert not says_no_plot("The police have no plot known to them. " + "He walks on and on. " * 20)
    assert not says_no_plot("A spy learns of a plot to kill the king.")
