"""The app as a visitor meets it, with the model of this repository: seconds to a usable page and to the first words,
eight visitors at once, feedback from eight processes.

python benchmarks/app.py [--rounds 10] [--visitors 8]     (needs models/plot-generator, data/splits and a Chromium)

A fresh server is started on a free port of this machine and driven by a headless Chromium on the same machine. Times
to the first words are taken inside the page, from the click to the frame in which a written word stands there.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil
from playwright.sync_api import Browser, Page, sync_playwright
from server import served

from plotwright.feedback import FeedbackStore, Verdict

QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
OPENING = "A short film about a pilot who"
PRESS = 90  # ms between a hand's pressing and releasing a button
REST = 700  # ms after which a page has drawn all that leaving a field made it draw
# Keeps in window.waited the milliseconds from a click on Write to the frame in which a letter of its text stands there.
LISTEN = """() => document.addEventListener("click", event => {
  if (event.target.closest("button")?.innerText.trim() !== "Write") return;
  const old = document.querySelector(".pw-written"), began = performance.now();
  const look = () => {
    const now = document.querySelector(".pw-written");
    if (now && now !== old && now.textContent.trim()) window.waited = performance.now() - began;
    else requestAnimationFrame(look);
  };
  window.waited = null;
  look();
}, true)"""


def open_page(browser: Browser, address: str) -> Page:
    """The first page in a window of its own, with Write ready to be clicked."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(120_000)
    page.goto(address)
    page.get_by_role("button", name="Write", exact=True).wait_for()
    page.locator("[data-test-script-state=notRunning]").wait_for()
    return page


def type_opening(page: Page, opening: str) -> None:
    """Fill in the opening, as a visitor who then leaves the field."""
    field = page.get_by_label("How does it begin?")
    field.fill(opening)
    field.blur()
    page.locator("[data-test-script-state=notRunning]").wait_for()


def wait_for_end(page: Page) -> str:
    """The text of the plot once it is written."""
    page.get_by_role("button", name="Write again", exact=True).wait_for()
    return page.locator(".pw-plot").first.inner_text()


def first_words(page: Page, rounds: int, rest: bool) -> list[float]:
    """Milliseconds from each click on Write to the first written letter.

    The opening is typed before it. `rest`: the page comes to rest in between; without it the click itself is what
    leaves the field, as a visitor's click mostly is.
    """
    taken = []
    for number in range(rounds):
        field = page.get_by_label("How does it begin?")
        field.fill(f"{OPENING}{' really' * number}")
        if rest:
            field.blur()
            page.wait_for_timeout(REST)
        page.get_by_role("button", name="Write", exact=True).click(delay=PRESS)
        page.wait_for_function("window.waited > 0")
        taken.append(page.evaluate("window.waited"))
        wait_for_end(page)
    return taken


def together(browser: Browser, address: str, visitors: int) -> tuple[list[str], float]:
    """The texts of so many visitors who click within a moment, and the seconds until all have theirs."""
    pages = [open_page(browser, address) for _ in range(visitors)]
    for number, page in enumerate(pages):
        type_opening(page, f"Visitor {number} opens the door and")
    began = time.perf_counter()
    for page in pages:
        page.get_by_role("button", name="Write", exact=True).click()
    texts = [wait_for_end(page) for page in pages]
    return texts, time.perf_counter() - began


def mebibytes(process: psutil.Process) -> float:
    """Resident memory."""
    return process.memory_info().rss / 2**20


def feedback(processes: int = 8, rows: int = 1000) -> tuple[int, float]:
    """Rows stored after `rows` verdicts from several processes, and the seconds they took."""
    script = "import sys; from app import rate; rate(sys.argv[1], sys.argv[2], int(sys.argv[3]))"
    with tempfile.TemporaryDirectory() as folder:
        path, began = Path(folder) / "feedback.sqlite", time.perf_counter()
        writers = [
            subprocess.Popen(
                [sys.executable, "-c", script, str(path), str(number), str(rows // processes)],
                cwd=Path(__file__).parent,
            )
            for number in range(processes)
        ]
        assert all(writer.wait() == 0 for writer in writers)
        return len(FeedbackStore(path).verdicts()), time.perf_counter() - began


def rate(path: str, name: str, count: int) -> None:
    """Store so many thumbs; what one process of `feedback` does."""
    store = FeedbackStore(Path(path))
    for number in range(count):
        store.add_verdict(Verdict(f"{name}-{number}", "Plot:", " text", 1, {"temperature": 0.8}, "m", "d", "up"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=10, help="clicks on Write")
    parser.add_argument("--visitors", type=int, default=8)
    arguments = parser.parse_args()
    browser_path = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as driver, served() as (address, app):
        process = psutil.Process(app.pid)
        browser = driver.chromium.launch(executable_path=browser_path, args=QUIET)
        began = time.perf_counter()
        page = open_page(browser, address)
        print(f"first visit, opening the model too: {time.perf_counter() - began:.2f} s")
        began = time.perf_counter()
        open_page(browser, address).close()
        print(f"page usable with the model loaded: {time.perf_counter() - began:.2f} s")
        page.evaluate(LISTEN)
        for rest, when in ((True, "on a page at rest"), (False, "straight from the field")):
            taken = first_words(page, arguments.rounds, rest)
            print(f"first words after a click {when}: median {median(taken):.0f} ms, longest {max(taken):.0f} ms")
        before = mebibytes(process)
        texts, seconds = together(browser, address, arguments.visitors)
        right = sum(text.startswith(f"Visitor {number} opens the door and") for number, text in enumerate(texts))
        print(f"{arguments.visitors} visitors at once: {right} have their text after {seconds:.1f} s")
        weights = sum(file.stat().st_size for file in Path("models/plot-generator").glob("*.safetensors")) / 2**20
        print(
            f"resident memory {before:.0f} MiB before, {mebibytes(process):.0f} MiB after; "
            f"a second model's weights would take {weights:.0f} MiB"
        )
        browser.close()
    rows, seconds = feedback()
    print(f"feedback: {rows} rows of 1000 written by 8 processes in {seconds:.1f} s (their start included)")
    print(f"on {len(os.sched_getaffinity(0))} processors")


if __name__ == "__main__":
    main()
