"""What the app's pages show in every state, on a tiny model: no browser, Streamlit's own test driver."""

import json
import os
import shutil
import sqlite3
import threading
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from streamlit.testing.v1 import AppTest
from transformers import BertConfig, BertModel, GPTNeoConfig, GPTNeoForCausalLM

from plotwright.feedback import FeedbackStore
from plotwright.files import sha256_of, write_json
from plotwright.genres import GENRES
from plotwright.manifest import fingerprint
from plotwright.plots import write_plots
from plotwright.settings import load_yaml
from plotwright.training import checkpoint_folder, only_run
from tests.app_world import MODEL, make_world, save_model
from tests.conftest import ROOT, make_model, make_plots

SECONDS = 120
CONTEXT = 256  # tokens that the tiny model can hold
HOSTILE = "<script>alert(1)</script> **bold** [link](https://example.com) $x$ :red[y] & <b>z</b>"


@pytest.fixture
def world(tmp_path, tokenizer, monkeypatch):
    """A repository after a pipeline run, with a tiny model; the test runs inside it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "app"))
    make_world(tmp_path, make_model(len(tokenizer), CONTEXT), tokenizer)
    return tmp_path


def write_page():
    from look import guarded
    from views import write

    guarded(write.show)


def experiments_page():
    from look import guarded
    from views import experiments

    guarded(experiments.show)


def data_and_model_page():
    from look import guarded
    from views import data_and_model

    guarded(data_and_model.show)


def opened(page=write_page, **link):
    """A page as a visitor sees it who has just come, by a link with these parameters if any."""
    app = AppTest.from_function(page, default_timeout=SECONDS)
    for name, value in link.items():
        app.query_params[name] = value
    return app.run()


def button(app, label):
    return next(element for element in app.button if element.label == label)


def labels(app):
    return [element.label for element in app.button]


def html(app):
    """All that the page shows as HTML."""
    return "\n".join(element.proto.body for element in app.get("html"))


def said(app):
    """All messages of the page."""
    return "\n".join(element.value for kind in (app.info, app.warning, app.error) for element in kind)


def short(app, tokens=24):
    """The page with a length that a test can wait for."""
    app.session_state["max_new_tokens"] = tokens
    return app


def write(app, opening="A pilot", **values):
    short(app)
    app.text_area(key="opening").set_value(opening)
    for name, value in values.items():
        app.session_state[name] = value
    button(app, "Write").click()
    return app.run()


def visit(app):
    return app.session_state["visit"]


def texts(app):
    return [visit(app).shown.whole(draft) for draft in visit(app).shown.drafts]


# States


def test_without_a_model_the_page_says_which_command_makes_one(world):
    shutil.rmtree("models")
    app = opened()
    assert "There is no model" in said(app) and app.code[0].value == "dvc repro"
    assert "Write" not in labels(app) and not app.exception


def test_a_model_that_comes_later_is_found_without_a_restart(world):
    Path("models").rename("elsewhere")
    app = opened()
    assert "Write" not in labels(app)
    Path("elsewhere").rename("models")
    assert "Write" in labels(app.run())


def test_a_training_that_replaces_the_model_leaves_the_loaded_one_at_work(world):
    app = opened()
    shutil.rmtree(MODEL)
    app = write(app)
    assert "is being made anew" in said(app) and texts(app)[0].startswith("A pilot")


def test_the_new_model_is_taken_when_it_is_there(world, tokenizer):
    app = opened()
    before = write(app)
    first = visit(before).shown.model
    model = make_model(len(tokenizer), CONTEXT)
    torch.nn.init.normal_(model.transformer.wte.weight)
    save_model(MODEL, model, tokenizer)
    after = write(before)
    assert visit(after).shown.model != first and not said(after)


def test_an_aligned_model_can_be_chosen_where_there_is_one(world, tokenizer):
    assert "model" not in [element.key for element in opened().segmented_control]
    aligned = make_model(len(tokenizer), CONTEXT)
    torch.nn.init.normal_(aligned.transformer.wte.weight)
    save_model(Path("models/plot-generator-aligned"), aligned, tokenizer)
    app = write(opened(), seed=7)
    trained = visit(app).shown
    app = write(app, seed=7, model="Aligned with readers")
    assert visit(app).shown.model != trained.model
    again = opened(**visit(app).shown.link)
    assert texts(again) == texts(app) and not said(again)
    assert again.segmented_control(key="model").value == "Aligned with readers"
    assert texts(opened(**trained.link)) == [trained.whole(trained.drafts[0])]


def test_an_aligned_model_that_cannot_be_opened_leaves_the_way_back(world):
    Path("models/plot-generator-aligned").mkdir()
    app = opened()
    app.segmented_control(key="model").set_value("Aligned with readers").run()
    make = "dvc repro models/aligned/dvc.yaml"
    assert said(app) == f"There is no model in models/plot-generator-aligned; `{make}` makes it."
    assert app.code[0].value == make and "Write" not in labels(app)
    app.segmented_control(key="model").set_value("As trained").run()
    assert "Write" in labels(app)


def test_an_aligned_model_that_is_being_remade_keeps_writing_and_the_page_says_so(world, tokenizer):
    save_model(Path("models/plot-generator-aligned"), make_model(len(tokenizer), CONTEXT), tokenizer)
    app = opened()
    app.segmented_control(key="model").set_value("Aligned with readers").run()
    shutil.rmtree("models/plot-generator-aligned")
    app = app.run()
    assert app.segmented_control(key="model").value == "Aligned with readers"
    assert said(app).startswith("models/plot-generator-aligned is being made anew")


def test_a_link_is_followed_past_a_model_that_cannot_be_opened(world, tokenizer):
    app = write(opened(), seed=7)
    link = visit(app).shown.link
    save_model(Path("models/plot-generator-aligned"), make_model(len(tokenizer), CONTEXT), tokenizer)
    Path("models/plot-generator-aligned/config.json").write_text("{")
    again = opened(**{**link, "model": "0123"})
    assert "The model has changed" in said(again) and "aligned" not in said(again)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("content", [None, b"", b"not what it should be"])
def test_a_broken_folder_is_explained(world, name, content):
    if content is None:
        (MODEL / name).unlink()
    else:
        (MODEL / name).write_bytes(content)
    app = opened()
    assert "dvc repro" in said(app) and "Write" not in labels(app) and not app.exception


def test_a_model_that_breaks_while_another_is_loaded_changes_nothing_but_a_notice(world):
    app = opened()
    # As DVC and the train stage do it: another file in its place. The old one is still mapped into memory.
    (MODEL / "model.safetensors").unlink()
    (MODEL / "model.safetensors").write_bytes(b"half")
    app = write(app)
    assert "cannot be opened" in said(app) and texts(app)[0].startswith("A pilot")


def test_gpt_neo_writes_through_transformers_and_says_so(world, tokenizer):
    config = GPTNeoConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=CONTEXT,
        hidden_size=16,
        num_layers=2,
        attention_types=[[["global", "local"], 1]],
        num_heads=2,
        bos_token_id=0,
        eos_token_id=0,
    )
    save_model(MODEL, GPTNeoForCausalLM(config), tokenizer)
    app = write(opened())
    assert texts(app)[0].startswith("A pilot") and "gpt_neo" in html(app)


def test_what_is_no_language_model_is_explained(world, tokenizer):
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2)
    save_model(MODEL, BertModel(config), tokenizer)
    app = opened()
    if "Write" in labels(app):  # Transformers opens it as a decoder; then writing must not break the page either
        app = write(app)
    assert not app.exception


def test_a_click_while_params_yaml_is_being_edited_is_answered_with_a_sentence(world):
    word, number = opened(), opened()
    Path("params.yaml").write_text("generate: [")
    word.segmented_control(key="creativity").set_value("Wild").run()
    number.slider(key="temperature").set_value(1.5).run()
    for app in (word, number):
        assert "params.yaml" in said(app) and not app.exception


def test_a_broken_params_file_is_explained(world):
    Path("params.yaml").write_text("generate: [")
    app = opened()
    assert "params.yaml" in said(app) and not app.exception


def test_values_that_only_the_pipeline_allows_are_within_the_controls(world):
    allowed = {"temperature": 2.5, "top_p": 0.01, "min_p": 0.9, "repetition_penalty": 3.0}
    params = load_yaml(Path("params.yaml"))
    params["generate"] |= {**allowed, "top_k": 5000, "max_new_tokens": 3000}
    app = opened()
    write_json(Path("params.yaml"), params)
    app = app.run()  # a visit that began before
    assert not app.exception and not app.error and app.slider(key="temperature").value == 1.0
    app.segmented_control(key="creativity").set_value("Wild").run()
    app.segmented_control(key="creativity").set_value("Balanced").run()
    assert {name: app.slider(key=name).value for name in allowed} == allowed
    again = opened(**visit(write(app)).shown.link)
    assert not again.exception and not said(again) and again.slider(key="temperature").value == 2.5
    shutil.copy(ROOT / "params.yaml", ".")
    again = again.run()
    assert not again.exception and not again.error and again.slider(key="temperature").value == 2.0


# Writing


def test_an_opening_is_written_on_and_stands_in_the_page_as_it_was_typed(world):
    app = write(opened(), "A pilot and a baker", genre="comedy", title="Film", year=1951)
    attempt = visit(app).shown
    assert texts(app)[0].startswith("A pilot and a baker") and len(texts(app)[0]) > len("A pilot and a baker")
    assert attempt.prompt == "Genre: comedy\nTitle: Film\nYear: 1951\nPlot: A pilot and a baker"
    assert "A pilot and a baker" in html(app) and "1951" in html(app)


@pytest.mark.parametrize(
    "opening",
    ["", "   ", "pilot " * 300, "Полёт начинается в тумане", "飛行士は夜に", "\N{CLAPPER BOARD}" * 40, HOSTILE],
    ids=["empty", "blank", "longer than the context", "Cyrillic", "Japanese", "emoji", "hostile"],
)
def test_any_opening_is_answered(world, opening):
    app = write(opened(), opening)
    assert not app.exception and not app.error
    assert texts(app)[0].startswith(opening.strip())


def test_an_opening_longer_than_the_context_is_said_to_be_cut(world):
    app = write(opened(), "pilot " * 300)
    assert "longer than the model can hold" in html(app)


def test_markup_in_a_text_is_shown_as_text(world):
    app = write(opened(), HOSTILE, title=HOSTILE)
    assert "<script>" not in html(app) and "<b>z" not in html(app)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html(app)
    app = button(app, "Write again").click().run()
    tertiary = [element.label for element in app.button if "script" in element.label]
    assert tertiary and all("\\<script" in label and "\\[link" in label and "\\$x" in label for label in tertiary)


def test_markup_in_training_plots_is_shown_as_text(world):
    plots = make_plots(40).assign(title=HOSTILE)
    plots["text"] = HOSTILE + " " + plots["text"]
    for name in ("prepared/plots", "splits/train", "splits/test"):
        write_plots(Path("data") / f"{name}.parquet", plots)
    app = opened(data_and_model_page)
    assert "<script>" not in html(app) and not app.exception
    assert all("\\<script" in element.label for element in app.expander if "script" in element.label)
    app = write(opened(), plots["text"][3][:80])
    assert "<script>" not in html(app)


def test_a_line_s_end_in_a_text_begins_a_paragraph(world):
    assert 'One.<span class="pw-par"></span>Two.' in html(write(opened(), "One.\n\nTwo."))


def test_several_drafts_stand_side_by_side_and_differ(world):
    app = write(opened(), drafts=4)
    assert len(set(texts(app))) == 4 and len(app.columns) >= 4


def test_a_seed_writes_the_same_and_write_again_something_else(world):
    app = write(opened(), seed=7)
    first = texts(app)
    assert texts(write(app, seed=7)) == first
    assert texts(button(app, "Write again").click().run()) != first


def test_the_plain_words_set_the_real_controls_and_the_other_way_round(world):
    app = opened()
    balanced = app.slider(key="temperature").value
    app.segmented_control(key="creativity").set_value("Wild").run()
    assert app.slider(key="temperature").value > balanced
    app.slider(key="temperature").set_value(1.95).run()
    assert app.segmented_control(key="creativity").value in (None, [])
    app.segmented_control(key="creativity").set_value("Balanced").run()
    assert app.slider(key="temperature").value == balanced


def test_continue_goes_on_from_the_whole_text_with_what_the_draft_was_asked_with(world):
    app = write(opened(), genre="comedy")
    first = texts(app)[0]
    app.session_state["genre"] = None
    app = button(app, "Continue").click().run()
    assert visit(app).shown.request.opening == first and visit(app).shown.request.genre == "comedy"
    assert texts(app)[0].startswith(first)


def test_an_edited_text_is_continued_from_the_edit_with_what_the_draft_was_asked_with(world):
    app = write(opened(), genre="comedy")
    app = button(app, "Edit").click().run()
    app.text_area[1].set_value("A baker instead")
    app.session_state["genre"] = None
    app = button(app, "Continue from here").click().run()
    assert texts(app)[0].startswith("A baker instead") and visit(app).shown.request.genre == "comedy"


def test_an_edit_can_be_left_as_it_was(world):
    app = write(opened())
    before = texts(app)
    app = button(app, "Edit").click().run()
    app.text_area[1].set_value("A baker instead").run()
    app = button(app, "Leave it as it was").click().run()
    assert texts(app) == before
    assert [button(app, "Edit").click().run().text_area[1].value] == before


def test_every_plot_of_the_visit_can_be_opened_again(world):
    app = opened()
    written = [texts(write(app, f"Opening {number}"))[0] for number in range(3)]
    app = next(element for element in app.button if "Opening 0" in element.label).click().run()
    assert texts(app) == [written[0]]
    assert {attempt.whole(attempt.drafts[0]) for attempt in visit(app).attempts} == set(written)


def test_an_example_becomes_the_opening(world):
    app = button(opened(), "A pilot").click().run()
    assert app.text_area(key="opening").value == "A short film about a pilot who"


def test_visitors_do_not_see_each_others_texts(world):
    one, other = write(opened(), "The first visitor"), write(opened(), "The second visitor")
    assert "second" not in html(one) and "first" not in html(other)
    assert len(visit(other).attempts) == 1


def test_eight_visitors_write_at_once_with_one_model(world):
    from serving import serve
    from visit import Attempt

    from plotwright.sampling import check_sampling
    from plotwright.settings import load_params
    from plotwright.writing import Request

    sampling = check_sampling(**{**load_params().generate.model_dump(), "max_new_tokens": 20})
    writers, attempts = set(), [None] * 8

    def visitor(number):
        served = serve()
        writers.add(id(served.writer))
        attempts[number] = Attempt(served, Request(sampling, number, f"Visitor {number}"))
        for _ in attempts[number].news(0.01):
            pass

    threads = [threading.Thread(target=visitor, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    assert len(writers) == 1
    assert [attempt.whole(attempt.drafts[0])[:9] for attempt in attempts] == [f"Visitor {n}" for n in range(8)]
    assert all(attempt.drafts[0].reason for attempt in attempts)


def test_stop_ends_within_a_moment_and_keeps_the_text(world):
    from serving import serve
    from visit import Attempt

    from plotwright.sampling import check_sampling
    from plotwright.settings import load_params
    from plotwright.writing import Request

    values = {**load_params().generate.model_dump(), "max_new_tokens": 2000}
    served = serve()
    served.writer._loop.decoder.step = slowly(served.writer._loop.decoder.step)
    attempt = Attempt(served, Request(check_sampling(**values), 1, "A pilot"))
    while not attempt.drafts[0].text:
        time.sleep(0.01)
    attempt.stop()
    for _ in attempt.news(0.01):
        pass
    assert attempt.drafts[0].reason == "stopped" and attempt.drafts[0].text
    assert attempt.drafts[0].tokens < 40


def test_what_is_written_for_a_visitor_who_has_left_ends(world, monkeypatch):
    import visit as visits
    from serving import serve

    from plotwright.settings import load_params
    from plotwright.writing import Request

    there = [True]
    monkeypatch.setattr(visits, "PATIENCE", 0.1)
    monkeypatch.setattr(visits, "_presence", lambda: lambda: there[0])
    served = serve()
    served.writer._loop.decoder.step = slowly(served.writer._loop.decoder.step)
    attempt = visits.Attempt(served, Request(load_params().generate, 1, "A pilot"))
    time.sleep(0.3)
    assert attempt.writing and not attempt.left
    there[0] = False
    for _ in attempt.news(0.01):
        pass
    assert attempt.left and attempt.drafts[0].reason == "stopped" and attempt.drafts[0].tokens < 40


def slowly(step):
    def slow(*arguments):
        time.sleep(0.05)
        return step(*arguments)

    return slow


# The same again


def test_a_draft_s_link_writes_the_same_text(world):
    app = write(opened(), "A pilot & a <baker>?", drafts=2, genre="drama", year=1930, temperature=0.7)
    again = opened(**visit(app).shown.link)
    assert texts(again) == texts(app) and not said(again)
    assert again.text_area(key="opening").value == "A pilot & a <baker>?"


def test_a_link_says_when_the_model_has_changed(world, tokenizer):
    app = write(opened())
    link = visit(app).shown.link
    model = make_model(len(tokenizer), CONTEXT)
    torch.nn.init.normal_(model.transformer.wte.weight)
    save_model(MODEL, model, tokenizer)
    again = opened(**link)
    assert "model has changed" in said(again) and visit(again).shown is None
    assert again.number_input(key="seed").value == int(link["seed"])


@pytest.mark.parametrize(
    "change",
    [
        {"seed": "x"},
        {"seed": "-1"},
        {"seed": "9" * 5000},
        {"genre": "<b>nonsense</b>"},
        {"drafts": "9"},
        {"temperature": "nan"},
        {"temperature": "1e9"},
        {"year": "12"},
        {"top_p": "0"},
    ],
    ids=str,
)
def test_a_link_that_nobody_made_is_explained(world, change):
    app = opened(**{"seed": "1", **change})
    assert "link" in said(app) and visit(app).shown is None and not app.exception


@pytest.mark.parametrize("name", ["seed", "genre", "temperature"])
@pytest.mark.parametrize(
    ("hostile", "harmless"),
    [
        ("[log in](https://evil.example)", "\\[log in\\](https\\:\u2060//evil.example)"),
        ("![](//evil.example/x.png)", "\\!\\[\\](//evil.example/x.png)"),
        ("www.evil.example a@evil.example", "www\u2060.evil.example a@\u2060evil.example"),
        (":material/home:", "\\:\u2060material/home\\:\u2060"),
    ],
    ids=["link", "image", "bare addresses", "icon"],
)
def test_markup_in_a_link_is_shown_as_text(world, name, hostile, harmless):
    assert harmless in said(opened(**{"seed": "1", name: hostile}))


def test_an_opening_too_long_for_a_link_stays_out_of_the_address_and_the_page_says_so(world):
    app = write(opened(), "A pilot")
    assert app.query_params["opening"] == "A pilot" and any("?opening=A+pilot&" in code.value for code in app.code)
    app = write(app, "Полёт " * 150)
    assert not dict(app.query_params) and visit(app).shown.query is None
    assert "too long for a link" in "".join(element.value for element in app.caption)


def test_a_link_is_followed_once_a_visit(world):
    app = write(opened())
    again = short(opened(**visit(app).shown.link))
    assert len(visit(again.run()).attempts) == 1


# Originality and surprisal


def test_a_copied_passage_is_shown_with_its_plot(world):
    copied = make_plots(40)["text"][3]
    app = write(opened(), copied)
    assert "in “Film 3”" in html(app) and "in human test plots of this length usually" in html(app)


def test_without_training_plots_the_originality_is_said_to_be_unknown(world):
    shutil.rmtree("data/splits")
    app = write(opened())
    assert "is not known" in html(app) and not app.exception


def test_each_token_is_shown_with_what_else_was_likely(world):
    app = write(opened(), seed=7)  # not one by chance whose text ends at once
    app = app.toggle[0].set_value(True).run()
    assert html(app).count("data-tip=") == len(visit(app).shown.drafts[0].reading) > 5
    assert "bits" in html(app)


def test_a_text_is_read_again_by_a_model_that_came_since_and_its_data_are_those_of_the_one_that_wrote(world, tokenizer):
    train = sha256_of(Path("data/splits/train.parquet"))
    write_json(MODEL / "manifest.json", {"sources": {"data": {"data/splits/train.parquet": train}}})
    app = write(opened())
    app = app.toggle[0].set_value(True).run()
    first = visit(app).shown.drafts[0].reading
    model = make_model(len(tokenizer), CONTEXT)
    torch.nn.init.normal_(model.transformer.wte.weight)
    save_model(MODEL, model, tokenizer)
    write_json(MODEL / "manifest.json", {"sources": {"data": {"data/splits/train.parquet": "other"}}})
    app = app.run()
    assert visit(app).shown.drafts[0].reading != first and "Another model wrote this text" in html(app)
    assert "not what this model was trained on" not in html(app)


# Feedback


def test_a_thumb_is_stored_with_all_it_takes_to_write_the_text_again(world):
    app = write(opened(), genre="drama")
    attempt = visit(app).shown
    app = app.feedback[0].set_value(0).run()
    app = app.text_input[-1].set_value("It's <dull>; ends too soon").run()
    (row,) = FeedbackStore().verdicts().to_dict("records")
    assert (row["verdict"], row["reason"]) == ("down", "It's <dull>; ends too soon")
    assert row["prompt"] == "Genre: drama\nPlot: A pilot" and row["text"] == attempt.drafts[0].text
    assert row["seed"] == attempt.request.seed and row["model"] == attempt.model
    assert row["data"] == fingerprint({"train": "abc"}) and row["settings"]["max_new_tokens"] == 24
    assert not said(app)


def test_a_reason_for_one_thumb_is_not_stored_with_the_other(world):
    app = write(opened())
    app = app.feedback[0].set_value(0).run()
    app.text_input[-1].set_value("Dull").run()
    app = app.feedback[0].set_value(1).run()
    (row,) = FeedbackStore().verdicts().to_dict("records")
    assert (row["verdict"], row["reason"]) == ("up", "")
    app = app.feedback[0].set_value(0).run()
    assert FeedbackStore().verdicts()["reason"].tolist() == ["Dull"]


def test_a_thumb_taken_back_is_not_counted(world):
    app = write(opened())
    app = app.feedback[0].set_value(1).run()
    assert len(FeedbackStore().verdicts()) == 1
    app.feedback[0].set_value(None).run()
    assert len(FeedbackStore().verdicts()) == 0


def test_the_best_of_several_is_stored_as_a_comparison(world):
    app = write(opened(), drafts=3)
    best = [element for element in app.button if element.label == "This one is best"]
    app = best[2].click().run()
    (row,) = FeedbackStore().comparisons().to_dict("records")
    assert row["best"] == 2 and row["texts"] == [draft.text for draft in visit(app).shown.drafts]
    assert "The best" in labels(app)


def test_feedback_that_cannot_be_stored_is_said(world, monkeypatch):
    def fail(*arguments):
        raise sqlite3.OperationalError("disk is full")

    monkeypatch.setattr(FeedbackStore, "add_verdict", fail)
    app = write(opened())
    app = app.feedback[0].set_value(1).run()
    assert "could not be stored: disk is full" in said(app) and texts(app)
    monkeypatch.undo()
    monkeypatch.chdir(world)
    assert not said(app.feedback[0].set_value(0).run())


def test_the_downloads_hold_text_settings_and_fingerprint(world):
    from views.write import _markdown

    app = write(opened(), "A *pilot*", title="A [title]")
    attempt = visit(app).shown
    record = json.loads(attempt.as_json(attempt.drafts[0]))
    assert record["plot"] == texts(app)[0] and record["seed"] == attempt.request.seed
    assert record["model"] == attempt.model
    assert record["settings"]["temperature"] == attempt.request.sampling.temperature
    assert _markdown(attempt, attempt.drafts[0]).startswith("# A \\[title\\]\n\nA \\*pilot\\*")
    assert len(app.get("download_button")) == 3


# The other pages


def test_data_and_model_without_anything_made_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "app"))
    app = opened(data_and_model_page)
    assert "dvc repro" in said(app) and not app.exception


def test_data_and_model_shows_counts_reasons_plots_and_card(world):
    figures = {"bits_per_byte": 1.31, "bits_per_byte_low": 1.27, "bits_per_byte_high": 1.35, "perplexity": 30.0}
    write_json(
        Path("metrics/evaluate.json"),
        {"test": {"plots": 12, **figures}, "base": figures, "gain": figures, "baselines": {"xz": figures}},
    )
    test = pd.read_parquet("data/splits/test.parquet")
    scores = test[["id"]].assign(nats=range(1, 13), base_nats=12.0, tokens=10, bytes=40)
    Path("data/scores").mkdir()
    scores.to_parquet("data/scores/documents.parquet")
    app = opened(data_and_model_page)
    assert not app.exception and not app.error
    shown = html(app)
    for expected in ("Of 45 rows", "3 were shorter", "1.310", "[1.270, 1.350]"):
        assert expected in shown
    assert "1.310 [1.270, 1.350] bits per byte" in app.table[0].value.to_string()
    assert sum("Film " in element.label for element in app.expander) == 10 + 2 * 5
    ten = [element.label for element in app.expander][:10]
    assert [element.label for element in button(app, "Ten others").click().run().expander][:10] != ten


def test_experiments_outside_of_a_repository_says_what_to_do(world):
    app = opened(experiments_page)
    assert "DVC" in said(app) and not app.exception


def test_a_training_that_runs_shows_its_progress_and_one_cut_off_says_so(world):
    curve = [{"step": step, "split": "train", "loss": 3.0} for step in range(1, 31)]
    path = checkpoint_folder("0123456789abcdef" * 4) / "curve.json"
    write_json(path, {"step": 30, "steps": 120, "curve": curve})
    os.utime(path, (time.time() - 3600,) * 2)
    with only_run(path.parent):
        app = opened(experiments_page)
    assert any("runs now" in element.value for element in app.markdown)
    assert "30 of 120 (25%)" in app.get("progress")[0].proto.text
    assert any("was cut off" in element.value for element in opened(experiments_page).markdown)
    write_json(Path("metrics/train.json"), {})  # another training has finished since
    assert not opened(experiments_page).get("progress")


def test_a_curve_that_cannot_be_read_is_a_sentence(world):
    path = Path(".plotwright/checkpoints/abc/curve.json")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    app = opened(experiments_page)
    assert "could not be drawn" in said(app) and not app.exception


def test_what_nobody_foresaw_is_a_sentence_and_no_traceback(world, monkeypatch, caplog):
    import views.experiments

    def fail():
        raise RuntimeError("secret detail")

    monkeypatch.setattr(views.experiments, "all_runs", fail)
    app = opened(experiments_page)
    assert "could not be drawn" in said(app) and "secret" not in said(app) + html(app) and not app.exception
    assert "secret detail" in caplog.text


def test_the_form_offers_the_genres_that_the_model_was_trained_with(world):
    offered = opened().selectbox(key="genre").options
    assert set(offered) == set(GENRES) - {"unknown"}


def test_runs_of_the_same_figures_stand_once_and_differing_parameters_are_named(world):
    from history import Run, differing, distinct

    first = Run("a", "a", "", {"test.bits_per_byte": 1.0}, {"train.epochs": 1, "seed": 1})
    second = replace(first, rev="b", name="b")
    third = replace(first, rev="c", name="c", params={"train.epochs": 2, "seed": 1})
    unmeasured = replace(first, rev="d", metrics={})
    assert distinct([first, second, third, unmeasured]) == [first, third]
    assert differing([first, third]) == ["train.epochs"]
