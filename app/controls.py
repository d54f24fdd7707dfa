"""The form on the first page: what is to be written and how, and the same from a link."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st
from serving import offered
from texts import as_label
from visit import explained

from plotwright.errors import PlotwrightError
from plotwright.folders import MODEL
from plotwright.sampling import Sampling, check_sampling
from plotwright.settings import load_params
from plotwright.write import NAMED_GENRES, YEARS
from plotwright.writing import Request

CLOSE, BALANCED, WILD = "Close to the data", "Balanced", "Wild"
EXAMPLES = {
    "A pilot": "A short film about a pilot who",
    "A lighthouse": "In a lighthouse off the coast of Brittany, two sisters wait for",
    "A small-town judge": "The judge of a small town has one week left before he retires when",
    "A stolen violin": "A violin is stolen on the night of the concert, and",
    "The last train": "The last train of the year leaves without its driver.",
}

# Lowest and highest value of each number on the page and in a link, unless params.yaml goes further.
REAL = {"temperature": (0.05, 2.0), "top_p": (0.05, 1.0), "min_p": (0.0, 0.5), "repetition_penalty": (1.0, 2.0)}
WHOLE = {
    "top_k": (0, 1000),
    "max_new_tokens": (1, 2000),
    "year": (YEARS.start, YEARS.stop - 1),
    "drafts": (1, 4),
    "seed": (0, 2**31 - 1),
}
SAMPLING = (*REAL, "top_k", "max_new_tokens")


@st.cache_data(max_entries=4, show_spinner=False)
def _generate(path: str, modified: int) -> Sampling:
    return load_params().generate


def _balanced() -> Sampling:
    """The section `generate` of params.yaml."""
    path = Path("params.yaml").absolute()
    return _generate(str(path), path.stat().st_mtime_ns if path.exists() else 0)


def creativities() -> dict[str, Sampling]:
    """The sampling behind each plain word."""
    balanced = _balanced()
    return {
        CLOSE: balanced.model_copy(update={"temperature": 0.5, "top_k": 20, "top_p": 0.9}),
        BALANCED: balanced,
        WILD: balanced.model_copy(update={"temperature": 1.15, "top_k": 0, "top_p": 0.98, "min_p": 0.02}),
    }


def _range(name: str) -> tuple[float, float]:
    """Lowest and highest value of a number, that of params.yaml among them."""
    low, high = REAL.get(name) or WHOLE[name]
    if name not in SAMPLING:
        return low, high
    own = getattr(_balanced(), name)
    return min(low, own), max(high, own)


def fill_form() -> None:
    """Give the controls their first values, and keep them in their ranges, which may have changed with params.yaml."""
    first: dict[str, Any] = {
        "opening": "",
        "genre": None,
        "title": "",
        "year": None,
        "creativity": BALANCED,
        "drafts": 1,
        "seed": None,
        "model": next(iter(offered())),
        **creativities()[BALANCED].model_dump(),
    }
    for name, value in first.items():
        st.session_state.setdefault(name, value)
    for name in SAMPLING:
        low, high = _range(name)
        if not low <= st.session_state[name] <= high:
            st.session_state[name] = min(max(st.session_state[name], low), high)


def choose_creativity() -> None:
    """Set the real controls to what the plain word stands for."""
    chosen = st.session_state.creativity
    if chosen:
        with explained():
            st.session_state.update(creativities()[chosen].model_dump())


def name_creativity() -> None:
    """Choose the plain word that the real controls now stand for, if there is one."""
    now = {name: st.session_state[name] for name in SAMPLING}
    with explained():
        matches = (word for word, sampling in creativities().items() if _alike(sampling.model_dump(), now))
        st.session_state.creativity = next(matches, None)


def _alike(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    """Whether two sets of controls are the same but for what a slider rounds."""
    return all(abs(one[name] - other[name]) < 1e-6 for name in SAMPLING)


def chosen_model() -> Path:
    """The folder of the model that the form names; the trained one where it names none that is there."""
    return offered().get(st.session_state.model, MODEL)


def new_seed() -> int:
    """A seed that nobody chose."""
    return secrets.randbelow(2**31)


def form_request(opening: str | None = None, drafts: int | None = None, seed: int | None = None) -> Request:
    """What the form asks for, with the given parts in place of its own.

    Raises PlotwrightError when a control has a value that sampling cannot use.
    """
    state = st.session_state
    chosen = state.seed if seed is None else seed
    return Request(
        sampling=check_sampling(**{name: state[name] for name in SAMPLING}),
        seed=new_seed() if chosen is None else int(chosen),
        opening=state.opening if opening is None else opening,
        genre=state.genre,
        title=" ".join(state.title.split()) or None,
        year=state.year,
        drafts=int(drafts or state.drafts or 1),
    )


def _number(link: Mapping[str, str], name: str) -> float | int:
    """A number of the link, checked against what its control allows."""
    low, high = _range(name)
    said = as_label(link[name], 40)
    try:
        value = type(low)(link[name])
    except ValueError:
        raise PlotwrightError(f"the link says {name}={said}, which is no number there.") from None
    if not low <= value <= high:
        raise PlotwrightError(f"the link says {name}={said}; it goes from {low} to {high} here.")
    return value


def link_request(link: Mapping[str, str]) -> Request:
    """What a link made of Attempt.link asks for; what it does not say is as in a fresh form.

    Raises PlotwrightError when it asks for what cannot be, in Markdown that shows the link's words as they are.
    """
    genre = link.get("genre")
    if genre is not None and genre not in NAMED_GENRES:
        raise PlotwrightError(f"the link names a genre that is none here: {as_label(genre, 40)}.")
    sampling = {name: _number(link, name) for name in SAMPLING if name in link}
    whole = {name: int(_number(link, name)) for name in ("seed", "year", "drafts") if name in link}
    return Request(
        sampling=check_sampling(**{**creativities()[BALANCED].model_dump(), **sampling}),
        seed=whole["seed"] if "seed" in whole else new_seed(),
        opening=link.get("opening", ""),
        genre=genre,
        title=" ".join(link.get("title", "").split()) or None,
        year=whole.get("year"),
        drafts=whole.get("drafts", 1),
    )


def show_request(request: Request) -> None:
    """Put a request into the form, but for its seed: the next click shall write something new."""
    st.session_state.update(
        opening=request.opening,
        genre=request.genre,
        title=request.title or "",
        year=request.year,
        drafts=request.drafts,
        **request.sampling.model_dump(),
    )
    name_creativity()


def use_example(opening: str) -> None:
    """Take an example as the opening."""
    st.session_state.opening = opening


def draw_model_choice() -> None:
    """Which model writes, where there is more than one."""
    if len(offered()) > 1:
        st.segmented_control("Model", list(offered()), key="model", persist_state="session")


def draw_form() -> None:
    """Everything to be filled in before Write is clicked.

    What changes nothing else on the page is told with that click (on_change="ignore"): a run of its own, begun by
    leaving the field for the button, would delay the first words by a quarter of a second.
    """
    st.text_area(
        "How does it begin?",
        key="opening",
        height=120,
        on_change="ignore",
        placeholder="A short film about a pilot who …   (or leave it empty and let the model begin)",
        persist_state="session",
    )
    with st.container(horizontal=True, gap="small", key="examples"):
        for name, opening in EXAMPLES.items():
            st.button(name, key=f"example-{name}", on_click=use_example, args=(opening,))
    with st.container(key="about"):
        title, genre, year = st.columns([4, 3, 2])
    title.text_input(
        "Title", key="title", max_chars=120, on_change="ignore", placeholder="none", persist_state="session"
    )
    genre.selectbox("Genre", NAMED_GENRES, key="genre", on_change="ignore", placeholder="any", persist_state="session")
    with year:
        _number_control("Year", "year", 1, placeholder="any")
    creativity, drafts = st.columns([5, 2])
    creativity.segmented_control(
        "Creativity", list(creativities()), key="creativity", on_change=choose_creativity, persist_state="session"
    )
    low, high = WHOLE["drafts"]
    drafts.segmented_control(
        "Drafts", list(range(low, high + 1)), key="drafts", on_change="ignore", persist_state="session"
    )
    draw_model_choice()
    with st.expander("All controls"):
        _draw_controls()


def _number_control(label: str, name: str, step: int, placeholder: str | None = None) -> None:
    low, high = _range(name)
    change = name_creativity if name in SAMPLING else "ignore"
    st.number_input(
        label, low, high, step=step, key=name, placeholder=placeholder, on_change=change, persist_state="session"
    )


def _slider(label: str, name: str, step: float) -> None:
    st.slider(label, *_range(name), step=step, key=name, on_change=name_creativity, persist_state="session")


def _draw_controls() -> None:
    left, right = st.columns(2, gap="large")
    with left:
        _slider("Temperature", "temperature", 0.05)
        st.caption("Low: the expected word. High: surprising ones. 1 keeps the model's own odds.")
        _slider("Top-p", "top_p", 0.01)
        st.caption("Choose among the likeliest tokens that together reach this probability; 1 allows all.")
        _slider("Min-p", "min_p", 0.01)
        st.caption("Leave out tokens less than this many times as likely as the likeliest; 0 leaves out none.")
        _slider("Repetition penalty", "repetition_penalty", 0.05)
        st.caption("Above 1, tokens that already stand in the text become less likely.")
    with right:
        _number_control("Top-k", "top_k", 10)
        st.caption("Choose each token among the k likeliest only; 0 allows all.")
        _number_control("Length", "max_new_tokens", 20)
        st.caption("Tokens written at most; three tokens are about two words. A plot ends at a sentence end.")
        _number_control("Seed", "seed", 1, placeholder="new each time")
        st.caption("The same seed with the same settings writes the same text; empty means a new one each time.")
