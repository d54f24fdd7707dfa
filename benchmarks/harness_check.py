"""Does the scorer agree with EleutherAI's lm-evaluation-harness on the same texts and model?

python benchmarks/harness_check.py MODEL PLOTS_PARQUET OUT_JSON [--plots N]     (pip install -e ".[bench]" first)

The harness's rolling log-likelihood puts the end-of-text token before a text and cuts it into windows that do not
overlap in what they score. Given the same prefix and windows the scorer must find the same nats. Exits with status 1
where loss or bits per byte differ by more than TOLERANCE.
"""

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import transformers

try:
    import lm_eval
    from lm_eval.api.instance import Instance
    from lm_eval.api.metrics import bits_per_byte
    from lm_eval.models.huggingface import HFLM
except ModuleNotFoundError as error:
    sys.exit(f'error: the package {error.name} is not installed here; run pip install -e ".[bench]".')

from plotwright.documents import encode, join_documents
from plotwright.errors import run_or_explain
from plotwright.files import write_json
from plotwright.models import context_of, load_model, load_tokenizer
from plotwright.plots import read_plots
from plotwright.scoring import document_scores, summarize, token_nats

TOLERANCE = 1e-3  # nats a token, and bits a byte


def ours(folder: Path, texts: list[str], window: int) -> tuple[np.ndarray, np.ndarray]:
    """Nats and tokens of each text, shape (n,), in windows that predict `window` tokens."""
    tokenizer = load_tokenizer(folder)
    eos = np.array([tokenizer.eos_token_id], dtype=np.int32)
    documents = join_documents([(eos, tokens) for tokens in encode(tokenizer, texts)])
    scores = document_scores(token_nats(load_model(folder), documents, window + 1, window, 4, "scorer"), texts)
    return scores.nats, scores.tokens


def theirs(folder: Path, texts: list[str], window: int) -> np.ndarray:
    """Nats of each text, shape (n,), by the harness."""
    model = HFLM(str(folder), device="cpu", dtype="float32", batch_size=4, max_length=window)
    requests = [Instance("loglikelihood_rolling", {}, (text,), number) for number, text in enumerate(texts)]
    return -np.array(model.loglikelihood_rolling(requests))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "plots", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--plots", type=int, default=40, dest="number", help="plots that are scored (default 40)")
    arguments = parser.parse_args()
    texts = read_plots(arguments.plots)["text"].tolist()[: arguments.number]
    # Half a context, so that many texts take several windows.
    window = context_of(load_model(arguments.model)) // 2
    nats, tokens = ours(arguments.model, texts, window)
    harness = theirs(arguments.model, texts, window)
    size = np.array([len(text.encode("utf-8")) for text in texts])
    figures = {name: float(value) for name, value in summarize(nats.sum(), tokens.sum(), size.sum()).items()}
    of_harness = {
        "loss": float(harness.sum() / tokens.sum()),
        "perplexity": math.exp(harness.sum() / tokens.sum()),
        "bits_per_byte": float(bits_per_byte(list(zip((-harness).tolist(), size.tolist(), strict=True)))),
    }
    difference = {name: abs(figures[name] - of_harness[name]) for name in figures}
    result = {
        "versions": {"lm_eval": lm_eval.__version__, "transformers": transformers.__version__},
        "plots": len(texts),
        "plots_of_several_windows": int((tokens > window).sum()),
        "window": window,
        "scorer": figures,
        "harness": of_harness,
        "difference": difference,
        "largest_difference_of_a_plot_in_nats_a_token": float((np.abs(nats - harness) / tokens).max()),
    }
    write_json(arguments.out, result)
    for name in figures:
        print(f"{name:<16}{figures[name]:>12.6f}{of_harness[name]:>12.6f}{difference[name]:>12.1e}")
    if max(difference["loss"], difference["bits_per_byte"]) > TOLERANCE:
        sys.exit(f"error: scorer and harness differ by more than {TOLERANCE}.")


if __name__ == "__main__":
    run_or_explain(main)
