"""pyproject.toml declares what the code imports, and docs/UPDATING.md shows the same ranges and pins."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

import pytest
from conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]


def names(requirements: list[str]) -> dict[str, str]:
    return dict(re.fullmatch(r"([\w-]+)(?:\[\w+\])?(.*)", line.lower()).groups() for line in requirements)


def imported(*folders: str) -> set[str]:
    """The distributions that the files of these folders import, not counting the standard library and each other."""
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    found = set()
    for node in (node for file in files for node in ast.walk(ast.parse(file.read_text()))):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    own = {"plotwright", "stages", *(path.stem for path in files), *(path.parent.name for path in files)}
    known = packages_distributions()
    return {known[name][0].lower() for name in found - own - sys.stdlib_module_names if name in known}


@pytest.mark.parametrize(
    ("folders", "extras"), [(("plotwright", "stages", "app"), ["align"]), (("tests",), ["align", "dev"])]
)
def test_every_package_that_is_imported_is_declared(folders, extras):
    declared = names([*PROJECT["dependencies"], *(line for extra in extras for line in EXTRAS[extra])])
    assert imported(*folders) <= set(declared)


def test_the_table_of_direct_dependencies_has_each_range_and_pin():
    pins = dict(line.lower().split("==") for line in (ROOT / "requirements.txt").read_text().split())
    document = (ROOT / "docs/UPDATING.md").read_text()
    rows = re.findall(r"^\| ([\w-]+)(?: \(.*?\))? \| (>=\S+) \| (\S+) \|", document, re.MULTILINE)
    table = {name.lower(): (spread, pin) for name, spread, pin in rows}
    declared = names([*PROJECT["dependencies"], *EXTRAS["align"], *EXTRAS["dev"]])
    assert set(table) == set(declared) - {"plotwright"}
    for name, (spread, pin) in table.items():
        assert (spread, pin) == (declared[name], pins[name]), name
