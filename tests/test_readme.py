"""The README's figures are those of the committed metrics."""

import json
import re

from conftest import ROOT

README = (ROOT / "README.md").read_text()


def committed(name: str) -> dict:
    return json.loads((ROOT / f"metrics/{name}.json").read_text())


def test_the_results_table_quotes_the_committed_metrics():
    report = committed("evaluate")
    for label, part in (("**tuned**", "test"), ("untuned base", "base")):
        figures = report[part]
        cells = [
            f"{figures[name]:.{digits}f} [{figures[name + '_low']:.{digits}f}, {figures[name + '_high']:.{digits}f}]"
            for name, digits in (("loss", 3), ("perplexity", 1), ("bits_per_byte", 3))
        ]
        assert f"| {label} | {' | '.join(cells)} |" in README
    for label, name in (("Kneser-Ney 5-gram", "kneser_ney_5_gram"), ("unigram", "unigram"), ("gzip", "gzip")):
        row = next(line for line in README.splitlines() if line.startswith(f"| {label}"))
        assert f"{report['baselines'][name]['bits_per_byte']:.3f}" in row


def test_the_gain_is_quoted_with_its_interval():
    gain = committed("evaluate")["gain"]
    low, high = gain["bits_per_byte_low"], gain["bits_per_byte_high"]
    assert f"{gain['bits_per_byte']:.3f} bits per byte [{low:.3f}, {high:.3f}]" in README


def test_every_path_that_the_readme_links_to_is_there():
    targets = re.findall(r'\]\(([^)#:]+)\)|src="([^":]+)"', README)
    assert len(targets) > 8
    for target in {first or second for first, second in targets}:
        assert (ROOT / target).exists(), target
