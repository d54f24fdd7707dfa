"""Write: an opening goes in, plots come out, token by token."""

import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from html import escape

import streamlit as st
from controls import (
    chosen_model,
    draw_form,
    draw_model_choice,
    fill_form,
    form_request,
    link_request,
    new_seed,
    show_request,
)
from copycheck import Yardstick, copy_check, trained_on
from look import lead, model_or_explain, sentence, small
from serving import Served, offered, serve
from streamlit.delta_generator import DeltaGenerator
from texts import as_label, as_markdown, plot_html, run_html, shaded_html
from visit import REASONS, Attempt, Draft, Visit, explained, this_visit

from plotwright.errors import PlotwrightError
from plotwright.feedback import FeedbackStore, Opinion
from plotwright.originality import Originality
from plotwright.sentences import counted
from plotwright.served import surprisals
from plotwright.write import RUN_WORDS
from plotwright.writing import Request

_FRAME = 0.04  # seconds between two looks at what was written: quick enough to read along, easy on the network

# On a phone the text begins below the screen: bring the Stop button to the top, with the text under it. Not smoothly,
# or a button that is on its way is missed by whoever wants to stop at once.
_SCROLL = """{
  const desk = document.querySelector("[class*=st-key-desk-], [class*=st-key-wide-]");
  if (desk && desk.getBoundingClientRect().top > 0.7 * window.innerHeight)
    document.querySelector(".st-key-main").scrollIntoView({ behavior: "instant", block: "start" });
}"""


def show() -> None:
    """The page."""
    visit = this_visit()
    st.title("Write a film plot")
    lead("Say how it begins. The model writes on from there, and tells you how it came to every word.")
    fill_form()
    served = model_or_explain(chosen_model())
    if served is None:
        draw_model_choice()
        return
    served = _follow_link(served, visit)
    # Asked once: a text that ends while the page is being drawn must not leave it half one, half the other.
    attempt = visit.shown if visit.shown is not None and visit.shown.writing else None
    with st.container(key="form"):
        fields = st.container()
        _draw_main_button(writing=attempt is not None)
        if visit.problem:
            st.warning(visit.problem, icon=":material/info:")
    desks = st.container(key="desks")
    # What is being written is drawn first, for the sake of its first words.
    if attempt is None:
        with fields:
            draw_form()
    places = _draw_desks(desks, visit, served, writing=attempt is not None)
    if attempt is not None:
        with fields:
            draw_form()
    _draw_history(visit)
    _draw_footer(served)
    if attempt is not None:
        _watch(attempt, places)


def _follow_link(served: Served, visit: Visit) -> Served:
    """Write what the page's address asks for, once a visit; the model that the page goes on with."""
    link = st.query_params.to_dict()
    if visit.link_read or "seed" not in link:
        visit.link_read = True
        return served
    visit.link_read = True
    try:
        request = link_request(link)
        show_request(request)
        named = _model_named(link.get("model", ""))
        if named is not None:
            st.session_state.model, served = named
            visit.begin(served, request)
            return served
    except PlotwrightError as error:
        visit.problem = sentence(error)
        return served
    st.session_state.seed = request.seed
    visit.problem = (
        f"This link was made with the model {as_label(link['model'], 20)}. The model has changed since, so that its "
        "text cannot be written again; Write asks the present model the same with the same seed."
    )
    return served


def _model_named(fingerprint: str) -> tuple[str, Served] | None:
    """The first model on offer whose fingerprint begins so; one that cannot be opened is not meant."""
    for name, folder in offered().items():
        try:
            served = serve(folder)
        except PlotwrightError:
            continue
        if served.writer.fingerprint.startswith(fingerprint):
            return name, served
    return None


def _begin(make: Callable[[], Request]) -> None:
    """Write what `make` asks for; the page's address then writes the same again."""
    with explained():
        attempt = this_visit().begin(serve(chosen_model()), make())
        st.query_params.from_dict(attempt.link if attempt.query else {})


def _stop() -> None:
    attempt = this_visit().shown
    if attempt is not None:
        attempt.stop()


