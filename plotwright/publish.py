"""plotwright publish: upload the model folder with a generated card to the Hugging Face Hub."""

import argparse
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo
from huggingface_hub import CommitOperationAdd, HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError, HTTPError, OfflineModeIsEnabled

from plotwright.card import Facts, write_card
from plotwright.errors import PlotwrightError
from plotwright.files import whole_file
from plotwright.folders import MODEL, require_model
from plotwright.licences import licence_of_base, licence_of_text
from plotwright.settings import load_params, load_yaml

PIPELINE = "dvc.yaml"
CARD = Path(".plotwright/publish/README.md")
# What a Git commit must hold for the model to be made again from it.
RECIPE = ("dvc.lock", PIPELINE, "params.yaml", "stages", "plotwright", "metrics")
REPO = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
LICENCE = re.compile(r"[a-z0-9][a-z0-9.-]*")


def model_files(folder: Path) -> list[Path]:
    """The files that are uploaded, in order of their names.

    Raises PlotwrightError when the folder is missing or does not say what made the model.
    """
    require_model(folder)
    if not (folder / "manifest.json").exists():
        raise PlotwrightError(f"{folder} has no manifest.json that says what made the model; remake it with dvc repro.")
    return sorted(file for file in folder.rglob("*") if file.is_file() and file.name != "README.md")


def refuse_unclean_pipeline() -> None:
    """Raise PlotwrightError unless the workspace is what dvc.lock says, every stage of the pipeline run."""
    try:
        # Only the pipeline: without a target DVC also lists the downloads that were never needed.
        with Repo() as repo:
            status = repo.status(targets=[PIPELINE])
    except DvcException as error:
        raise PlotwrightError(f"the state of the pipeline cannot be told: {' '.join(str(error).split())}.") from None
    if status:
        raise PlotwrightError(
            f"the pipeline is not up to date ({', '.join(sorted(status))}), so the card could not say what made this "
            f"model; run dvc repro first (dvc status {PIPELINE} tells more)."
        )


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise PlotwrightError(f"Git cannot name the commit that made this model: {' '.join(done.stderr.split())}.")
    return done.stdout.strip()


def committed_recipe() -> str:
    """The Git commit that makes this model again.

    Raises PlotwrightError when pipeline, parameters, code or figures are not committed as they are.
    """
    changed = [line.split()[-1] for line in _git("status", "--porcelain", "--", *RECIPE).splitlines()]
    if changed:
        raise PlotwrightError(
            f"{', '.join(changed[:5])}{', ...' if len(changed) > 5 else ''} {'is' if len(changed) == 1 else 'are'} "
            "not committed, so no revision would make this model again; commit first."
        )
    return _git("rev-parse", "HEAD")


