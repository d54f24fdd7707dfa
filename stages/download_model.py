"""Stage download: one base model of the Hugging Face Hub at its pinned revision, or placed by hand.

Usage: python stages/download_model.py PARAMS NAME OUT_FOLDER
"""

import sys

try:
    from plotwright.process import end_with_dvc, read_paths

    end_with_dvc()
    from plotwright.errors import PlotwrightError, run_or_explain
    from plotwright.hub import HubParams, download_model
    from plotwright.settings import load_settings
except ModuleNotFoundError as error:
    sys.exit(f"error: the package {error.name} is not installed here; run make repro, or activate .venv first.")


def main() -> None:
    params, name, out = read_paths(__doc__, "params", "name", "out_folder")
    sources = load_settings(params, HubParams).hub
    if str(name) not in sources:
        raise PlotwrightError(f"{params} names no model {name}; choose one of {', '.join(sources)}, or add it there.")
    download_model(str(name), sources[str(name)], out)


if __name__ == "__main__":
    run_or_explain(main)
