"""Stage download: the full Wikipedia Movie Plots, from Kaggle's public API or placed by hand.

Usage: python stages/download_data.py PARAMS OUT_CSV
"""

import sys

try:
    from plotwright.process import end_with_dvc, read_paths

    end_with_dvc()
    from plotwright.errors import run_or_explain
    from plotwright.settings import load_settings
    from plotwright.wikipedia import WikipediaParams, download_plots
except ModuleNotFoundError as error:
    sys.exit(f"error: the package {error.name} is not installed here; run make repro, or activate .venv first.")


def main() -> None:
    params, out = read_paths(__doc__, "params", "out_csv")
    download_plots(load_settings(params, WikipediaParams).download, out)


if __name__ == "__main__":
    run_or_explain(main)