def _draw_main_button(writing: bool) -> None:
    with st.container(key="main"):
        place = st.empty()  # so that one button takes the other's place at once
    if writing:
        place.button("Stop", key="stop", icon=":material/stop_circle:", type="primary", on_click=_stop, width=160)
    else:
        place.button("Write", key="write", type="primary", on_click=_begin, args=(form_request,), width=160)


def _draw_desks(desks: DeltaGenerator, visit: Visit, served: Served, writing: bool) -> list[DeltaGenerator]:
    """The attempt on the desk; the places where its texts stand.

    Each attempt has a place of its own and the others are emptied: the browser keeps what a run has not yet drawn over,
    and the buttons of one attempt must not stand under the growing text of another.
    """
    places: list[DeltaGenerator] = []
    with desks:
        for attempt in visit.attempts:
            if attempt is visit.shown:
                places = _draw_desk(visit, attempt, served, writing)
            else:
                st.empty()
    return places


def _draw_desk(visit: Visit, attempt: Attempt, served: Served, writing: bool) -> list[DeltaGenerator]:
    """An attempt, its drafts side by side."""
    places = []
    with st.container(key=f"{'wide' if len(attempt.drafts) > 1 else 'desk'}-{attempt.id}"):
        small(_describe(attempt))
        for draft, column in zip(attempt.drafts, st.columns(len(attempt.drafts), gap="medium"), strict=True):
            with column, st.container(border=True):
                places.append(_draw_draft(visit, attempt, draft, served, writing))
        if not writing:
            st.button(
                "Write again",
                key=f"again-{attempt.id}",
                icon=":material/refresh:",
                help="The same request with a new seed",
                on_click=_begin,
                args=(lambda: replace(attempt.request, seed=new_seed()),),
            )
    return places


def _describe(attempt: Attempt) -> str:
    """What was asked for, in a line of escaped HTML."""
    request = attempt.request
    asked = [request.title and f"“{request.title}”", request.genre, request.year]
    parts = [escape(str(part)) for part in asked if part]
    sampling = request.sampling
    parts.append(f"temperature {sampling.temperature:g}, seed {request.seed}")
    line = " · ".join(parts)
    if attempt.opening_cut:
        read = len(attempt.opening_read.split())
        line += f"<br>The opening is longer than the model can hold: it read the last {read} words."
    return line


def _draw_draft(visit: Visit, attempt: Attempt, draft: Draft, served: Served, writing: bool) -> DeltaGenerator:
    place = st.empty()
    if writing:
        place.html(_draft_html(attempt, draft))
        return place
    if visit.editing == draft.number:
        _draw_editor(attempt, draft)
        return place
    place.html(_draft_html(attempt, draft))
    small(_ending(attempt, draft))
    if draft.text:
        _draw_actions(attempt, draft)
        _draw_rating(attempt, draft)
        _draw_originality(attempt, draft)
        _draw_surprisal(attempt, draft, served)
    return place


def _draft_html(attempt: Attempt, draft: Draft) -> str:
    writing = attempt.writing and draft.reason is None
    return plot_html(attempt.request.opening.strip(), draft.text, writing)


def _ending(attempt: Attempt, draft: Draft) -> str:
    if attempt.failed:
        return "The model failed while writing; what went wrong stands in the server's log. Write again."
    if not draft.text and draft.reason == "end":
        return "The model sees nothing to add here. Write again, or change the text."
    if attempt.left and draft.reason == "stopped":
        why = "stopped while you were away"
    else:
        why = REASONS[draft.reason] if draft.reason else ""
    return f"{len(attempt.whole(draft).split())} words · {why}"


def _edit(number: int) -> None:
    this_visit().editing = number


def _leave_edit(key: str) -> None:
    this_visit().editing = None
    del st.session_state[key]


def _draw_editor(attempt: Attempt, draft: Draft) -> None:
    key = f"edited-{attempt.id}-{draft.number}"
    st.text_area(
        "Change the text; the model goes on from its end",
        attempt.whole(draft),
        key=key,
        height=320,
        on_change="ignore",
        persist_state="session",
    )
    with st.container(horizontal=True):
        st.button(
            "Continue from here",
            key=f"continue-edited-{draft.number}",
            type="primary",
            on_click=_begin,
            args=(lambda: _continuation(attempt, st.session_state[key]),),
        )
        st.button("Leave it as it was", key=f"leave-{draft.number}", on_click=_leave_edit, args=(key,))


