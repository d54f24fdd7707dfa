"""What evaluate found, as questions that a sceptic asks and answers in words."""

from collections.abc import Mapping
from typing import Any

Figures = Mapping[str, Any]


def _show(value: float, digits: int, percent: bool) -> str:
    return f"{value:.0%}" if percent else f"{value:.{digits}f}"


def brackets(figures: Figures, name: str = "bits_per_byte", digits: int = 3, percent: bool = False) -> str:
    """The 95 % interval of a figure behind a blank, or nothing where it has none."""
    if f"{name}_low" not in figures:
        return ""
    low, high = (_show(figures[f"{name}_{end}"], digits, percent) for end in ("low", "high"))
    return f" [{low}, {high}]"


def interval(figures: Figures, name: str, digits: int = 3, percent: bool = False) -> str:
    """A figure with its 95 % interval: "0.199 [0.190, 0.208]"."""
    return _show(figures[name], digits, percent) + brackets(figures, name, digits, percent)


def _uses_the_opening(found: Figures) -> str:
    if not found["plots"]:
        return "no test plot is long enough to tell"
    return (
        f"it picks the true continuation of ten in {interval(found['tuned'], 'accuracy', percent=True)}, "
        f"the base in {found['base']['accuracy']:.0%}; chance is 10%"
    )


def _obeys(found: Figures) -> str:
    return (
        f"the requested genre is read in {interval(found, 'accuracy', percent=True)} of its plots; "
        f"chance is {found['chance']:.0%}, and human plots are read right in {found['reader']['accuracy']:.0%}"
    )


def answers(evaluate: Figures) -> list[dict[str, str]]:
    """A row, Question and Answer, for each part of metrics/evaluate.json that is there.

    Older commits lack parts, and a training set of one genre has no obedience.
    """
    questions = {
        "gain": ("Is it better than its base?", lambda f: f"by {interval(f, 'bits_per_byte')} bits per byte"),
        "served": ("Is it the same as served here?", lambda f: f"its loss changes by {f['loss_change']:+.3%}"),
        "overfitting": (
            "Is it overfitted?",
            lambda f: f"test plots cost {interval(f['gap'], 'bits_per_byte')} bits per byte more than training plots",
        ),
        "opening": ("Does it use the opening?", _uses_the_opening),
        "copying": (
            "Does it copy?",
            lambda f: (
                f"the longest run shared with a training plot is {f['written']['longest_run_of_all']} words in "
                f"{f['written']['texts']} texts; in human test plots {f['human']['longest_run_of_all']}"
            ),
        ),
        "degeneration": (
            "Does it degenerate?",
            lambda f: (
                f"its texts are {interval(f['generate'], 'distance', 2)} standard deviations from human ones, "
                f"which are {f['human_distance']['mean']:.2f} from each other"
            ),
        ),
        "obedience": ("Does it write the genre asked for?", _obeys),
    }
    return [
        {"Question": question, "Answer": answer(evaluate[part])}
        for part, (question, answer) in questions.items()
        if part in evaluate
    ]
