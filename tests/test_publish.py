"""plotwright publish, run as a command against a Hub on this machine that can refuse and cut."""

import base64
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml
from conftest import CONTEXT, ROOT, make_model
from huggingface_hub import metadata_load
from huggingface_hub.errors import HTTPError
from transformers import AutoModelForCausalLM, AutoTokenizer

from plotwright.errors import PlotwrightError
from plotwright.licences import Base, licence_of_base, licence_of_model, licence_of_text
from plotwright.publish import explained
from plotwright.settings import load_yaml

REPO = "someone/films"
TOKEN = "hf_valid"


@dataclass
class Upload:
    """What a commit made of the repository: its files by name."""

    files: dict[str, bytes]
    summary: str


@dataclass
class Hub:
    """A Hub of one user. cuts: paths at whose next request the connection is cut, once for each time named."""

    url: str = ""
    may_write: bool = True
    private: bool | None = None  # None: there is no such repository
    objects: dict[str, bytes] = field(default_factory=dict)  # large files by sha256
    commits: list[Upload] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    cuts: list[str] = field(default_factory=list)
    card_errors: list[str] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def hub(self) -> Hub:
        return self.server.hub

    def log_message(self, *_):
        pass

    def body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def answer(self, status: int, value: object = None):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def serve(self):
        path = self.path.partition("?")[0]
        self.hub.requests.append(f"{self.command} {path}")
        cut = next((at for at in self.hub.cuts if re.fullmatch(at, path)), None)
        if cut is not None:
            self.hub.cuts.remove(cut)
            self.rfile.read(10)  # of the body, then the line goes dead
            self.close_connection = True
            return
        body = self.body()
        # A large file is sent to where the signed address says, without the token.
        if not path.startswith("/storage/") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, {"error": "Invalid username or password."})
        for pattern, method in ROUTES.items():
            if match := re.fullmatch(pattern, f"{self.command} {path}"):
                return method(self, body, *match.groups())
        self.answer(404, {"error": "Not found"})

    do_GET = do_POST = do_PUT = serve

    def create(self, body: bytes):
        asked = json.loads(body)
        assert (asked["organization"], asked["name"]) == tuple(REPO.split("/"))
        if not self.hub.may_write:
            return self.answer(403, {"error": "You don't have the rights to create a model under the namespace"})
        if self.hub.private is not None:
            return self.answer(409, {"error": "You already created this model repo", "url": f"{self.hub.url}/{REPO}"})
        self.hub.private = asked["visibility"] == "private"
        self.answer(200, {"url": f"{self.hub.url}/{REPO}"})

    def about(self, body: bytes):
        if self.hub.private is None:
            return self.answer(404, {"error": "Repository not found"})
        self.answer(200, {"id": REPO, "private": self.hub.private, "siblings": [], "tags": [], "downloads": 0})

    def validate_card(self, body: bytes):
        assert json.loads(body)["repoType"] == "model"
        status = 400 if self.hub.card_errors else 200
        self.answer(status, {"errors": [{"message": error} for error in self.hub.card_errors], "warnings": []})

    def preupload(self, body: bytes):
        files = json.loads(body)["files"]
        modes = {True: "lfs", False: "regular"}
        self.answer(
            200,
            {
                "files": [
                    {"path": f["path"], "uploadMode": modes[f["path"].endswith(".safetensors")], "shouldIgnore": False}
                    for f in files
                ]
            },
        )

    def batch(self, body: bytes):
        asked = json.loads(body)
        assert asked["operation"] == "upload" and "basic" in asked["transfers"]
        objects = []
        for wanted in asked["objects"]:
            actions = {
                "upload": {"href": f"{self.hub.url}/storage/{wanted['oid']}"},
                "verify": {"href": f"{self.hub.url}/{REPO}.git/verify"},
            }
            known = wanted["oid"] in self.hub.objects
            objects.append({"oid": wanted["oid"], "size": wanted["size"], **({} if known else {"actions": actions})})
        self.answer(200, {"transfer": "basic", "objects": objects})

    def store(self, body: bytes, oid: str):
        assert hashlib.sha256(body).hexdigest() == oid
        self.hub.objects[oid] = body
        self.answer(200)

    def verify(self, body: bytes):
        asked = json.loads(body)
        there = len(self.hub.objects.get(asked["oid"], b"")) == asked["size"]
        self.answer(200 if there else 404, {})

    def commit(self, body: bytes):
        lines = [json.loads(line) for line in body.splitlines()]
        assert lines[0]["key"] == "header"
        files = {}
        for line in lines[1:]:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            else:
                assert line["key"] == "lfsFile" and value["algo"] == "sha256"
                files[value["path"]] = self.hub.objects[value["oid"]]
        self.hub.commits.append(Upload(files, lines[0]["value"]["summary"]))
        oid = f"{len(self.hub.commits):040x}"
        self.answer(200, {"success": True, "commitOid": oid, "commitUrl": f"{self.hub.url}/{REPO}/commit/{oid}"})


