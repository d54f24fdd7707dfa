"""plotwright write, run as a command: the same text again, every way to ask, and what a user does wrong."""

import io
import json
import os
import pty
import shlex
import signal
import subprocess
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from unittest.mock import patch

import pytest
from conftest import ROOT, make_model, make_plots

from plotwright.command import main
from plotwright.documents import prompt
from plotwright.manifest import hash_files
from plotwright.plots import write_plots
from plotwright.sampling import check_sampling
from plotwright.sentences import finish_at_sentence_end
from plotwright.settings import load_params
from plotwright.terminal import Terminal, wrap
from plotwright.write import Copies, Draft, check_genre, drafts_of, flags, originality_in_words
from plotwright.writing import Ended, Piece, Request, Writer, collect

MAIN = (sys.executable, "-c", "from plotwright.command import main; main()", "write")
SHORT = ("--max-new-tokens", "12")


@pytest.fixture(scope="module")
def project(tmp_path_factory, tokenizer) -> Path:
    """A folder with params.yaml, a tiny model and the training plots it says it was trained on."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    (folder / "data/splits").mkdir(parents=True)
    train = folder / "data/splits/train.parquet"
    write_plots(train, make_plots(40))
    model = folder / "models/plot-generator"
    make_model(len(tokenizer)).save_pretrained(model)
    tokenizer.save_pretrained(model)
    (digest,) = hash_files([train]).values()
    manifest = {"sources": {"data": {"data/splits/train.parquet": digest}}}
    (model / "manifest.json").write_text(json.dumps(manifest))
    return folder


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "TERM": "xterm", "COLUMNS": "60"}


def write(project: Path, *arguments: str, given: str | bytes = "") -> subprocess.CompletedProcess:
    """Run the command here, with `given` on standard input: importing PyTorch anew each time takes seconds."""
    given = io.TextIOWrapper(io.BytesIO(given.encode() if isinstance(given, str) else given), encoding="utf-8")
    out, errors, status = io.StringIO(), io.StringIO(), 0
    with (
        chdir(project),
        patch.object(sys, "argv", ["plotwright", "write", *arguments]),
        patch.object(sys, "stdin", given),
        redirect_stdout(out),
        redirect_stderr(errors),
    ):
        try:
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
            print(end.code, file=errors)
    return subprocess.CompletedProcess(arguments, status, out.getvalue(), errors.getvalue())


def assert_explained(done: subprocess.CompletedProcess, *words: str):
    """The command failed with one sentence that has all these words in it."""
    assert (done.returncode, done.stdout) == (1, "")
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("error: ") and sentence.endswith(".")
    for word in words:
        assert word in sentence


def test_the_json_of_drafts_says_all_that_it_takes_to_write_them_again(project):
    asked = ("A pilot", "--genre", "Drama", "--title", "The  Night", "--year", "1974", "--drafts", "2", "--seed", "7")
    first = write(project, *asked, *SHORT, "--json")
    assert (first.returncode, first.stderr) == (0, "")
    rows = [json.loads(line) for line in first.stdout.splitlines()]
    assert [row["settings"]["draft"] for row in rows] == [0, 1] and rows[0]["plot"] != rows[1]["plot"]
    assert write(project, *asked, *SHORT, "--json").stdout == first.stdout
    sampling = check_sampling(**{**load_params(ROOT / "params.yaml").generate.model_dump(), "max_new_tokens": 12})
    request = Request(sampling, 7, "A pilot", "drama", "The Night", 1974, 2)
    writer = Writer(project / "models/plot-generator")
    for row, written in zip(rows, collect(writer.write(request)), strict=True):
        text = written.text if written.reason == "end" else finish_at_sentence_end(written.text)
        assert row["plot"] == ("A pilot" + text).strip()
        assert (row["genre"], row["title"], row["year"], row["seed"]) == ("drama", "The Night", 1974, 7)
        assert (row["ended"], row["tokens"], row["model"]) == (written.reason, written.tokens, writer.fingerprint)
        assert row["settings"] == {**sampling.model_dump(), "drafts": 2, "draft": row["settings"]["draft"]}
        assert row["originality"]["words"] >= 2 and row["data"]


def test_the_printed_options_write_the_same_text_again(project):
    first = write(project, "A pilot", "--temperature", "0.7", *SHORT)
    assert first.returncode == 0, first.stderr
    options = first.stdout[first.stdout.index("--seed") :].split("\n")[0]
    assert write(project, "A pilot", *shlex.split(options)).stdout == first.stdout
    assert "Originality: " in first.stdout


def test_the_printed_options_lose_no_digit():
    sampling = check_sampling(**{**request(1).sampling.model_dump(), "temperature": 1 / 3, "top_p": 1.0})
    printed = flags(Request(sampling, 12345678901234567890)).split()
    options = dict(zip(printed[::2], printed[1::2], strict=True))
    assert options["--seed"] == "12345678901234567890"
    assert float(options["--temperature"]) == 1 / 3 and options["--top-p"] == "1"


def test_openings_from_standard_input_give_a_plot_each_as_if_each_were_asked_alone(project):
    given = "A pilot\n\n  A baker  \nA judge"
    done = write(project, "--seed", "3", "--json", *SHORT, given=given)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["opening"] for row in rows] == ["A pilot", "A baker", "A judge"]
    alone = json.loads(write(project, "A baker", "--seed", "3", "--json", *SHORT).stdout)
    assert rows[1] == alone


def test_a_plot_without_an_opening_is_asked_for_by_an_empty_one(project):
    done = write(project, "", "--seed", "3", "--json", *SHORT)
    assert done.returncode == 0 and json.loads(done.stdout)["opening"] == ""


def test_what_a_user_gets_wrong_is_said_in_one_sentence(project, tmp_path):
    for arguments, words in [
        (("A pilot", "--genre", "thrillr"), ("'thrillr'", "thriller", "western")),
        (("A pilot", "--temperature", "0"), ("temperature is 0.0",)),
        (("A pilot", "--top-p", "nan"), ("top_p is nan",)),
        (("A pilot", "--year", "19740"), ("year is 19740", "1880")),
        (("A pilot", "--drafts", "9"), ("drafts is 9", "1 to 8")),
        (("A pilot", "--seed", "-1"), ("seed is -1",)),
        (("A pilot", "--model", "models/nowhere"), ("no model in models/nowhere", "put a model")),
        (("A pilot", "--model", "data"), ("data cannot be opened",)),
        ((), ("no opening",)),
    ]:
        assert_explained(write(project, *arguments), *words)
    assert_explained(write(project, given=b"\xff\xfe\x00"), "UTF-8")
    assert_explained(write(tmp_path, "A pilot"), "params.yaml", "root")


def test_without_the_training_plots_a_note_stands_in_the_place_of_originality(project):
    train = project / "data/splits/train.parquet"
    aside = train.rename(train.with_name("aside"))
    try:
        done = write(project, "A pilot", "--json", *SHORT)
        assert done.returncode == 0 and json.loads(done.stdout)["originality"] is None
        assert "Originality is not known" in done.stderr and "data/splits/train.parquet" in done.stderr
    finally:
        aside.rename(train)


def test_other_training_plots_than_the_models_are_told_apart(project, monkeypatch):
    monkeypatch.chdir(project)
    assert "not trained on" in Copies({"sources": {"data": {"data/splits/train.parquet": "another"}}}).note
    assert Copies(json.loads((project / "models/plot-generator/manifest.json").read_text())).note == ""
    assert Copies({}).note == ""  # a base model does not say


def test_originality_names_the_plot_that_a_passage_stands_in(project, monkeypatch):
    monkeypatch.chdir(project)
    plot = make_plots(40)["text"][7]
    found = Copies({}).check(f"Zebras! {plot}")
    sentence = originality_in_words(found)
    assert f"at most {len(plot.split())} words" in sentence and "in Film 7" in sentence
    assert originality_in_words(Copies({}).check("Zebras!")) == "no word shared with a training plot."


def test_a_reader_that_has_seen_enough_ends_the_command_without_a_word(project):
    command = f"{shlex.join(MAIN)} --json --seed 1 --max-new-tokens 30 | head -n 1"
    openings = "\n".join(f"A pilot {number}" for number in range(60))
    done = subprocess.run(
        ["bash", "-c", command], cwd=project, env=environment(), input=openings, capture_output=True, text=True
    )
    assert len(done.stdout.splitlines()) == 1 and done.stderr == ""


def on_a_terminal(project: Path, *arguments: str) -> tuple[int, str]:
    """Exit status, and what a terminal got."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(project)
        os.execve(sys.executable, [*MAIN, *arguments], environment())
    got = b""
    with suppress(OSError):  # the other side is closed
        while part := os.read(terminal, 4096):
            got += part
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), got.decode()


