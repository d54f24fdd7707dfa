"""plotwright compare: right intervals, right p-values, and a clear sentence where nothing can be compared."""

import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest
from tiny_project import IDENTITY, run_here

from plotwright.command import COMMANDS, main
from plotwright.compare import SCORES, align, compare, in_words, read_scores, report
from plotwright.errors import PlotwrightError
from plotwright.permutation import sign_flip_p

NAMES = ("old", "new")


def scores(seed: int, shift: float = 0.0, plots: int = 80, noise: float = 0.05) -> pd.DataFrame:
    """Document scores around two bits a byte; `shift` in bits per byte, noise of each plot's own."""
    shared = np.random.default_rng(0)
    size = shared.integers(400, 1500, plots)
    level = 2 + shared.normal(0, 0.2, plots) + shift + np.random.default_rng(seed).normal(0, noise, plots)
    return pd.DataFrame(
        {
            "id": [f"plot{number:03}" for number in range(plots)],
            "genre": [("comedy", "drama", "war")[min(2, number % 40)] for number in range(plots)],
            "nats": level * np.log(2) * size,
            "tokens": size // 4,
            "bytes": size,
        }
    )


def test_p_values_are_uniform_where_there_is_no_difference():
    generator = np.random.default_rng(3)
    p = [sign_flip_p(generator.standard_t(3, 60), 500, seed) for seed in range(400)]
    assert kstest(p, "uniform").pvalue > 0.01
    assert 0.02 <= np.mean(np.array(p) < 0.05) <= 0.08


def test_the_p_value_of_few_documents_is_the_share_of_all_sign_changes():
    # Of the eight sums +-1 +-2 +-4 two are as large as 7.
    assert sign_flip_p(np.array([1.0, 2.0, 4.0]), 20_000, 0) == pytest.approx(2 / 8, abs=0.015)
    assert sign_flip_p(np.array([1.0, -2.0, 4.0]), 20_000, 0) == pytest.approx(6 / 8, abs=0.015)


def test_no_difference_at_all_has_p_one():
    assert sign_flip_p(np.zeros(50), 100, 0) == 1.0


def test_a_sum_over_many_chunks_counts_every_permutation(monkeypatch):
    monkeypatch.setattr("plotwright.permutation.SIGNS_AT_ONCE", 10)
    assert sign_flip_p(np.ones(30), 199, 0) == 1 / 200


def test_a_clear_difference_is_told_with_its_size():
    comparison = compare(scores(1), scores(2, shift=-0.05))
    assert comparison.bits_per_byte["difference_low"] < -0.05 < comparison.bits_per_byte["difference_high"]
    assert comparison.p < 0.001
    assert comparison.loss is not None
    assert comparison.loss["difference"] == pytest.approx(
        comparison.bits_per_byte["difference"] * np.log(2) * 4, rel=0.01
    )
    assert in_words(comparison, NAMES).startswith("new is better than old by 0.0")


def test_the_worse_model_is_called_worse_with_the_interval_turned_round():
    comparison = compare(scores(2, shift=-0.05), scores(1))
    sentence = in_words(comparison, NAMES)
    assert sentence.startswith("old is better than new by 0.0")
    assert f"[{comparison.bits_per_byte['difference_low']:.4f}, " in sentence


def test_two_seeds_of_one_model_give_no_difference():
    comparison = compare(scores(1), scores(2))
    assert comparison.p > 0.05
    assert in_words(comparison, NAMES).startswith("No difference can be told: new less old is ")


def test_genres_add_up_and_rare_ones_have_no_interval():
    comparison = compare(scores(1), scores(2))
    table = comparison.by_genre.set_index("genre")
    assert table["plots"].to_dict() == {"comedy": 2, "drama": 2, "war": 76}
    assert table["low"].isna().to_dict() == {"comedy": True, "drama": True, "war": False}
    assert "fewer than 5 plots" in report(comparison, NAMES)


def test_other_tokens_leave_bits_per_byte_and_no_loss():
    other = scores(2)
    other["tokens"] += 1
    comparison = compare(scores(1), other)
    assert comparison.loss is None
    assert "count different tokens" in report(comparison, NAMES)


def test_the_order_of_the_plots_does_not_matter():
    one, other = scores(1), scores(2)
    shuffled = other.sample(frac=1, random_state=0)
    assert compare(*align(one, shuffled, NAMES)).bits_per_byte == compare(one, other).bits_per_byte


