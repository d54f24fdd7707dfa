"""How the pages look, and what they have in common."""

import logging
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path

import streamlit as st
from serving import Served, serve

from plotwright.errors import PlotwrightError
from plotwright.folders import MODEL, command_for

_CSS = Path(__file__).with_name("look.css")


def dress() -> None:
    """Apply the style sheet."""
    st.html(_CSS)


def lead(text: str) -> None:
    """The sentence under a page's title."""
    st.html(f'<p class="pw-lead">{escape(text)}</p>')


def small(html: str) -> None:
    """A line of small print; `html` must be escaped already."""
    st.html(f'<div class="pw-small">{html}</div>')


def figures(pairs: Sequence[tuple[str, str]]) -> None:
    """Large figures, each with what it means below."""
    cells = (f'<div class="pw-figure"><strong>{escape(a)}</strong><span>{escape(b)}</span></div>' for a, b in pairs)
    st.html(f'<div class="pw-figures">{"".join(cells)}</div>')


def sentence(error: PlotwrightError) -> str:
    """An error's message as a sentence of its own; a file's name at its beginning stays as it is."""
    text = str(error)
    return text[:1].upper() + text[1:] if text.split(" ")[0].isalpha() else text


def guarded(view: Callable[[], None]) -> None:
    """Draw a view; what it cannot do is a sentence on the page, never a traceback.

    The traceback of what nobody foresaw goes to the server's log.
    """
    try:
        view()
    except PlotwrightError as error:
        st.warning(sentence(error), icon=":material/info:")
    except Exception:
        logging.getLogger(__name__).exception("A page could not be drawn")
        st.error(
            "This page could not be drawn. Nothing you have written is lost; reload the page to go on. "
            "What went wrong stands in the server's log.",
            icon=":material/error:",
        )


def model_or_explain(folder: Path) -> Served | None:
    """The model of a folder to write with, after any notice about it; without one, what to do is on the page."""
    try:
        with st.spinner("Opening the model …", show_time=False):
            served = serve(folder)
    except PlotwrightError as error:
        _explain(error, folder)
        return None
    if served.notice:
        st.info(served.notice, icon=":material/autorenew:")
    return served


def _explain(error: PlotwrightError, folder: Path) -> None:
    st.info(sentence(error), icon=":material/info:")
    st.markdown("In the folder of this repository:")
    st.code(command_for(folder), language="bash")
    does = (
        "It prepares the plots, trains the model and measures it: some minutes on a laptop with the plots that come "
        "with Plotwright."
        if folder == MODEL
        else "It trains the model further on what readers said."
    )
    st.caption(f"{does} In a clone whose remote holds the results, `dvc pull` is quicker.")