def screen(output: str) -> list[str]:
    """The lines that a terminal shows after these bytes: line feeds, carriage returns, cursor up, erase below."""
    lines, at = [""], 0
    for part in output.replace("\r\n", "\n").replace("\x1b[J", "\x1bJ").split("\n"):
        for piece in part.split("\r"):
            if piece.startswith("\x1b[") and "A" in piece:
                up, piece = piece[2:].split("A", 1)
                at -= int(up)
            if piece.startswith("\x1bJ"):
                del lines[at + 1 :]
                lines[at], piece = "", piece[2:]
            lines[at] += piece
        at += 1
        lines[at:] = lines[at:] or [""]
    return "\n".join(lines).rstrip().split("\n")


def test_a_terminal_ends_up_with_what_a_file_gets(project):
    arguments = ("A pilot", "--drafts", "2", "--seed", "5", "--max-new-tokens", "25")
    status, output = on_a_terminal(project, *arguments)
    assert status == 0
    shown = " ".join(" ".join(screen(output)).split())
    assert shown == " ".join(write(project, *arguments).stdout.split())
    assert "Draft 1 of 2" in shown and "Draft 2 of 2" in shown


def test_ctrl_c_keeps_what_is_written_and_ends_with_status_130(project):
    openings = [f"A pilot {number}" for number in range(3000)]
    (project / "openings").write_text("\n".join(openings))
    with (project / "openings").open() as given:
        process = subprocess.Popen(
            [*MAIN, "--json", "--max-new-tokens", "40"],
            cwd=project,
            env=environment(),
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (130, "")
    rows = [json.loads(line) for line in [first, *rest.splitlines()]]
    assert 1 <= len(rows) < len(openings)
    assert all(row["plot"].startswith(row["opening"]) and row["tokens"] for row in rows)


def test_a_shrinking_text_is_taken_back_on_the_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "31")
    terminal, texts = Terminal(), ["A pilot", "A pilot lands. " + "Then " * 20, "A pilot lands."]
    for text in texts:
        terminal.show(text)
    terminal.leave()
    assert screen(capsys.readouterr().out) == ["A pilot lands."]


