"""Groups add up to the whole, and say what a hand computation says."""

import numpy as np
import pandas as pd
import pytest

from plotwright.breakdown import by_group, by_position, decades, lengths


@pytest.fixture
def documents() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": ["a", "b", "c", "d"],
            "nats": [10.0, 20.0, 30.0, 8.0],
            "base_nats": [12.0, 25.0, 30.0, 8.0],
            "tokens": [5, 10, 10, 8],
            "bytes": [20, 40, 40, 30],
        }
    )


def test_a_groups_figures_are_those_of_its_tokens_together(documents):
    table = by_group(documents, ["x", "x", "y", "y"], "genre", 200, 0).set_index("genre")
    assert table["plots"].tolist() == [2, 2]
    assert table.loc["x", "loss"] == pytest.approx(30 / 15)
    assert table.loc["x", "perplexity"] == pytest.approx(np.exp(2))
    assert table.loc["x", "bits_per_byte"] == pytest.approx(30 / np.log(2) / 60)
    assert table.loc["x", "gain"] == pytest.approx(7 / np.log(2) / 60)


def test_only_a_group_of_enough_documents_has_an_interval(documents):
    many = pd.concat([documents] * 2, ignore_index=True)
    table = by_group(many, ["x"] * 3 + ["y"] * 5, "genre", 200, 0).set_index("genre")
    assert table["gain_low"].isna().to_dict() == {"x": True, "y": False}
    assert table.loc["y", "gain_low"] <= table.loc["y", "gain"] <= table.loc["y", "gain_high"]


def test_decades_and_lengths_name_their_groups():
    assert decades(pd.Series([1929, 1930, None, 2000], dtype="Int64")) == ["1920s", "1930s", "unknown", "2000s"]
    assert lengths(pd.Series([1, 128, 129, 1024, 1025])) == [
        "0001 to 0128",
        "0001 to 0128",
        "0129 to 0256",
        "0513 to 1024",
        "1025 and more",
    ]


def test_positions_average_tokens_and_leave_out_thin_bins():
    table = by_position([np.full(3, 2.0)] * 60 + [np.full(2, 4.0)] * 60, 200, 0, bin_size=2)
    assert table[["position", "tokens", "loss"]].to_dict("list") == {"position": [0], "tokens": [240], "loss": [3.0]}
    assert 2.6 < table["loss_low"].item() < 3 < table["loss_high"].item() < 3.4


def test_the_interval_at_a_position_is_that_of_the_plots_that_are_so_long():
    long, short = np.concatenate([np.zeros(4), np.full(50, 5.0)]), np.zeros(4)
    table = by_position([long] * 3 + [short] * 200, 200, 0, bin_size=50).set_index("position")
    assert table.index.tolist() == [0]
    table = by_position([np.full(60, 5.0)] * 10 + [short] * 200, 200, 0, bin_size=50).set_index("position")
    assert table.loc[50, ["loss_low", "loss", "loss_high"]].tolist() == [5.0, 5.0, 5.0]