ROUTES = {
    "POST /api/repos/create": Handler.create,
    f"GET /api/models/{REPO}": Handler.about,
    "POST /api/validate-yaml": Handler.validate_card,
    f"POST /api/models/{REPO}/preupload/main": Handler.preupload,
    f"POST /{REPO}.git/info/lfs/objects/batch": Handler.batch,
    "PUT /storage/([0-9a-f]{64})": Handler.store,
    f"POST /{REPO}.git/verify": Handler.verify,
    f"POST /api/models/{REPO}/commit/main": Handler.commit,
}


@pytest.fixture
def hub():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # a client that went away
    server.hub = Hub(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.hub
    server.shutdown()
    server.server_close()


SCORE = {"loss": 3.9, "perplexity": 49.4, "bits_per_byte": 1.25}
DVC_YAML = """
stages:
  train:
    cmd: cp -r made models/plot-generator
    deps: [made]
    outs: [models/plot-generator]
  evaluate:
    cmd: cp scores.json metrics/evaluate.json
    deps: [models/plot-generator, scores.json]
    metrics: [metrics/evaluate.json: {cache: false}]
"""


def scores() -> dict:
    """The part of metrics/evaluate.json that the card reads."""
    report = {
        part: {
            name + end: round(value * factor + shift, 3)
            for name, value in SCORE.items()
            for end, shift in (("", 0), ("_low", -0.02), ("_high", 0.02))
        }
        for part, factor in (("test", 1), ("base", 1.2))
    }
    report["test"]["plots"] = 100
    report["gain"] = {"bits_per_byte": 0.25, "bits_per_byte_low": 0.22, "bits_per_byte_high": 0.28}
    return report


def run(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "DVC_", "GIT_"))}
    environment = {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HF_HOME": str(folder / "no-tokens"),
        "HF_HUB_DISABLE_XET": "1",
        "DVC_NO_ANALYTICS": "true",
        "NO_PROXY": "127.0.0.1",
        **variables,
    }
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def commit(project: Path, *paths: str):
    assert run(project, "git", "add", "-A", *paths).returncode == 0
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    assert run(project, "git", *identity, "commit", "-qm", "state").returncode == 0


@pytest.fixture(scope="module")
def project(tmp_path_factory, tokenizer) -> Path:
    """A repository with a pipeline that has run, its model and figures committed."""
    folder = tmp_path_factory.mktemp("project")
    make_model(len(tokenizer)).save_pretrained(folder / "made")
    tokenizer.save_pretrained(folder / "made")
    train = load_yaml(ROOT / "params.yaml")["train"]
    manifest = {"seed": 20, "train": train, "precision": {"value": "fp32", "reason": "nothing faster is here"}}
    (folder / "made/manifest.json").write_text(json.dumps(manifest))
    (folder / "scores.json").write_text(json.dumps(scores()))
    for name in ("models", "metrics", "base"):
        (folder / name).mkdir()
    (folder / "base/README.md").write_text("---\nlicense: cc-by-sa-4.0\n---\n# A base model\n")
    parts = {"train": 800, "validation": 100, "test": 100}
    (folder / "metrics/split.json").write_text(json.dumps({"plots": parts, "words": dict.fromkeys(parts, 1234)}))
    (folder / "dvc.yaml").write_text(DVC_YAML)
    write_params(folder)
    (folder / ".gitignore").write_text("/.plotwright/\n")
    for command in (("git", "init", "-q"), ("dvc", "init", "-q"), ("dvc", "repro", "-q")):
        done = run(folder, *command)
        assert done.returncode == 0, done.stderr
    commit(folder, ".")
    return folder


def write_params(project: Path, **data: object):
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["data"] |= data
    params["model"]["base"] = "base"
    (project / "params.yaml").write_text(yaml.safe_dump(params))


