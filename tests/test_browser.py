"""A visitor's way through the app in a real browser; skipped where there is none."""

import os
import re
import shutil

import pytest
import torch

from benchmarks.server import served
from plotwright.feedback import FeedbackStore
from tests.app_world import make_world
from tests.conftest import ROOT, make_model

BROWSER = next((path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), "")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install -e .[dev]")
pytestmark = pytest.mark.skipif(not BROWSER, reason="there is no Chromium here: apt-get install chromium")

SECONDS = 120
# Without these a fresh Chromium asks its maker's servers for updates and settings.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PHONE = {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark"}
PHONE_TOO = pytest.mark.parametrize("page", [DESKTOP, PHONE], ids=["desktop", "phone"], indirect=True)
ON_A_PHONE = pytest.mark.parametrize("page", [PHONE], ids=["phone"], indirect=True)

# A tiny model writes two thousand tokens before a browser has drawn twice. This one takes its time for each.
SERVE_SLOWLY = """
import sys, time
from streamlit.web.cli import main
from plotwright.queueing import Loop
at_once = Loop._round
def slowly(loop):
    time.sleep(0.02)
    at_once(loop)
Loop._round = slowly
main(["run", *sys.argv[1:]])
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory, tokenizer):
    """A repository's folder with a tiny model that never ends a plot by itself."""
    folder = tmp_path_factory.mktemp("world")
    model = make_model(len(tokenizer), context=4096)
    with torch.no_grad():
        model.transformer.ln_f.bias.fill_(1)
        model.transformer.wte.weight[tokenizer.eos_token_id].fill_(-10)  # so unlikely that it never comes
    make_world(folder, model, tokenizer)
    shutil.copytree(ROOT / ".streamlit", folder / ".streamlit")
    return folder


@pytest.fixture(scope="module")
def address(world):
    """The address of the app, served from that folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (world / "server.log").open("w") as log:
        script = ["-c", SERVE_SLOWLY, str(ROOT / "app")]
        with served(script, cwd=world, env=environment, stdout=log, stderr=log) as (address, _):
            yield address


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def page(request, browser, address):
    """The first page, ready to write; the test fails on any error in the browser's console."""
    page = browser.new_page(**getattr(request, "param", DESKTOP))
    errors = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.set_default_timeout(SECONDS * 1000)
    page.goto(address)
    press(page, "Write", click=False)
    settle(page)
    yield page
    page.close()
    assert errors == []


def press(page, name, click=True):
    button = page.get_by_role("button", name=name, exact=True)
    button.wait_for()
    if click:
        button.click()


def settle(page):
    """Wait until Streamlit has drawn the page to its end."""
    page.locator("[data-test-script-state=notRunning]").wait_for()


def controls(page, tokens):
    """Open the real controls and set the length."""
    page.get_by_text("All controls").click()
    length = page.get_by_label("Length", exact=True)
    length.fill(str(tokens))
    length.press("Enter")
    settle(page)


def write(page, opening):
    field = page.get_by_label("How does it begin?")
    field.fill(opening)
    press(page, "Write")


def written(page):
    return page.locator(".pw-plot").first.inner_text()


def finished(page):
    press(page, "Write again", click=False)
    return written(page)


def test_a_visitor_writes_continues_rates_and_comes_back_by_the_link(page, world):
    controls(page, 30)
    write(page, "A pilot in winter")
    first = finished(page)
    assert first.startswith("A pilot in winter") and len(first) > len("A pilot in winter")

    link = page.url
    assert "seed=" in link and "model=" in link
    page.goto(link)
    assert finished(page) == first

    press(page, "Continue")
    page.wait_for_function("before => document.querySelector('.pw-plot')?.innerText.length > before", arg=len(first))
    assert finished(page).startswith(first.rstrip())  # what is continued loses its blanks at the end

    before = len(FeedbackStore(world / "data/feedback/feedback.sqlite").verdicts())
    page.get_by_role("radio", name="Thumbs up").click()
    page.get_by_text("Stored. Thank you.").wait_for()
    assert len(FeedbackStore(world / "data/feedback/feedback.sqlite").verdicts()) == before + 1


@ON_A_PHONE
def test_text_streams_in_and_stop_keeps_what_is_written(page):
    controls(page, 2000)
    write(page, "A pilot")
    page.wait_for_function("document.querySelector('.pw-written')?.textContent.length > 0")
    early = len(written(page))
    page.wait_for_function("before => document.querySelector('.pw-plot')?.innerText.length > before", arg=early)
    assert page.locator(".pw-cursor").count() == 1
    assert not page.get_by_role("button", name="Write", exact=True).is_visible()
    press(page, "Stop")
    stopped = finished(page)
    assert len(stopped) > early and stopped.startswith("A pilot")
    assert "stopped by you" in page.inner_text("body")


def test_another_page_opened_while_writing_loses_nothing(page):
    controls(page, 150)
    write(page, "A baker")
    page.wait_for_function("document.querySelector('.pw-written')?.textContent.length > 0")
    page.get_by_role("link", name="Data and model").click()
    page.get_by_role("heading", name="Data and model").wait_for()
    page.get_by_role("link", name="Write", exact=True).click()
    assert finished(page).startswith("A baker")
    assert page.get_by_label("How does it begin?").input_value() == "A baker"


@PHONE_TOO
def test_every_page_opens_and_fits_the_screen_light_or_dark(page):
    dark = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    for name in ("Experiments", "Data and model", "Write"):
        page.get_by_role("link", name=name, exact=True).click()
        page.get_by_role("heading", name=re.compile(name.split()[0]), level=1).wait_for()
        page.wait_for_load_state("networkidle")
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        colour = page.evaluate("getComputedStyle(document.querySelector('.stApp')).backgroundColor")
        assert (sum(int(part) for part in re.findall(r"\d+", colour)[:3]) < 150) == dark, name


def test_the_page_can_be_used_by_keyboard_alone(page):
    controls(page, 30)
    page.get_by_label("How does it begin?").focus()
    page.keyboard.type("A judge")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.innerText").strip() == "Write":
            break
    page.keyboard.press("Enter")
    assert finished(page).startswith("A judge")


def test_markup_typed_by_a_visitor_stays_text(page):
    controls(page, 10)
    write(page, "<img src=x onerror=\"document.title='broken'\"> **bold**")
    assert finished(page).startswith("<img src=x onerror=")
    assert page.title() != "broken" and page.locator(".pw-plot img").count() == 0
