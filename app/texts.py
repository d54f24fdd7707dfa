"""Texts of visitors and models made into HTML and Markdown that show them as they are, whatever they hold."""

import re
from collections.abc import Sequence
from dataclasses import replace
from html import escape

from plotwright.served import ReadToken

_MARKDOWN = re.compile(r"([\\`*_\[\]<>#|~$:!&])")
# Where Streamlit looks for bare addresses, icons and emoji after it has taken the backslashes away.
_ADDRESS = re.compile(r"(?<=[:@])|(?<=www)(?=\.)", re.IGNORECASE)
_INVISIBLE = "\N{WORD JOINER}"


def as_label(text: str, longest: int = 80) -> str:
    """`text` on one line of at most `longest` characters for a label or message, in which Streamlit reads Markdown."""
    line = " ".join(text.split())
    if len(line) > longest:
        line = line[: longest - 1].rsplit(" ", 1)[0] + "…"
    return _ADDRESS.sub(_INVISIBLE, _MARKDOWN.sub(r"\\\1", line))


def as_markdown(text: str) -> str:
    """`text` for a Markdown file."""
    return re.sub(r"([\\`*_\[\]<>#|~])", r"\\\1", text)


def _paragraphs(text: str) -> str:
    """Escaped text in which a line's end is a paragraph's."""
    return re.sub(r"\n+", '<span class="pw-par"></span>', escape(text))


def plot_html(opening: str, written: str, writing: bool) -> str:
    """A plot on the page; the opening is told from what the model wrote, and a cursor shows that more will come."""
    cursor = '<span class="pw-cursor"></span>' if writing else ""
    state = "true" if writing else "false"
    return (
        f'<div class="pw-plot" aria-busy="{state}"><span class="pw-opening">{_paragraphs(opening)}</span>'
        f'<span class="pw-written">{_paragraphs(written if opening else written.lstrip())}</span>{cursor}</div>'
    )


def _token_html(token: ReadToken, in_opening: bool) -> str:
    chances = "\n".join(f"{other.probability:6.1%}  {other.text.strip() or '␣'}" for other in token.alternatives)
    tip = f"{token.bits:.1f} bits\n{chances}"
    kind = " pw-typed" if in_opening else ""
    return (
        f'<span class="pw-t pw-s{min(9, int(token.bits))}{kind}" tabindex="-1" data-tip="{escape(tip)}">'
        f"{escape(token.text)}</span>"
    )


def shaded_html(tokens: Sequence[ReadToken], opening: str) -> str:
    """Each token shaded by its surprisal; hovering or tapping shows the likeliest tokens in its place."""
    spans: list[str] = []
    length = 0
    for token in tokens:
        length += len(token.text)
        shown = token if spans else replace(token, text=token.text.lstrip())
        spans.append(_token_html(shown, length <= len(opening) + 1))
    return f'<div class="pw-plot pw-shaded">{"".join(spans)}</div>'


def run_html(passage: str) -> str:
    """A passage shared with a training plot."""
    return f'<blockquote class="pw-run">{escape(passage)}</blockquote>'