def publish(project: Path, hub: Hub, *arguments: str, **variables: str) -> subprocess.CompletedProcess:
    command = (sys.executable, "-c", "from plotwright.command import main; main()", "publish", *arguments)
    return run(project, *command, **{"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, **variables})


def assert_explained(done: subprocess.CompletedProcess, *words: str):
    """The command failed with one sentence that has all these words in it."""
    assert done.returncode == 1
    sentences = [line for line in done.stderr.replace("\r", "\n").split("\n") if line.startswith("error: ")]
    assert len(sentences) == 1 and sentences[0].endswith("."), done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in sentences[0]


def test_the_model_is_published_whole_in_one_commit_and_opens(project, hub, tmp_path):
    done = publish(project, hub, REPO)
    assert done.returncode == 0, done.stderr
    assert f"Published: {hub.url}/{REPO}/commit/" in done.stdout
    (upload,) = hub.commits
    model = project / "models/plot-generator"
    expected = {file.name: file.read_bytes() for file in model.iterdir()}
    assert upload.files == {**expected, "README.md": (project / ".plotwright/publish/README.md").read_bytes()}
    assert hub.private is False
    for name, contents in upload.files.items():
        (tmp_path / name).write_bytes(contents)
    AutoModelForCausalLM.from_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(tmp_path)


def test_a_dry_run_asks_nobody_and_lists_every_file_with_its_size(project, hub):
    done = publish(project, hub, REPO, "--dry-run", HF_TOKEN="")
    assert done.returncode == 0, done.stderr
    assert hub.requests == []
    listed = {line.split()[1]: int(line.split()[0].replace(",", "")) for line in done.stdout.splitlines()[:-3]}
    card = project / ".plotwright/publish/README.md"
    sizes = {file.name: file.stat().st_size for file in [*(project / "models/plot-generator").iterdir(), card]}
    assert listed == sizes
    assert f"{sum(sizes.values()):,}  bytes in {len(sizes)} files" in done.stdout
    assert ".plotwright/publish/README.md" in done.stdout


def test_the_card_states_figures_with_intervals_parameters_licences_and_revisions(project, hub):
    assert publish(project, hub, REPO, "--dry-run").returncode == 0
    path = project / ".plotwright/publish/README.md"
    card, head = path.read_text(), metadata_load(path)
    assert head["license"] == "cc-by-sa-4.0" and head["library_name"] == "transformers" and "base_model" not in head
    for words in (
        "| perplexity | 59.28 [59.26, 59.3] | 49.4 [49.38, 49.42] |",
        "0.25 [0.22, 0.28] bits per byte",
        "800 plots, 1,234 words",
        "100 test plots",
        f"| `learning_rate` | `{load_yaml(ROOT / 'params.yaml')['train']['learning_rate']}` |",
        "fp32, because nothing faster is here",
        f"It holds {CONTEXT} tokens",
        "(`cc0-1.0`)",
        "base (`cc-by-sa-4.0`)",
        run(project, "git", "rev-parse", "HEAD").stdout.strip(),
        yaml.safe_load((project / "dvc.lock").read_text())["stages"]["train"]["outs"][0]["md5"],
    ):
        assert words in card, words
    assert str(project) not in card


def test_a_private_repository_is_made_private_and_a_public_one_is_not_used_as_one(project, hub):
    assert publish(project, hub, REPO, "--private").returncode == 0
    assert hub.private is True and len(hub.commits) == 1
    hub.private = False
    assert_explained(publish(project, hub, REPO, "--private"), "public")
    assert len(hub.commits) == 1


def test_a_second_upload_sends_no_weights_again(project, hub):
    for _ in range(2):
        assert publish(project, hub, REPO).returncode == 0
    assert len(hub.commits) == 2 and hub.commits[0].files == hub.commits[1].files
    assert len([request for request in hub.requests if request.startswith("PUT")]) == 1


def test_no_token_a_refused_token_and_a_token_without_permission_each_end_with_a_sentence(project, hub):
    assert_explained(publish(project, hub, REPO, HF_TOKEN=""), "no token", "hf auth login")
    assert hub.requests == []
    assert_explained(publish(project, hub, REPO, HF_TOKEN="hf_expired"), "does not accept the token", hub.url)
    hub.may_write = False
    assert_explained(publish(project, hub, REPO), "may not write to someone", hub.url)
    assert hub.commits == []


def test_an_upload_cut_once_goes_on_by_itself(project, hub):
    hub.cuts = ["/storage/.*"]
    done = publish(project, hub, REPO)
    assert done.returncode == 0, done.stderr
    assert len([request for request in hub.requests if request.startswith("PUT")]) == 2
    assert hub.commits[0].files["model.safetensors"] == (project / "made/model.safetensors").read_bytes()


@pytest.mark.parametrize("cut", ["/api/models/.*/commit/main", "/api/repos/create"], ids=["last", "first"])
def test_a_connection_that_stays_cut_ends_with_a_sentence_and_the_same_command_then_works(project, hub, cut):
    hub.cuts = [cut]
    assert_explained(publish(project, hub, REPO), "was cut", "run the same command again")
    assert hub.commits == []
    assert publish(project, hub, REPO).returncode == 0
    assert len(hub.commits) == 1


def test_a_file_that_stays_cut_is_told_like_any_cut():
    # For real it takes huggingface_hub half a minute of trying again.
    with pytest.raises(PlotwrightError, match="someone/films could not be published") as told, explained(REPO):
        raise RuntimeError("Error while uploading 'model.safetensors' to the Hub.") from HTTPError("cut")
    assert "the connection cannot be made or was cut" in str(told.value)


def test_no_network_and_offline_mode_each_end_with_a_sentence(project, hub):
    assert_explained(publish(project, hub, REPO, HF_ENDPOINT="http://127.0.0.1:9"), "http://127.0.0.1:9", "connection")
    assert_explained(publish(project, hub, REPO, HF_HUB_OFFLINE="1"), "HF_HUB_OFFLINE")


def test_a_card_that_the_hub_does_not_take_ends_with_its_words(project, hub):
    hub.card_errors = ['"license" must be one of the list']
    assert_explained(publish(project, hub, REPO), '"license" must be one of the list')
    assert hub.commits == []


def test_what_is_no_repository_and_no_licence_is_refused_at_once(project, hub):
    assert_explained(publish(project, hub, "films"), "'films'", "OWNER/NAME")
    assert_explained(publish(project, hub, REPO, "--data-license", "My own!"), "My own!")
    assert hub.requests == []


def test_text_of_unknown_licence_is_refused_until_its_licence_is_stated(project, hub):
    try:
        write_params(project, raw="/home/me/my.csv")
        commit(project, "params.yaml")
        assert_explained(publish(project, hub, REPO), "/home/me/my.csv", "--data-license")
        assert publish(project, hub, REPO, "--dry-run", "--data-license", "cc-by-4.0").returncode == 0
        card = (project / ".plotwright/publish/README.md").read_text()
        assert "`my.csv` (`cc-by-4.0`)" in card and "/home/me" not in card
    finally:
        write_params(project)
        commit(project, "params.yaml")


def test_a_pipeline_that_is_not_up_to_date_or_not_committed_is_refused(project, hub):
    before = (project / "scores.json").read_bytes()
    try:
        (project / "scores.json").write_text("{}")
        assert_explained(publish(project, hub, REPO), "not up to date (evaluate)", "dvc repro")
    finally:
        (project / "scores.json").write_bytes(before)
    try:
        with (project / "params.yaml").open("a") as params:
            params.write("# a note\n")
        assert_explained(publish(project, hub, REPO), "params.yaml is not committed")
    finally:
        write_params(project)
    assert hub.requests == []


def test_without_a_model_there_is_nothing_to_publish(project, hub):
    model, aside = project / "models/plot-generator", project / "models/aside"
    model.rename(aside)
    try:
        assert_explained(publish(project, hub, REPO), "no model in models/plot-generator", "dvc repro")
    finally:
        aside.rename(model)


def test_a_card_that_cannot_be_written_ends_with_a_sentence(project, hub):
    folder = project / ".plotwright/publish"
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(exist_ok=True)
    folder.touch()  # whoever runs the tests may write anywhere, so that no missing permission would stop it
    try:
        assert_explained(publish(project, hub, REPO, "--dry-run"), "the card cannot be written", "publish/README.md")
    finally:
        folder.unlink()


def test_licences_of_known_texts_and_bases():
    assert licence_of_text("data/sample/plots.csv", None).licence == "cc0-1.0"
    assert licence_of_text("data/wikipedia/plots.csv", None).licence == "cc-by-sa-4.0"
    assert licence_of_text("data/wikipedia/plots.csv", "mit").licence == "cc-by-sa-4.0"  # no statement changes that


def test_the_embedded_base_states_its_licence():
    assert licence_of_base(ROOT / "models/base/storyteller", None) == Base("mit", "storyteller", None)


def test_a_base_from_the_hub_has_the_licence_of_its_repository_and_another_must_say(tmp_path):
    (tmp_path / "source.json").write_text(json.dumps({"repo": "distilbert/distilgpt2"}))
    base = licence_of_base(tmp_path, None)
    assert (base.licence, base.repo) == ("apache-2.0", "distilbert/distilgpt2")
    (tmp_path / "source.json").write_text(json.dumps({"repo": "someone/else"}))
    with pytest.raises(PlotwrightError, match="--base-license"):
        licence_of_base(tmp_path, None)
    assert licence_of_base(tmp_path, "mit").licence == "mit"


@pytest.mark.parametrize(
    "text, base, model",
    [
        ("cc0-1.0", "mit", "mit"),
        ("cc0-1.0", "cc0-1.0", "cc0-1.0"),
        ("cc-by-sa-4.0", "apache-2.0", "cc-by-sa-4.0"),
        ("cc-by-4.0", "cc-by-sa-4.0", "cc-by-sa-4.0"),
        ("cc-by-4.0", "mit", "other"),
        ("cc-by-nc-4.0", "cc-by-sa-4.0", "other"),
    ],
)
def test_the_model_has_the_stricter_licence_where_one_contains_the_other(text, base, model):
    assert licence_of_model(text, base) == model
