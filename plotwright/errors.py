"""The one exception for what a user can put right."""

import sys
from collections.abc import Callable


class PlotwrightError(Exception):
    """Something the user can mend. Its message is one sentence: what is wrong, where, what to do."""


def run_or_explain(main: Callable[[], None]) -> None:
    """Run a script's `main`; print a PlotwrightError as one sentence and exit with status 1.

    Everything else is left to fail loudly with its traceback.
    """
    try:
        main()
    except PlotwrightError as error:
        sys.exit(f"error: {error}")
