"""plotwright compare: is one experiment's model better than another's on the test plots, and is that noise?"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import dvc.api
import numpy as np
import pandas as pd
from dvc.exceptions import DvcException
from dvc.scm import RevError

from plotwright.bootstrap import bootstrap_interval
from plotwright.breakdown import FEWEST
from plotwright.errors import PlotwrightError
from plotwright.permutation import sign_flip_p
from plotwright.sentences import counted

SCORES = "data/scores/documents.parquet"
COLUMNS = ("id", "genre", "nats", "tokens", "bytes")
WORKSPACE = "workspace"
RESAMPLES = 10_000
PERMUTATIONS = 10_000
SEED = 20
SIGNIFICANT = 0.05
NAMED = 5  # plots named where two test sets differ


@dataclass(frozen=True)
class Comparison:
    """B less A on the same test plots: below 0, B is better.

    bits_per_byte, loss: the difference with `_low` and `_high`; loss is None where the two count other tokens.
    p: of the difference in bits per byte. by_genre: columns genre, plots, bits_per_byte, low, high.
    """

    plots: int
    bits_per_byte: dict[str, float]
    loss: dict[str, float] | None
    p: float
    by_genre: pd.DataFrame


def read_scores(revision: str, root: Path = Path()) -> pd.DataFrame:
    """The table of document scores at a revision: a commit, branch, tag, experiment name or "workspace".

    Raises PlotwrightError when the revision is unknown, has no scores, or they are not in DVC's cache or remote.
    """
    rev = None if revision == WORKSPACE else revision
    try:
        with dvc.api.open(SCORES, repo=str(root), rev=rev, mode="rb") as file:
            scores = pd.read_parquet(file)
    except RevError:
        raise PlotwrightError(
            f"nothing here is called {revision!r}; name a commit, branch, tag or experiment (`dvc exp show` lists "
            f"them), or {WORKSPACE}."
        ) from None
    except (FileNotFoundError, DvcException):
        where = "in the workspace" if rev is None else f"for {revision} in DVC's cache"
        raise PlotwrightError(
            f"there are no document scores ({SCORES}) {where}: either evaluate did not run there, or the scores were "
            "removed from the cache; get them with `dvc pull` or make them with `dvc repro`."
        ) from None
    missing = [column for column in COLUMNS if column not in scores.columns]
    if missing:
        raise PlotwrightError(
            f"the scores of {revision} were written by another version of Plotwright, without {', '.join(missing)}; "
            "run evaluate there again with `dvc repro`."
        )
    return scores


def align(a: pd.DataFrame, b: pd.DataFrame, names: tuple[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both tables in the order of the plots' ids.

    Raises PlotwrightError where they do not score the same test plots; it names plots that differ.
    """
    a, b = (table.sort_values("id", ignore_index=True) for table in (a, b))
    only = [sorted(set(one["id"]) - set(other["id"])) for one, other in ((a, b), (b, a))]
    if any(only):
        parts = [
            f"only {name} scores {len(ids)} ({', '.join(ids[:NAMED])}{', ...' if len(ids) > NAMED else ''})"
            for name, ids in zip(names, only, strict=True)
            if ids
        ]
        shared = len(a) - len(only[0])
        raise PlotwrightError(
            f"the test sets differ, so their scores cannot be compared: they share {counted(shared, 'plot')}, "
            f"{'; '.join(parts)}; compare experiments with the same sections `data` and `split`."
        )
    changed = a["id"][a["bytes"] != b["bytes"]].tolist()
    if changed:
        raise PlotwrightError(
            f"the test sets differ, so their scores cannot be compared: {names[1]} has another text of "
            f"{counted(len(changed), 'plot')} ({', '.join(changed[:NAMED])}{', ...' if len(changed) > NAMED else ''})."
        )
    return a, b


def _difference(nats: np.ndarray, size: np.ndarray, unit: float) -> dict[str, float]:
    """Summed nats divided by summed size and `unit`, with its document-bootstrap interval."""
    return bootstrap_interval(
        np.stack([nats, size], axis=1),
        lambda total, over: {"difference": total / unit / over},
        RESAMPLES,
        SEED,
    )