def test_different_test_sets_are_refused_and_the_plots_named():
    one = scores(1)
    with pytest.raises(PlotwrightError, match=r"they share 77 plots, only old scores 3 \(plot000, plot001, plot002\)"):
        align(one, one.iloc[3:], NAMES)
    changed = one.assign(bytes=one["bytes"].where(one["id"] != "plot007", 1))
    with pytest.raises(PlotwrightError, match=r"new has another text of 1 plot \(plot007\)"):
        align(one, changed, NAMES)


def run(folder: Path, *command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def plotwright(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return run_here(main, folder, *arguments)


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A DVC repository: first commit without scores, then a branch each for two models' scores."""
    folder = tmp_path_factory.mktemp("repository")
    identity = [("git", "config", name, value) for name, value in IDENTITY.items()]
    for command in (("git", "init", "-q", "-b", "main"), *identity, ("dvc", "init", "-q"), ("git", "add", "-A")):
        assert run(folder, *command).returncode == 0
    run(folder, "git", "commit", "-qm", "empty")
    run(folder, "git", "tag", "empty")
    for name, shift in (("first", 0.0), ("second", -0.05)):
        (folder / SCORES).parent.mkdir(parents=True, exist_ok=True)
        scores(1, shift).to_parquet(folder / SCORES, index=False)
        assert run(folder, "dvc", "add", "-q", SCORES).returncode == 0
        run(folder, "git", "add", "-A")
        run(folder, "git", "commit", "-qm", name)
        run(folder, "git", "tag", name)
    scores(1, -0.1).to_parquet(folder / SCORES, index=False)
    assert run(folder, "dvc", "commit", "-q", "--force").returncode == 0
    saved = run(folder, "dvc", "exp", "save", "--name", "third-try")
    assert saved.returncode == 0, saved.stderr
    for command in (("git", "checkout", "-q", "."), ("dvc", "checkout", "-q")):
        assert run(folder, *command).returncode == 0
    return folder


def test_the_command_compares_two_revisions_and_the_workspace(repository):
    finished = plotwright(repository, "compare", "first", "workspace")
    assert finished.returncode == 0, finished.stderr
    assert "workspace is better than first by 0.0500 [0.0500, 0.0500] bits per byte (p < 0.0002)." in finished.stdout


@pytest.mark.parametrize(("revision", "better_by"), [("third-try", 0.1), ("second~1", 0.0), ("HEAD", 0.05)])
def test_a_revision_may_be_an_experiment_or_any_name_that_git_knows(repository, revision, better_by):
    a, b = (read_scores(name, repository) for name in ("first", revision))
    assert compare(a, b).bits_per_byte["difference"] == pytest.approx(-better_by)


@pytest.mark.parametrize(
    ("revision", "sentence"),
    [("nowhere", "nothing here is called 'nowhere'"), ("empty", "there are no document scores")],
)
def test_a_revision_that_cannot_be_read_is_one_sentence(repository, revision, sentence):
    finished = plotwright(repository, "compare", revision, "first")
    assert finished.returncode == 1
    assert finished.stderr.startswith(f"error: {sentence}")
    assert finished.stderr.count("\n") == 1


def test_scores_that_left_the_cache_are_one_sentence(repository, tmp_path):
    run(tmp_path, "git", "clone", "-q", str(repository), "clone")
    with pytest.raises(PlotwrightError, match="there are no document scores"):
        read_scores("first", tmp_path / "clone")


def test_scores_of_another_version_are_refused_with_the_missing_column(tmp_path, monkeypatch):
    (tmp_path / SCORES).parent.mkdir(parents=True)
    scores(1).drop(columns="genre").to_parquet(tmp_path / SCORES, index=False)
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, "dvc", "init", "-q")
    with pytest.raises(PlotwrightError, match="without genre"):
        read_scores("workspace", tmp_path)


def test_the_command_alone_lists_every_command(tmp_path):
    finished = plotwright(tmp_path)
    assert finished.returncode == 0
    for name, (_, summary) in COMMANDS.items():
        assert f"{name} " in finished.stdout
        assert summary in finished.stdout
    unknown = plotwright(tmp_path, "compose")
    assert unknown.returncode == 1
    assert "there is no command compose" in unknown.stderr
