"""The app's page of answers against the committed figures."""

import json

import pytest
from conftest import ROOT

REPORT = json.loads((ROOT / "metrics/evaluate.json").read_text())


@pytest.fixture
def answers(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "app"))
    import answers

    return answers.answers


def test_every_part_that_evaluate_wrote_is_answered_with_its_figures(answers):
    said = {row["Question"]: row["Answer"] for row in answers(REPORT)}
    assert len(said) == 7
    gain = REPORT["gain"]
    assert f"{gain['bits_per_byte']:.3f} [{gain['bits_per_byte_low']:.3f}" in said["Is it better than its base?"]
    assert f"{REPORT['copying']['written']['longest_run_of_all']} words" in said["Does it copy?"]
    assert f"{REPORT['obedience']['accuracy']:.0%}" in said["Does it write the genre asked for?"]


def test_parts_that_are_not_there_are_not_answered(answers):
    assert [row["Question"] for row in answers({"gain": REPORT["gain"]})] == ["Is it better than its base?"]


def test_no_plot_long_enough_is_said(answers):
    (row,) = answers({"opening": {"plots": 0}})
    assert "no test plot" in row["Answer"]
