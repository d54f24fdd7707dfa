"""prepare: raw CSV -> one clean, unique row a plot, and what was dropped and why.

python stages/prepare.py RAW_CSV PLOTS_PARQUET METRICS_JSON
"""

import sys
from pathlib import Path

try:
    from plotwright.process import end_with_dvc, read_paths

    end_with_dvc()
    import pandas as pd

    from plotwright.errors import PlotwrightError, run_or_explain
    from plotwright.files import whole_file, write_json
    from plotwright.plots import clean_rows, describe_plots, draw, select, write_plots
    from plotwright.raw import read_raw
    from plotwright.settings import load_params
except ModuleNotFoundError as error:
    sys.exit(f"error: the package {error.name} is not installed here; run make repro, or activate .venv first.")


def check_left(table: pd.DataFrame, raw: Path, dropped: dict[str, int]) -> None:
    """Raise PlotwrightError when nothing is left of the raw rows."""
    if table.empty:
        why = ", ".join(f"{reason} {count}" for reason, count in dropped.items() if count)
        raise PlotwrightError(
            f"no plot of {raw} is left ({why}); mend the file or lower data.min_words in params.yaml."
        )


def print_summary(metrics: dict, limit: int | None) -> None:
    print(f"rows read            {metrics['read']:>8,}")
    for reason, count in metrics["dropped"].items():
        print(f"  {reason:<18} {-count:>8,}")
    print(f"plots                {metrics['available']:>8,}")
    print(f"taken                {metrics['plots']:>8,}")
    if limit is not None and limit > metrics["available"]:
        print(f"data.limit is {limit:,}, above the number of plots: all are taken")
    genre = metrics["genre"]
    print(f"genre unknown        {genre['share_unknown']:>8.1%}  ({genre['unread']} spellings not read)")
    print(f"words a plot         {metrics['words']['median']:>8,}  median, {metrics['words']['longest']:,} the longest")


def main() -> None:
    raw, plots_parquet, metrics_json = read_paths(__doc__, "raw_csv", "plots_parquet", "metrics_json")
    params = load_params()

    rows = clean_rows(read_raw(raw))
    table, dropped = select(rows, params.data.min_words)
    check_left(table, raw, dropped)
    plots = draw(table, params.data.limit, params.data.seed)
    metrics = {
        "read": len(rows),
        "dropped": dropped,
        "available": len(table),
        "limit": params.data.limit,
        "limit_above_available": params.data.limit is not None and params.data.limit > len(table),
        **describe_plots(plots),
    }
    with whole_file(plots_parquet) as partial:
        write_plots(partial, plots)
    write_json(metrics_json, metrics)
    print_summary(metrics, params.data.limit)


if __name__ == "__main__":
    run_or_explain(main)
