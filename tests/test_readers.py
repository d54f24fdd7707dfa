"""plotwright feedback: an export whose order stays, with rows of other models marked, and a report on what is there."""

import json
import sqlite3
import sys
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from conftest import ROOT, make_model
from test_feedback import COMPARISON, VERDICT

from plotwright.command import COMMANDS, main, overview
from plotwright.feedback import STORE, FeedbackStore
from plotwright.files import write_json
from plotwright.identity import Source, source_of
from plotwright.preferences import PARAMS, AlignParams
from plotwright.settings import load_settings

SETTINGS = load_settings(ROOT / PARAMS, AlignParams).align


@pytest.fixture
def project(tmp_path, tokenizer) -> Path:
    """A folder with a tiny model that says what it was trained on, and the align stage's parameters."""
    model = tmp_path / "models/plot-generator"
    make_model(len(tokenizer)).save_pretrained(model)
    write_json(model / "manifest.json", {"sources": {"data": {"train": "1"}}})
    (tmp_path / PARAMS).parent.mkdir()
    (tmp_path / PARAMS).write_bytes((ROOT / PARAMS).read_bytes())
    return tmp_path


def source(project: Path) -> Source:
    return source_of(project / "models/plot-generator")


def rate(project: Path, count: int, down: int = 0, **changes: str) -> FeedbackStore:
    """A store with `count` thumbs, `down` of them down, of the model at hand unless `changes` say otherwise."""
    store, at_hand = FeedbackStore(project / STORE), source(project)
    for number in range(count):
        row = replace(VERDICT, draft=f"{number:02x}-0", model=at_hand.model, data=at_hand.data)
        store.add_verdict(replace(row, verdict="down" if number < down else "up", **changes))
    return store


def feedback(project: Path, *words: str) -> str:
    """Run the command there."""
    with chdir(project), patch.object(sys, "argv", ["plotwright", "feedback", *words]):
        main()


def refusal(project: Path, *words: str) -> str:
    """The one sentence with which the command refuses."""
    with pytest.raises(SystemExit) as end:
        feedback(project, *words)
    sentence = str(end.value.code)
    assert sentence.startswith("error: ") and sentence.endswith(".") and "\n" not in sentence
    return sentence


def exported(project: Path, name: str = "verdicts") -> list[dict]:
    return [json.loads(line) for line in (project / f"data/readers/{name}.jsonl").read_text().splitlines()]


def test_the_export_holds_what_was_said_with_rows_of_other_models_marked(project):
    store, at_hand = rate(project, 2), source(project)
    store.add_verdict(replace(VERDICT, draft="fa-0", data=at_hand.data))
    store.add_verdict(replace(VERDICT, draft="fb-0"))
    store.add_comparison(COMPARISON)
    feedback(project, "export")
    rows = exported(project)
    assert [(row["draft"], row["same_model"], row["same_data"]) for row in rows] == [
        ("00-0", True, True),
        ("01-0", True, True),
        ("fa-0", False, True),
        ("fb-0", False, False),
    ]
    assert rows[3]["text"] == VERDICT.text and rows[3]["reason"] == VERDICT.reason
    (choice,) = exported(project, "comparisons")
    assert choice["texts"] == COMPARISON.texts and choice["best"] == 1 and not choice["same_model"]


def test_the_export_is_the_same_whatever_the_order_and_however_often_minds_changed(project, tmp_path):
    names = ["bb-1", "aa-0", "bb-0"]
    one, other = (FeedbackStore(tmp_path / f"{name}.sqlite") for name in ("one", "other"))
    for name in names:
        one.add_verdict(replace(VERDICT, draft=name, time="2026"))
    for name in sorted(names):
        other.add_verdict(replace(VERDICT, draft=name, verdict="down", time="2025"))
        other.add_verdict(replace(VERDICT, draft=name, time="2026"))
    exports = []
    for store in (one, other):
        feedback(project, "export", "--store", str(store.path))
        exports.append((project / "data/readers/verdicts.jsonl").read_bytes())
    assert exports[0] == exports[1] and len(exported(project)) == 3


def test_the_report_counts_by_verdict_genre_and_model(project, capsys):
    store = rate(project, 3, down=1, prompt="Genre: comedy\nPlot:")
    store.add_verdict(replace(VERDICT, draft="fa-0", model="another" * 5))
    store.add_comparison(COMPARISON)
    feedback(project, "report")
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert " ".join(lines[0]) == "4 thumbs (3 up, 1 down), 1 choice"
    assert ["comedy", "2", "1", "0"] in lines and ["none", "asked", "for", "1", "0", "1"] in lines
    assert [source(project).model[:16], "(models/plot-generator)", "2", "1", "0"] in lines
    assert ["anotheranotheran", "(another)", "1", "0", "0"] in lines


@pytest.mark.parametrize(
    "count, down, words",
    [
        (SETTINGS.min_thumbs, 30, "Thumbs are enough"),
        (SETTINGS.min_thumbs - 1, 30, f"there are {SETTINGS.min_thumbs - 1} thumbs, and align.min_thumbs asks for"),
        (SETTINGS.min_thumbs, 3, "3.0% of 100 thumbs are down, and align.min_share asks for 10.0%"),
    ],
)
def test_the_report_says_whether_there_is_enough_by_the_align_stages_own_thresholds(
    project, capsys, count, down, words
):
    rate(project, count, down)
    feedback(project, "report")
    printed = capsys.readouterr().out
    assert words in printed
    assert "Choices are not enough for the align stage: there are 0 choices" in printed


def test_what_a_user_gets_wrong_is_said_in_one_sentence(project):
    assert "feedback.sqlite" in (said := refusal(project, "report")) and "nobody has rated" in said
    rate(project, 1)
    assert "no model in models/nowhere" in refusal(project, "export", "--model", "models/nowhere")
    (project / "file").write_text("")
    assert "file/verdicts.jsonl cannot be written" in refusal(project, "export", "--to", "file")
    (project / "broken.sqlite").write_text("no database")
    assert "broken.sqlite cannot be read" in refusal(project, "report", "--store", "broken.sqlite")
    (project / PARAMS).unlink()
    assert f"there is no {PARAMS}" in refusal(project, "report")


def test_without_permission_to_read_the_store_one_sentence_says_so(project):
    rate(project, 1)
    with patch.object(FeedbackStore, "verdicts", side_effect=sqlite3.OperationalError("unable to open database file")):
        assert "cannot be read (unable to open database file)" in refusal(project, "report")


def test_plotwright_alone_shows_every_command_on_a_line_of_its_own(capsys):
    with patch.object(sys, "argv", ["plotwright"]):
        main()
    lines = capsys.readouterr().out.splitlines()
    for name in ("write", "compare", "feedback", "publish"):
        assert [line for line in lines if line.split()[:1] == [name]] == [f"  {name:<12}{COMMANDS[name][1]}"]
    assert "\n".join(lines) == overview()