def _draw_actions(attempt: Attempt, draft: Draft) -> None:
    name = f"{attempt.id}-{draft.number}"
    with st.container(horizontal=True, gap="small"):
        st.button(
            "Continue",
            key=f"continue-{name}",
            icon=":material/edit_note:",
            on_click=_begin,
            args=(lambda: _continuation(attempt, attempt.whole(draft)),),
        )
        st.button("Edit", key=f"edit-{name}", icon=":material/edit:", on_click=_edit, args=(draft.number,))
        with st.popover("Keep", icon=":material/download:"):
            _draw_keeping(attempt, draft)


def _continuation(attempt: Attempt, text: str) -> Request:
    """A draft's text, edited or not, as the opening, asked for as the draft was, sampled as the form says now."""
    asked = attempt.request
    return replace(form_request(opening=text, drafts=1), genre=asked.genre, title=asked.title, year=asked.year)


def _draw_keeping(attempt: Attempt, draft: Draft) -> None:
    text, name = attempt.whole(draft), f"{attempt.id}-{draft.number}"
    st.caption("Copy it from the corner of the box, or download it.")
    st.code(text, language=None, wrap_lines=True, height=160)
    with st.container(horizontal=True, gap="small"):
        for label, content, ending, mime in [
            ("Text", text + "\n", "txt", "text/plain"),
            ("Markdown", _markdown(attempt, draft), "md", "text/markdown"),
            ("JSON", attempt.as_json(draft), "json", "application/json"),
        ]:
            st.download_button(
                label, content, f"plot-{attempt.request.seed}.{ending}", mime, key=f"{ending}-{name}", on_click="ignore"
            )
    if attempt.query is None:
        st.caption("The opening is too long for a link that writes the same again; the JSON file holds all it takes.")
        return
    st.caption("The same again: this link writes the same text as long as the model is the same.")
    st.code(f"{(st.context.url or '').split('?')[0]}?{attempt.query}", language=None, wrap_lines=True)


def _markdown(attempt: Attempt, draft: Draft) -> str:
    request = attempt.request
    about = [str(part) for part in (request.genre, request.year) if part]
    settings = ", ".join(f"{name} {value}" for name, value in attempt.settings.items())
    lines = [
        f"# {as_markdown(request.title or 'A film plot')}",
        *([f"*{', '.join(about)}*"] if about else []),
        as_markdown(attempt.whole(draft)),
        "---",
        f"Plotwright: model {attempt.model[:16]}, seed {request.seed}, draft {draft.number + 1}; {settings}.",
    ]
    return "\n\n".join(lines) + "\n"


def _store(write: Callable[[FeedbackStore], None], problem: str) -> bool:
    """Whether `write` has put something into the store; if not, the page says so."""
    try:
        write(FeedbackStore())
    except (sqlite3.Error, OSError) as error:
        this_visit().problem = f"{problem} could not be stored: {as_label(str(error))}."
        return False
    this_visit().problem = ""
    return True


def _rate(attempt: Attempt, draft: Draft, name: str) -> None:
    thumb = st.session_state.get(f"thumb-{name}")
    opinion: Opinion = "withdrawn" if thumb is None else "up" if thumb else "down"
    verdict = attempt.verdict(draft, opinion, st.session_state.get(f"reason-{name}-{opinion}") or "")
    draft.rated = _store(lambda store: store.add_verdict(verdict), "Your rating")


def _choose(attempt: Attempt, number: int) -> None:
    comparison = attempt.comparison(number)
    if _store(lambda store: store.add_comparison(comparison), "Your choice"):
        attempt.best = number


def _draw_rating(attempt: Attempt, draft: Draft) -> None:
    name = f"{attempt.id}-{draft.number}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        thumb = st.feedback(
            "thumbs", key=f"thumb-{name}", on_change=_rate, args=(attempt, draft, name), persist_state="session"
        )
        if len(attempt.drafts) > 1:
            chosen = attempt.best == draft.number
            st.button(
                "The best" if chosen else "This one is best",
                key=f"best-{name}",
                icon=":material/star:",
                type="primary" if chosen else "secondary",
                on_click=_choose,
                args=(attempt, draft.number),
            )
    if thumb is not None:
        st.text_input(
            "What is good about it? (optional)" if thumb else "What is wrong with it? (optional)",
            key=f"reason-{name}-{'up' if thumb else 'down'}",  # a reason for the one is none for the other
            max_chars=500,
            on_change=_rate,
            args=(attempt, draft, name),
            persist_state="session",
        )
        if draft.rated:
            small("Stored. Thank you.")


