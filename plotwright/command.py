"""The command `plotwright` and its subcommands, each a module with `add_arguments` and `run`."""

import argparse
import os
import sys
from contextlib import suppress
from importlib import import_module

from plotwright.errors import run_or_explain

# Subcommand: its module, opened only when it is called (some open PyTorch), and what it does.
COMMANDS = {
    "write": ("plotwright.write", "write plots: one, several drafts, or one for each line of standard input"),
    "compare": ("plotwright.compare", "tell whether one experiment's model is better than another's"),
    "feedback": ("plotwright.readers", "export what readers said in the app, or report on it"),
    "publish": ("plotwright.publish", "upload the model with its card to the Hugging Face Hub"),
}


def overview() -> str:
    """The commands, a line each."""
    rows = [f"  {name:<12}{summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(["usage: plotwright COMMAND ...", "", *rows, "", "plotwright COMMAND --help says more."])


def main() -> None:
    """Run the subcommand that the command line names; alone, list all."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(overview())
    elif name not in COMMANDS:
        sys.exit(f"error: there is no command {name}; `plotwright` alone lists them.")
    else:
        try:
            run_command(name, sys.argv[2:])
            sys.stdout.flush()
        except KeyboardInterrupt:
            _leave(130)
        except BrokenPipeError:  # whoever reads, such as head, has seen enough
            _leave(141)


def _leave(status: int) -> None:
    """End the process without its usual farewell, which fails where a thread still waits for standard input."""
    with suppress(BrokenPipeError):
        sys.stdout.flush()
    os._exit(status)


def run_command(name: str, words: list[str]) -> None:
    """Run a subcommand with the words that follow it on the command line."""
    module = import_module(COMMANDS[name][0])
    parser = argparse.ArgumentParser(prog=f"plotwright {name}")
    module.add_arguments(parser)
    arguments = parser.parse_args(words)
    run_or_explain(lambda: module.run(arguments))
