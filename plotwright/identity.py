"""Which model a folder holds: fingerprints of its files and of the data it was trained on."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plotwright.errors import PlotwrightError
from plotwright.folders import how_to_make, require_model
from plotwright.manifest import fingerprint, hash_model


@dataclass(frozen=True)
class Source:
    """Fingerprints of the model that writes and of the data it was trained on (empty where it does not say)."""

    model: str
    data: str


def read_manifest(folder: Path) -> dict[str, Any]:
    """What the model in a folder was made from; empty for a base model, which does not say.

    Raises PlotwrightError when its manifest.json cannot be read or is no manifest.
    """
    file = folder / "manifest.json"
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        manifest = None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("sources", {}), dict):
        raise PlotwrightError(
            f"{file} does not say in JSON what made the model; remove that file, or make the model anew: "
            f"{how_to_make(folder)}."
        )
    return manifest


def manifest_if_readable(folder: Path) -> dict[str, Any]:
    """read_manifest for whoever can do without: empty also where the file cannot be read or is no manifest."""
    try:
        return read_manifest(folder)
    except PlotwrightError:
        return {}


def data_of(manifest: dict[str, Any]) -> str:
    """Fingerprint of the data that the model of this manifest was trained on, empty where it does not say."""
    hashes = manifest.get("sources", {}).get("data")
    return fingerprint(hashes) if hashes else ""


def source_of(folder: Path) -> Source:
    """The fingerprints that the feedback store keeps with every verdict on a text of this model.

    Raises PlotwrightError when there is no such folder, or its manifest.json cannot be read.
    """
    require_model(folder)
    return Source(fingerprint(hash_model(folder)), data_of(read_manifest(folder)))