def test_lines_are_wrapped_at_words_and_kept_apart():
    assert wrap("one two three\n\nfour", 8) == ["one two", "three", "", "four"]


def request(drafts: int) -> Request:
    return Request(load_params(ROOT / "params.yaml").generate, 0, "A pilot", drafts=drafts)


def test_drafts_are_shown_one_after_another_however_their_pieces_come():
    events = [Piece(1, " b"), Piece(0, " a"), Ended(1, "end", 1), Piece(0, " a"), Ended(0, "end", 2)]
    shown = [(draft.number, draft.plot, whole) for draft, whole in drafts_of(request(2), iter(events))]
    assert [number for number, _, _ in shown] == sorted(number for number, _, _ in shown)
    assert [row for row in shown if row[2]] == [(0, "A pilot a a", True), (1, "A pilot b", True)]


@pytest.mark.parametrize(
    "reason, plot",
    [("end", "A pilot lands. Then he"), ("length", "A pilot lands."), ("stopped", "A pilot lands. Then he")],
)
def test_a_text_cut_by_its_length_ends_with_a_sentence_and_no_other_loses_a_word(reason, plot):
    assert Draft(request(1), 0, " lands. Then he", Ended(0, reason, 5)).plot == plot


def test_an_opening_of_whole_sentences_is_never_all_that_is_left():
    draft = Draft(Request(**{**vars(request(1)), "opening": "He lands. Then"}), 0, " he walks", Ended(0, "length", 2))
    assert draft.plot == "He lands. Then he walks"


def test_a_genre_may_be_written_with_capitals_and_must_exist():
    assert check_genre(" Science Fiction ") == "science fiction"
    assert check_genre(None) is None and check_genre("") is None
    assert prompt("", check_genre("War")).startswith("Genre: war\n")
