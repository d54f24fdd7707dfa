"""split: prepared plots -> train, validation and test, and the leakage left between them.

python stages/split.py PLOTS_PARQUET SPLITS_DIR METRICS_JSON
"""

import sys

try:
    from plotwright.process import end_with_dvc, read_paths

    end_with_dvc()
    from plotwright.duplicates import find_runs
    from plotwright.errors import run_or_explain
    from plotwright.files import whole_folder, write_json
    from plotwright.plots import read_plots, write_plots
    from plotwright.sentences import counted
    from plotwright.settings import load_params
    from plotwright.splitting import PARTS, describe_split, find_groups, measure_leakage, split_plots
except ModuleNotFoundError as error:
    sys.exit(f"error: the package {error.name} is not installed here; run make repro, or activate .venv first.")


def print_summary(metrics: dict) -> None:
    print(f"{'part':<12}{'plots':>8}{'share':>8}{'words':>12}")
    for part in PARTS:
        print(f"{part:<12}{metrics['plots'][part]:>8,}{metrics['share'][part]:>8.1%}{metrics['words'][part]:>12,}")
    groups = metrics["groups"]
    print(
        f"kept together: {counted(groups['plots_in_them'], 'plot')} in {counted(groups['of_several_plots'], 'group')}"
    )
    for part, measures in metrics["leakage"].items():
        print(f"left between {part} and train: " + ", ".join(f"{name} {value:.2%}" for name, value in measures.items()))


def main() -> None:
    plots_parquet, splits, metrics_json = read_paths(__doc__, "plots_parquet", "splits_dir", "metrics_json")
    params = load_params()

    plots = read_plots(plots_parquet)
    runs = find_runs(plots["text"].tolist())
    groups = find_groups(plots["title"].tolist(), runs)
    parts = split_plots(plots, groups, params.split.validation, params.split.test, params.split.seed)
    metrics = {**describe_split(plots, groups, parts), "leakage": measure_leakage(plots, parts, runs)}
    with whole_folder(splits) as partial:
        for part in PARTS:
            write_plots(partial / f"{part}.parquet", plots[parts == part])
    write_json(metrics_json, metrics)
    print_summary(metrics)


if __name__ == "__main__":
    run_or_explain(main)