def _read_json(path: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def dvc_hash(output: Path) -> str:
    """DVC's hash of an output of the pipeline, from dvc.lock."""
    lock: Any = load_yaml(Path("dvc.lock"))
    outs = (out for stage in lock["stages"].values() for out in stage.get("outs", []))
    return next(str(out["md5"]) for out in outs if out["path"] == output.as_posix())


def gather_facts(repo: str, data_license: str | None, base_license: str | None) -> Facts:
    """What the card states. Raises PlotwrightError when a licence is unknown or the revision is not committed."""
    params = load_params()
    text = licence_of_text(params.data.raw, data_license)
    base = licence_of_base(Path(params.model.base), base_license)
    refuse_unclean_pipeline()
    config = _read_json(MODEL / "config.json")
    return Facts(
        repo=repo,
        text=text,
        base=base,
        manifest=_read_json(MODEL / "manifest.json"),
        scores=_read_json(Path("metrics/evaluate.json")),
        split=_read_json(Path("metrics/split.json")),
        context=config.get("max_position_embeddings") or config["n_positions"],
        commit=committed_recipe(),
        output=dvc_hash(MODEL),
    )


def _refusal(error: HfHubHTTPError, repo: str) -> str:
    status, owner = error.response.status_code, repo.split("/")[0]
    match status:
        case 401:
            return "it does not accept the token; log in again with hf auth login, or set HF_TOKEN to a valid one"
        case 403:
            return f"the token may not write to {owner}; make one with write access to it on the Hub's settings page"
    said = " ".join((error.server_message or "").split())
    return f"it answered {status}{f' ({said})' if said else ''}"


def _why(error: BaseException, repo: str) -> str:
    """Half a sentence on what went wrong."""
    match error:
        case HfHubHTTPError():
            return _refusal(error, repo)
        case OfflineModeIsEnabled():
            return "HF_HUB_OFFLINE is set; unset it"
        case HTTPError():
            return "the connection cannot be made or was cut; run the same command again"
        case RuntimeError() if error.__cause__:  # huggingface_hub's wrapping of what happened to one file
            return _why(error.__cause__, repo)
    return " ".join(str(error).split()).rstrip(".")


@contextmanager
def explained(repo: str) -> Iterator[None]:
    """Make one sentence of whatever the Hub, or the way to it, answers."""
    try:
        yield
    except (HTTPError, OfflineModeIsEnabled, RuntimeError, ValueError) as error:
        raise PlotwrightError(f"{repo} could not be published on {constants.ENDPOINT}: {_why(error, repo)}.") from None


def upload(repo: str, files: list[Path], card: Path, private: bool, message: str) -> str:
    """Upload model files and card in one commit, all or nothing; the commit's address.

    Raises PlotwrightError when there is no token or the Hub cannot be reached or refuses.
    """
    if get_token() is None:
        raise PlotwrightError("there is no token of the Hugging Face Hub here; hf auth login stores one.")
    operations = [CommitOperationAdd(file.relative_to(MODEL).as_posix(), file) for file in files]
    api = HfApi()
    with explained(repo):
        api.create_repo(repo, private=private, exist_ok=True)
        if private and not api.model_info(repo).private:
            raise PlotwrightError(f"{repo} is there already and public; make it private on the Hub, or name another.")
        # One commit and not upload_folder, whose several commits would show a half-uploaded model meanwhile.
        commit = api.create_commit(repo, [*operations, CommitOperationAdd("README.md", card)], commit_message=message)
    return str(commit.commit_url)


def store_card(card: str) -> None:
    """Write the card into CARD. Raises PlotwrightError when it cannot be written there."""
    try:
        with whole_file(CARD) as partial:
            partial.write_text(card, encoding="utf-8")
    except OSError as error:
        raise PlotwrightError(f"the card cannot be written into {CARD} ({error.strerror}).") from None


def listing(files: list[Path], card: Path) -> str:
    """The files with their sizes in bytes, as they will be called on the Hub."""
    sizes = {file.relative_to(MODEL).as_posix(): file.stat().st_size for file in files}
    sizes["README.md"] = card.stat().st_size
    rows = [f"{size:>15,}  {name}" for name, size in sorted(sizes.items())]
    return "\n".join([*rows, f"{sum(sizes.values()):>15,}  bytes in {len(sizes)} files"])


def check_words(arguments: argparse.Namespace) -> None:
    """Raise PlotwrightError when the repository's or a licence's name cannot be one."""
    if not REPO.fullmatch(arguments.repo):
        raise PlotwrightError(f"{arguments.repo!r} names no repository of the Hub; write OWNER/NAME.")
    for option in ("data_license", "base_license"):
        stated = getattr(arguments, option)
        if stated is not None and (not LICENCE.fullmatch(stated) or stated == "unknown"):
            raise PlotwrightError(
                f"--{option.replace('_', '-')} is {stated!r}; give the Hub's short name of a licence, such as mit or "
                "cc-by-sa-4.0."
            )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.description = f"Upload {MODEL} with a generated card to the Hugging Face Hub, in one commit."
    parser.epilog = "HF_ENDPOINT names another Hub; the token is HF_TOKEN or what hf auth login stored."
    parser.add_argument("repo", metavar="OWNER/NAME", help="repository on the Hub; made if it is not there")
    parser.add_argument("--dry-run", action="store_true", help="list the files and write the card, upload nothing")
    parser.add_argument("--private", action="store_true", help="make the repository private")
    for what in ("data", "base"):
        parser.add_argument(
            f"--{what}-license",
            metavar="ID",
            help=f"licence of the {'training text' if what == 'data' else 'base model'}, where Plotwright cannot know",
        )


def run(arguments: argparse.Namespace) -> None:
    """Check, write the card, list the files, upload them."""
    check_words(arguments)
    files = model_files(MODEL)
    facts = gather_facts(arguments.repo, arguments.data_license, arguments.base_license)
    store_card(write_card(facts))
    print(listing(files, CARD))
    print(f"The card is in {CARD}.")
    if arguments.dry_run:
        print("Nothing was uploaded.")
        return
    message = f"Plotwright model of commit {facts.commit[:10]}"
    print(f"Published: {upload(arguments.repo, files, CARD, arguments.private, message)}")