def _draw_originality(attempt: Attempt, draft: Draft) -> None:
    try:
        check = copy_check()
    except PlotwrightError as error:
        small(f"<b>Originality</b> is not known: {escape(str(error))}")
        return
    found = check.index.check(attempt.whole(draft))
    small(_originality_html(found, check.yardstick(found.words), trained_on(check, attempt.manifest)))
    if found.longest is not None and found.longest.words > 2:
        with st.expander("The longest passage shared with a training plot"):
            st.html(run_html(found.longest.passage))
            small(f"in “{escape(found.longest.title)}”")


def _originality_html(found: Originality, human: Yardstick | None, same_data: bool) -> str:
    """The copy check's figures, and those of human plots beside them, as escaped HTML."""
    longest = counted(found.longest_words, "word")
    html = f"<b>Originality.</b> Longest run of words shared with a training plot: <b>{longest}</b>"
    if human is not None:
        html += f"; in human test plots of this length usually {human.usual}, in 95 of 100 at most {human.high}"
    html += "."
    share = found.novel_share(RUN_WORDS)
    if share is not None:
        html += f"<br>{RUN_WORDS}-word runs that stand in no training plot: <b>{share:.1%}</b>"
        html += f"; in human ones {human.novel:.1%}." if human is not None else "."
    if not same_data:
        html += " (Checked against data/splits as it is now, which is not what this model was trained on.)"
    return html


def _draw_surprisal(attempt: Attempt, draft: Draft, served: Served) -> None:
    wanted = st.toggle(
        "How the model saw it", key=f"saw-{attempt.id}-{draft.number}", help="Each token by how much it surprised"
    )
    if not wanted:
        return
    if draft.read_by != served.writer.fingerprint:
        request = attempt.request
        draft.reading = surprisals(served.writer, attempt.whole(draft), request.genre, request.title, request.year)
        draft.read_by = served.writer.fingerprint
    scale = "".join(f'<span class="pw-s{bits}">{bits}</span>' for bits in range(10))
    small(
        f'Surprisal in bits: <span class="pw-scale">{scale}</span> and more. Point at a word, or tap it, for what the '
        "model held likeliest there; the opening is underlined."
    )
    if served.writer.fingerprint != attempt.model:
        small("Another model wrote this text; here it is read by the present one.")
    st.html(shaded_html(draft.reading, attempt.request.opening.strip()))


def _open(attempt: Attempt) -> None:
    visit = this_visit()
    visit.shown, visit.editing = attempt, None


def _draw_history(visit: Visit) -> None:
    earlier = [attempt for attempt in reversed(visit.attempts) if attempt is not visit.shown]
    if not earlier:
        return
    with st.expander(f"Earlier in this visit ({len(earlier)})", key="history"):
        for attempt in earlier:
            first = as_label(attempt.whole(attempt.drafts[0]) or "(nothing written)", 90)
            st.button(
                f"{attempt.began:%H:%M}  {first}",
                key=f"open-{attempt.id}",
                type="tertiary",
                on_click=_open,
                args=(attempt,),
            )


def _draw_footer(served: Served) -> None:
    writer = served.writer
    small(
        f"Model {writer.fingerprint[:16]} · {escape(writer.description)} · holds {writer.context} tokens, about "
        f"{writer.context * 2 // 3} words"
    )


def _watch(attempt: Attempt, places: Sequence[DeltaGenerator]) -> None:
    """Show the text as it comes, then draw the page anew with all that can be done with it."""
    st.html(f"<script>/* {attempt.id} */{_SCROLL}</script>", unsafe_allow_javascript=True)
    for _ in attempt.news(seconds=0.1):
        for draft, place in zip(attempt.drafts, places, strict=True):
            place.html(_draft_html(attempt, draft))
        time.sleep(_FRAME)
    st.rerun()
