"""The card of a published model: what it is, what it was made from, its figures with intervals, and its limits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from plotwright.licences import Base, Text, licence_of_model

Json = Mapping[str, Any]


@dataclass(frozen=True)
class Facts:
    """What a card states.

    manifest, scores, split: manifest.json of the model, metrics/evaluate.json and metrics/split.json. context: tokens.
    commit: of Git. output: DVC's hash of the model folder.
    """

    repo: str
    text: Text
    base: Base
    manifest: Json
    scores: Json
    split: Json
    context: int
    commit: str
    output: str


def _table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def _with_interval(figures: Json, name: str) -> str:
    value, low, high = (figures[name + end] for end in ("", "_low", "_high"))
    return f"{value:.4g} [{low:.4g}, {high:.4g}]"


def _head(facts: Facts) -> str:
    """The YAML that the Hub reads."""
    licence = licence_of_model(facts.text.licence, facts.base.licence)
    fields: dict[str, Any] = {"license": licence}
    if licence == "other":
        fields |= {"license_name": "several-see-below"}
    if facts.base.repo:
        fields |= {"base_model": facts.base.repo}
    fields |= {"language": "en", "library_name": "transformers", "pipeline_tag": "text-generation"}
    return yaml.safe_dump({**fields, "tags": ["plotwright", "film-plots"]}, sort_keys=False)


def _results(scores: Json) -> str:
    names = {"bits_per_byte": "bits per byte", "perplexity": "perplexity", "loss": "loss (nats a token)"}
    rows = [
        (title, _with_interval(scores["base"], name), _with_interval(scores["test"], name))
        for name, title in names.items()
    ]
    return (
        f"{_table(('test plots', 'base model, untuned', 'this model'), rows)}\n\n"
        f"The gain is {_with_interval(scores['gain'], 'bits_per_byte')} bits per byte, the same plots drawn for both "
        f"models. Measured on {scores['test']['plots']} test plots: each token scored exactly once, with sliding "
        "context and no prefix but `Plot:`. Intervals are 95 % bootstrap intervals over plots."
    )


def _training(facts: Facts) -> str:
    manifest = facts.manifest
    rows = [(f"`{name}`", f"`{value}`") for name, value in {"seed": manifest["seed"], **manifest["train"]}.items()]
    precision = manifest["precision"]
    return (
        f"{_table(('parameter', 'value'), rows)}\n\nTrained in {precision['value']}, because {precision['reason']}. "
        "`manifest.json` beside the weights holds the hashes of base, data and code, and the packages' versions."
    )


def _licence(facts: Facts) -> str:
    return (
        f"The training text is {facts.text.what} (`{facts.text.licence}`); the base model is {facts.base.name} "
        f"(`{facts.base.licence}`). Who passes this model on keeps to both."
    )


_USE = """\
The model continues a text of this form, in which the first three lines may each be left out:

```
Genre: thriller
Title: The Long Night
Year: 1974
Plot: A short film about a pilot who
```

```python
from transformers import pipeline

write = pipeline("text-generation", model="{repo}")
asked = "Genre: thriller\\nPlot: A short film about a pilot who"
print(write(asked, max_new_tokens=200, do_sample=True)[0]["generated_text"])
```"""

_LIMITS = """\
- It writes fiction in English. What it says of films, people, places and history is made up, and may name real people.
- It has seen {plots:,} training plots and {words:,} words of them. It repeats their clichés and prejudices, and the
  base model's; nothing filters what it writes.
- It can repeat passages of its training plots. Plotwright's copy check measures that for each text; this folder does
  not contain it.
- It holds {context} tokens at once and loses the thread of a story sooner.
- The figures above hold for plots of the same source, not for other writing."""


def write_card(facts: Facts) -> str:
    """The card as Markdown with the head that the Hub reads."""
    train = {name: facts.split[name]["train"] for name in ("plots", "words")}
    parts = [
        f"---\n{_head(facts)}---\n",
        f"# {facts.repo.split('/')[1]}\n",
        f"A language model that writes film plots: {facts.base.name}, fine-tuned on {train['plots']:,} plots with "
        "Plotwright.\n",
        f"## Use\n\n{_USE.format(repo=facts.repo)}\n",
        f"## Results\n\n{_results(facts.scores)}\n",
        f"## Data\n\nTrained on {facts.text.what}: {train['plots']:,} plots, {train['words']:,} words. Another "
        f"{facts.split['plots']['validation']:,} chose the best weights and {facts.split['plots']['test']:,} were only "
        "scored; remakes and near-duplicates were kept on one side.\n",
        f"## Training\n\n{_training(facts)}\n",
        f"## Limits\n\n{_LIMITS.format(context=facts.context, **train)}\n",
        f"## Licence\n\n{_licence(facts)}\n",
        f"## To make it again\n\nGit commit `{facts.commit}` of the publisher's Plotwright repository, `dvc repro`. "
        f"DVC knows this model as `{facts.output}`.\n",
    ]
    return "\n".join(parts)