def compare(a: pd.DataFrame, b: pd.DataFrame) -> Comparison:
    """B less A on aligned tables of document scores; the same documents are drawn for both."""
    nats, size = (b["nats"] - a["nats"]).to_numpy(), a["bytes"].to_numpy()
    rows = []
    for genre, part in a.groupby("genre").groups.items():
        figures = _difference(nats[part], size[part], np.log(2))
        enough = len(part) >= FEWEST
        rows.append(
            {
                "genre": genre,
                "plots": len(part),
                "bits_per_byte": figures["difference"],
                "low": figures["difference_low"] if enough else np.nan,
                "high": figures["difference_high"] if enough else np.nan,
            }
        )
    same_tokens = bool((a["tokens"] == b["tokens"]).all())
    return Comparison(
        plots=len(a),
        bits_per_byte=_difference(nats, size, np.log(2)),
        loss=_difference(nats, a["tokens"].to_numpy(), 1.0) if same_tokens else None,
        p=sign_flip_p(nats, PERMUTATIONS, SEED),
        by_genre=pd.DataFrame(rows),
    )


def _p_in_words(p: float) -> str:
    smallest = 1 / (PERMUTATIONS + 1)
    return f"p < {2 * smallest:.4f}" if p <= smallest else f"p = {p:.3g}"


def _with_interval(figures: dict[str, float], sign: int = 1) -> str:
    low, high = sorted((sign * figures["difference_low"], sign * figures["difference_high"]))
    return f"{sign * figures['difference']:.4f} [{low:.4f}, {high:.4f}]"


def in_words(comparison: Comparison, names: tuple[str, str]) -> str:
    """One sentence: which is better and by how much, or that no difference can be told."""
    figures, p = comparison.bits_per_byte, _p_in_words(comparison.p)
    if comparison.p >= SIGNIFICANT:
        return (
            f"No difference can be told: {names[1]} less {names[0]} is {_with_interval(figures)} bits per byte ({p})."
        )
    better, worse = (names[1], names[0]) if figures["difference"] < 0 else names
    sign = -1 if figures["difference"] < 0 else 1
    return f"{better} is better than {worse} by {_with_interval(figures, sign)} bits per byte ({p})."


def report(comparison: Comparison, names: tuple[str, str]) -> str:
    """What the command prints."""
    lines = [
        f"{names[1]} less {names[0]} on {counted(comparison.plots, 'test plot')}; below 0, {names[1]} is better.",
        "",
    ]
    lines.append(f"  {'bits per byte':<24}{_with_interval(comparison.bits_per_byte)}")
    lines.append(
        f"  {'loss (nats a token)':<24}{_with_interval(comparison.loss)}"
        if comparison.loss
        else "  loss cannot be compared: the two models count different tokens"
    )
    lines += ["", f"  {'genre':<18}{'plots':>5}  bits per byte"]
    for row in comparison.by_genre.to_dict("records"):
        interval = "" if np.isnan(row["low"]) else f" [{row['low']:+.4f}, {row['high']:+.4f}]"
        lines.append(f"  {row['genre']:<18}{row['plots']:>5}  {row['bits_per_byte']:+.4f}{interval}")
    if comparison.by_genre["low"].notna().sum() > 1:
        lines.append("  Of many genres' intervals, one in twenty misses the truth by chance alone.")
    if comparison.by_genre["low"].isna().any():
        lines.append(f"  Genres of fewer than {FEWEST} plots have no interval.")
    return "\n".join([*lines, "", in_words(comparison, names)])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.description = __doc__
    for name, which in (("a", "the one to compare with"), ("b", "the one that is looked at")):
        parser.add_argument(name, help=f"{which}: commit, branch, tag, experiment name or {WORKSPACE}")


def run(arguments: argparse.Namespace) -> None:
    """Compare two revisions and print the result."""
    names = (arguments.a, arguments.b)
    a, b = align(read_scores(names[0]), read_scores(names[1]), names)
    print(report(compare(a, b), names))
