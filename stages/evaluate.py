"""evaluate: is the tuned model better, by how much and where; does it use the opening, obey, copy, degenerate?

python stages/evaluate.py BASE SPLITS MODEL METRICS_JSON DOCUMENTS_PARQUET PLOTS_DIR
"""

import sys
from pathlib import Path

try:
    from plotwright.process import end_with_dvc, read_paths

    end_with_dvc()
    import pandas as pd

    from plotwright.breakdown import by_group, by_position, decades, lengths
    from plotwright.degeneration import known_words
    from plotwright.errors import run_or_explain
    from plotwright.evaluation import (
        Reading,
        Report,
        Splits,
        baselines_report,
        gain_report,
        methods_table,
        opening_report,
        overfitting_report,
        read_with,
        refuse_too_long_texts,
        scores_report,
        served_report,
        where_report,
    )
    from plotwright.files import whole_file, write_json
    from plotwright.machine import keep_freed_memory
    from plotwright.obedience import GenreReader, learnable_genres
    from plotwright.originality import CopyIndex
    from plotwright.plots import read_plots
    from plotwright.settings import Params, load_params
    from plotwright.specimens import human_texts, samples_page
    from plotwright.text_evaluation import copying_report, degeneration_report, obedience_report, write_all
    from plotwright.writing import Writer
except ModuleNotFoundError as error:
    sys.exit(f"error: the package {error.name} is not installed here; run make repro, or activate .venv first.")

Tables = dict[str, pd.DataFrame]


def score(
    base: Path, model: Path, writer: Writer, splits: Splits, params: Params
) -> tuple[Report, Tables, pd.DataFrame]:
    """What scores say: the report's parts, tables for plots, and the table of document scores."""
    tuned = read_with(model, splits, params)
    served = served_report(writer, splits.test, tuned.test, params)
    untuned = read_with(base, splits, params)
    documents = document_table(splits.test, untuned, tuned)
    groups = {
        "genre": splits.test["genre"].tolist(),
        "decade": decades(splits.test["year"]),
        "length": lengths(documents["tokens"]),
    }
    tables = {
        f"{name}s": by_group(documents, labels, name, params.evaluate.resamples, params.seed)
        for name, labels in groups.items()
    }
    tables["positions"] = by_position(tuned.nats, params.evaluate.resamples, params.seed)
    report: Report = {
        "test": {"plots": len(splits.test), **scores_report(tuned.test, params)},
        "served": served,
        "base": scores_report(untuned.test, params),
        "gain": gain_report(untuned.test, tuned.test, params),
        "where": where_report(tables),
        "overfitting": overfitting_report(tuned, untuned, params),
        "opening": opening_report(tuned, untuned, params),
        "baselines": baselines_report(splits, model, params),
    }
    return report, {**tables, "methods": methods_table(report)}, documents


def document_table(test: pd.DataFrame, base: Reading, tuned: Reading) -> pd.DataFrame:
    """A row a test plot, in the order of the test split: what `plotwright compare` and the app read."""
    scores = {"nats": tuned.test.nats, "base_nats": base.test.nats, "tokens": tuned.test.tokens}
    return test[["id", "genre"]].reset_index(drop=True).assign(**scores, bytes=tuned.test.bytes)


def look_at_texts(writer: Writer, splits: Splits, params: Params) -> tuple[Report, Tables, str]:
    """What written texts say: the report's parts, tables for plots, and the page of samples."""
    index = CopyIndex(splits.train)
    genres = learnable_genres(splits.train)
    genres = genres if len(genres) > 1 else []
    texts = write_all(writer, genres, params)
    human = human_texts(splits.test, writer, params.evaluate.text_tokens)
    degeneration, settings = degeneration_report(texts, human, known_words(splits.train["text"]), params)
    copying, novelty, longest = copying_report(index, texts, human, params)
    report: Report = {"degeneration": degeneration, "copying": copying}
    read = pd.DataFrame({"genre": splits.test["genre"], "predicted": splits.test["genre"]}).head(0)
    obeyed = pd.DataFrame(columns=["genre", "change"])
    if genres:
        reader = GenreReader(splits.train, params.seed)
        report["obedience"], obeyed = obedience_report(reader, texts, splits.test, human, params)
        known = splits.test[splits.test["genre"].isin(reader.genres)]
        predicted = reader.read(known["text"].tolist()) if len(known) else []
        read = pd.DataFrame({"genre": known["genre"], "predicted": predicted})
    page = samples_page(writer, index, params.generate, params.seed, copying["written"]["texts"], longest)
    return report, {"settings": settings, "novelty": novelty, "genre_reader": read, "obedience": obeyed}, page


def print_summary(report: Report) -> None:
    """The most important figures, and whether params.generate follows the rule for the app's default."""
    for name in ("base", "test", "served"):
        part = report[name]
        print(f"{name:>6}: {part['bits_per_byte']:.3f} bits per byte, perplexity {part['perplexity']:.1f}")
    for name, part in (("gain", report["gain"]), ("gap between test and training plots", report["overfitting"]["gap"])):
        print(
            f"{name:>6}: {part['bits_per_byte']:.3f} bits per byte "
            f"[{part['bits_per_byte_low']:.3f}, {part['bits_per_byte_high']:.3f}]"
        )
    found = report["degeneration"]
    nearest = ", ".join(f"{name} {value:g}" for name, value in found["nearest_settings"].items())
    print(
        "Of the sampling settings tried, those of params.yaml are nearest to human texts."
        if found["generate_is_nearest"]
        else f"Nearer to human texts than the settings of params.yaml ({found['generate']['distance']:.2f} standard "
        f"deviations in the mean) are {nearest} ({found['nearest']['distance']:.2f})."
    )


def main() -> None:
    names = ("base", "splits", "model", "metrics_json", "documents_parquet", "plots_dir")
    base, split_folder, model, metrics, documents_file, plots = read_paths(__doc__, *names)
    params = load_params()
    keep_freed_memory()
    splits = Splits(*(read_plots(split_folder / f"{part}.parquet") for part in ("train", "validation", "test")))
    writer = Writer(model)
    refuse_too_long_texts(writer, params)
    about_scores, tables, documents = score(base, model, writer, splits, params)
    about_texts, text_tables, page = look_at_texts(writer, splits, params)
    for name, table in (tables | text_tables).items():
        with whole_file(plots / f"{name}.csv") as partial:
            table.to_csv(partial, index=False)
    with whole_file(plots / "samples.md") as partial:
        partial.write_text(page, encoding="utf-8")
    with whole_file(documents_file) as partial:
        documents.to_parquet(partial, index=False)
    report = about_scores | about_texts
    write_json(metrics, report)
    print_summary(report)


if __name__ == "__main__":
    run_or_explain(main)
