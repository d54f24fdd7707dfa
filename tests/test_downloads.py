"""The download stages, run as scripts against servers on this machine that can cut, refuse and lie."""

import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from contextlib import redirect_stdout
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from unittest.mock import patch

import pytest
import yaml
from tiny_project import IDENTITY, run_here

import stages.download_model
from plotwright.downloads import CHUNK, downloading
from plotwright.hub import HubSource, download_model, git_blob_id

ROOT = Path(__file__).resolve().parents[1]
MEMBER = "wiki_movie_plots_deduped.csv"
PLOTS = random.Random(0).randbytes(400_000)  # incompressible, so the zip is as large
CUT = 250_000  # bytes after which a server stops
REVISION = "0123456789abcdef0123456789abcdef01234567"


def sha256(contents: bytes) -> str:
    return hashlib.sha256(contents).hexdigest()


def zipped(name: str, contents: bytes) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as pack:
        pack.writestr(name, contents)
    return archive.getvalue()


@dataclass
class Request:
    path: str
    range: str | None
    sent: int = 0  # bytes of the body


class Server(ThreadingHTTPServer):
    """Serves `pages` with ETag and Range, as file servers do, and misbehaves as told."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.pages: dict[str, bytes] = {}
        self.headers: dict[str, dict[str, str]] = {}
        self.redirects: dict[str, str] = {}
        self.refusals: dict[str, tuple[int, dict[str, str]]] = {}
        self.requests: list[Request] = []
        self.cuts: list[int] = []  # for the next large answers: stop after so many bytes
        self.knows_range = True
        self.hangs = False  # instead of closing the connection at a cut
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # a killed client

    def requested(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_):
        pass

    def do_GET(self):
        path = self.path.partition("?")[0]
        request = Request(path, self.headers.get("Range"))
        self.server.requests.append(request)
        if path in self.server.redirects:
            self.answer(302, {"Location": self.server.redirects[path], **self.server.headers.get(path, {})}, b"")
        elif path in self.server.refusals:
            status, headers = self.server.refusals[path]
            self.answer(status, headers, b"")
        elif path in self.server.pages:
            self.serve(request, self.server.pages[path])
        else:
            self.answer(404, {}, b"")

    def serve(self, request: Request, page: bytes):
        etag = f'"{sha256(page)}"'
        headers = {"ETag": etag, **self.server.headers.get(request.path, {})}
        if request.range and self.server.knows_range and self.headers.get("If-Range", etag) == etag:
            start = int(request.range.removeprefix("bytes=").removesuffix("-"))
            if start >= len(page):
                return self.answer(416, {"Content-Range": f"bytes */{len(page)}"}, b"")
            headers["Content-Range"] = f"bytes {start}-{len(page) - 1}/{len(page)}"
            request.sent = self.answer(206, headers, page[start:])
        else:
            request.sent = self.answer(200, headers, page)

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> int:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if len(body) <= CHUNK or not self.server.cuts:
            self.wfile.write(body)
            return len(body)
        cut = self.server.cuts.pop(0)
        self.wfile.write(body[:cut])
        while self.server.hangs:
            time.sleep(0.01)
        self.close_connection = True
        return cut


@pytest.fixture
def server():
    server = Server()
    yield server
    server.hangs = False
    server.shutdown()
    server.server_close()


@pytest.fixture
def source(server):
    """The parameters of the data stage; the server has the zip that they describe."""
    server.pages["/plots"] = zipped(MEMBER, PLOTS)
    return {
        "url": f"{server.url}/plots",
        "page": "https://example.org/plots",
        "member": MEMBER,
        "size": len(PLOTS),
        "sha256": sha256(PLOTS),
    }


@dataclass
class Outcome:
    status: int
    errors: list[str]  # lines of stderr that are no progress bar
    progress: str


def environment(root: Path, **variables: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "DVC_"))}
    return {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "HF_HOME": str(root / "no-tokens"),
        "DVC_ROOT": str(root),
        "DVC_NO_ANALYTICS": "true",
        "NO_PROXY": "127.0.0.1",
        **variables,
    }


def start(root: Path, script: str, *arguments: str, **variables: str) -> subprocess.Popen:
    command = [sys.executable, str(ROOT / "stages" / script), *arguments]
    return subprocess.Popen(command, cwd=root, env=environment(root, **variables), stderr=subprocess.PIPE, text=True)


def outcome(process: subprocess.Popen) -> Outcome:
    _, text = process.communicate(timeout=50)
    lines = [line for line in text.replace("\r", "\n").split("\n") if line]
    bars = [line for line in lines if "B/s]" in line or "%|" in line or "?B" in line]
    return Outcome(process.returncode, [line for line in lines if line not in bars], "\n".join(bars))


def start_data_stage(root: Path, source: dict) -> subprocess.Popen:
    (root / "params.yaml").write_text(yaml.safe_dump({"download": source}))
    return start(root, "download_data.py", "params.yaml", "data/plots.csv")


def run_data_stage(root: Path, source: dict) -> Outcome:
    return outcome(start_data_stage(root, source))


def start_model_stage(root: Path, server: Server, source: dict, **variables: str) -> subprocess.Popen:
    (root / "params.yaml").write_text(yaml.safe_dump({"hub": {"tiny": source}, "pretrain": {"steps": 1}}))
    variables = {"HF_ENDPOINT": server.url, **variables}
    return start(root, "download_model.py", "params.yaml", "tiny", "models/tiny", **variables)


def run_model_stage(root: Path, server: Server, source: dict, **variables: str) -> Outcome:
    return outcome(start_model_stage(root, server, source, **variables))


def downloads(root: Path) -> Path:
    return root / ".plotwright" / "downloads"


def assert_explained(result: Outcome, *words: str):
    """The stage failed with one sentence that has all these words in it."""
    assert result.status == 1
    (sentence,) = result.errors
    assert sentence.startswith("error: ") and sentence.endswith(".")
    for word in words:
        assert word in sentence


def assert_nothing_stands_under(folder: Path):
    assert not folder.exists() or not list(folder.iterdir())


def kill_when_partly_there(process: subprocess.Popen, partial: Path):
    deadline = time.monotonic() + 30
    while not (partial.exists() and partial.stat().st_size >= CHUNK):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()


# The raw plots


def test_the_plots_arrive_unpacked_with_a_progress_bar(tmp_path, server, source):
    result = run_data_stage(tmp_path, source)
    assert (result.status, result.errors) == (0, [])
    assert "100%" in result.progress
    assert (tmp_path / "data/plots.csv").read_bytes() == PLOTS
    assert os.listdir(tmp_path / "data") == ["plots.csv"]


def test_plots_downloaded_once_are_not_downloaded_again_when_dvc_has_deleted_the_output(tmp_path, server, source):
    run_data_stage(tmp_path, source)
    (tmp_path / "data/plots.csv").unlink()
    assert run_data_stage(tmp_path, source).status == 0
    assert (tmp_path / "data/plots.csv").read_bytes() == PLOTS
    assert len(server.requests) == 1


def test_a_cut_connection_is_taken_up_where_it_broke(tmp_path, server, source):
    server.cuts = [CUT]
    assert run_data_stage(tmp_path, source).status == 0
    assert (tmp_path / "data/plots.csv").read_bytes() == PLOTS
    first, second = server.requests
    assert first.range is None and second.range is not None
    resumed_at = int(second.range.removeprefix("bytes=").removesuffix("-"))
    assert CUT - CHUNK < resumed_at <= CUT
    assert second.sent == len(server.pages["/plots"]) - resumed_at


def test_a_killed_download_leaves_no_output_and_the_next_run_goes_on_with_its_bytes(tmp_path, server, source):
    server.cuts, server.hangs = [CUT], True
    process = start_data_stage(tmp_path, source)
    partial = downloads(tmp_path) / "wiki_movie_plots_deduped.zip.partial"
    kill_when_partly_there(process, partial)
    assert_nothing_stands_under(tmp_path / "data")
    kept = partial.stat().st_size
    server.hangs = False
    assert run_data_stage(tmp_path, source).status == 0
    assert (tmp_path / "data/plots.csv").read_bytes() == PLOTS
    assert server.requests[-1].range == f"bytes={kept}-"


def test_a_file_that_changed_between_two_runs_is_downloaded_from_its_start(tmp_path, server, source):
    server.cuts, server.hangs = [CUT], True
    process = start_data_stage(tmp_path, source)
    kill_when_partly_there(process, downloads(tmp_path) / "wiki_movie_plots_deduped.zip.partial")
    server.hangs = False
    changed = PLOTS[::-1]
    server.pages["/plots"] = zipped(MEMBER, changed)
    assert run_data_stage(tmp_path, {**source, "sha256": sha256(changed)}).status == 0
    assert (tmp_path / "data/plots.csv").read_bytes() == changed
    assert server.requests[-1].range is not None
    assert server.requests[-1].sent == len(server.pages["/plots"])


def test_a_download_killed_after_its_last_byte_is_not_fetched_again(tmp_path, server, source):
    archive = server.pages["/plots"]
    downloads(tmp_path).mkdir(parents=True)
    (downloads(tmp_path) / "wiki_movie_plots_deduped.zip.partial").write_bytes(archive)
    (downloads(tmp_path) / "wiki_movie_plots_deduped.zip.partial.etag").write_text(f'"{sha256(archive)}"')
    assert run_data_stage(tmp_path, source).status == 0
    assert (tmp_path / "data/plots.csv").read_bytes() == PLOTS
    assert [request.sent for request in server.requests] == [0]


def test_a_server_that_ignores_range_is_asked_again_from_the_start(tmp_path, server, source):
    server.cuts, server.knows_range = [CUT], False
    assert run_data_stage(tmp_path, source).status == 0
    assert (tmp_path / "data/plots.csv").read_bytes() == PLOTS
    assert [request.sent for request in server.requests] == [CUT, len(server.pages["/plots"])]


def test_a_connection_cut_again_and_again_at_one_place_ends_with_a_sentence(tmp_path, server, source):
    server.cuts, server.knows_range = [CUT] * 9, False
    assert_explained(run_data_stage(tmp_path, source), "was cut", "bytes are kept", "run the same command again")
    assert_nothing_stands_under(tmp_path / "data")
    assert len(server.requests) == 2


@pytest.mark.parametrize("key, value", [("sha256", sha256(b"")), ("size", len(PLOTS) + 1)])
def test_plots_with_a_wrong_size_or_checksum_leave_neither_output_nor_bytes_to_resume(
    tmp_path, server, source, key, value
):
    assert_explained(run_data_stage(tmp_path, {**source, key: value}), MEMBER, "instead of", str(source["page"]))
    assert_nothing_stands_under(tmp_path / "data")
    assert os.listdir(downloads(tmp_path)) == ["lock"]


def test_a_missing_page_an_unusable_answer_and_a_missing_server_each_end_with_a_sentence(tmp_path, server, source):
    server.pages["/login"] = b"<html>Sign in</html>"
    server.pages["/other"] = zipped("other.csv", PLOTS)
    for url, complaint in [
        (f"{server.url}/gone", "404 Not Found"),
        (f"{server.url}/login", "not a whole zip"),
        (f"{server.url}/other", f"does not contain {MEMBER}"),
        ("http://127.0.0.1:9/plots", "no connection to 127.0.0.1:9"),
    ]:
        by_hand = f"put {MEMBER} into {downloads(tmp_path)}"
        assert_explained(run_data_stage(tmp_path, {**source, "url": url}), complaint, str(source["page"]), by_hand)
        assert_nothing_stands_under(tmp_path / "data")


def test_plots_placed_by_hand_are_taken_without_a_request(tmp_path, server, source):
    downloads(tmp_path).mkdir(parents=True)
    (downloads(tmp_path) / MEMBER).write_bytes(PLOTS)
    assert run_data_stage(tmp_path, source).status == 0
    assert (tmp_path / "data/plots.csv").read_bytes() == PLOTS
    assert server.requests == []


def test_wrong_plots_placed_by_hand_are_refused_and_left_alone(tmp_path, server, source):
    downloads(tmp_path).mkdir(parents=True)
    (downloads(tmp_path) / MEMBER).write_bytes(PLOTS[::-1])
    assert_explained(run_data_stage(tmp_path, source), MEMBER, "instead of", "remove or replace it")
    assert_nothing_stands_under(tmp_path / "data")
    assert (downloads(tmp_path) / MEMBER).read_bytes() == PLOTS[::-1]
    assert server.requests == []


# Models of the Hub


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A random GPT-2 of a few thousand parameters with a tokenizer, as a Transformers folder."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import GPT2Config, GPT2LMHeadModel, GPT2TokenizerFast

    folder = tmp_path_factory.mktemp("checkpoint")
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(["a film, a plot, an end"], vocab_size=300, special_tokens=["<|endoftext|>"])
    bpe.save_model(str(folder))
    GPT2TokenizerFast.from_pretrained(folder).save_pretrained(folder)
    config = GPT2Config(vocab_size=bpe.get_vocab_size(), n_positions=512, n_embd=64, n_layer=2, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(folder)
    assert (folder / "model.safetensors").stat().st_size > CUT
    return folder


@pytest.fixture
def repository(server, checkpoint):
    """The parameters of the model stage; the server is a Hub with that repository, weights on a host for large files.

    Beside the checkpoint the repository holds pickled weights and a script.
    """
    files = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    files |= {"pytorch_model.bin": b"pickled", "evil.py": b"raise SystemExit('ran remote code')"}
    weights = files["model.safetensors"]
    for name, contents in files.items():
        server.pages[f"/someone/tiny/resolve/{REVISION}/{name}"] = contents
        server.headers[f"/someone/tiny/resolve/{REVISION}/{name}"] = {"X-Repo-Commit": REVISION}
    server.pages["/cdn/weights"] = weights
    resolved = f"/someone/tiny/resolve/{REVISION}/model.safetensors"
    server.redirects[resolved] = f"{server.url}/cdn/weights"
    server.headers[resolved] |= {"X-Linked-Size": str(len(weights)), "X-Linked-Etag": f'"{sha256(weights)}"'}
    list_on_hub(server, checkpoint, files)
    return {"repo": "someone/tiny", "revision": REVISION, "sha256": sha256(weights)}


def list_on_hub(server: Server, checkpoint: Path, files: dict[str, bytes]):
    siblings = []
    for name, contents in files.items():
        sibling = {"rfilename": name, "size": len(contents), "blobId": "0" * 40}
        if (checkpoint / name).exists():
            sibling["blobId"] = git_blob_id(checkpoint / name)
        if name == "model.safetensors":
            sibling["lfs"] = {"sha256": sha256(contents), "size": len(contents), "pointerSize": 134}
        siblings.append(sibling)
    listing = {"id": "someone/tiny", "sha": REVISION, "siblings": siblings}
    server.pages[f"/api/models/someone/tiny/revision/{REVISION}"] = json.dumps(listing).encode()


def test_a_git_blob_id_is_the_one_git_computes(tmp_path):
    (tmp_path / "file").write_bytes(b"a plot\n")
    computed = subprocess.check_output(["git", "hash-object", "file"], cwd=tmp_path, text=True)
    assert git_blob_id(tmp_path / "file") == computed.strip()


def test_a_model_arrives_whole_opens_and_brings_neither_pickle_nor_code(tmp_path, server, repository, checkpoint):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    result = run_model_stage(tmp_path, server, repository)
    assert (result.status, result.errors) == (0, [])
    assert "model.safetensors: 100%" in result.progress
    model = tmp_path / "models/tiny"
    assert {path.name for path in model.iterdir()} == {path.name for path in checkpoint.iterdir()} | {"source.json"}
    assert json.loads((model / "source.json").read_text()) == repository
    assert os.listdir(tmp_path / "models") == ["tiny"]
    assert not [request for request in server.requests if request.path.endswith((".bin", ".py"))]
    ids = AutoTokenizer.from_pretrained(model)("a film", return_tensors="pt")["input_ids"]
    assert AutoModelForCausalLM.from_pretrained(model)(ids).logits.isfinite().all()


def test_weights_cut_midway_are_taken_up_where_they_broke(tmp_path, server, repository, checkpoint):
    server.cuts = [CUT]
    assert run_model_stage(tmp_path, server, repository).status == 0
    weights = (checkpoint / "model.safetensors").read_bytes()
    assert (tmp_path / "models/tiny/model.safetensors").read_bytes() == weights
    first, second = server.requested("/cdn/weights")
    assert first.range is None and second.range is not None
    assert first.sent + second.sent < len(weights) + CHUNK


def test_a_killed_model_download_leaves_no_output_and_the_next_run_goes_on_with_its_bytes(tmp_path, server, repository):
    server.cuts, server.hangs = [CUT], True
    process = start_model_stage(tmp_path, server, repository)
    partial = downloads(tmp_path) / "tiny-01234567" / "model.safetensors.partial"
    kill_when_partly_there(process, partial)
    assert_nothing_stands_under(tmp_path / "models")
    kept = partial.stat().st_size
    server.hangs = False
    assert run_model_stage(tmp_path, server, repository).status == 0
    assert server.requested("/cdn/weights")[-1].range == f"bytes={kept}-"
    assert len(server.requested(f"/someone/tiny/resolve/{REVISION}/config.json")) == 1


@pytest.mark.parametrize("name", ["/cdn/weights", f"/someone/tiny/resolve/{REVISION}/config.json"])
def test_a_file_other_than_the_hub_lists_leaves_neither_output_nor_bytes_to_resume(tmp_path, server, repository, name):
    server.pages[name] = server.pages[name][::-1]
    assert_explained(run_model_stage(tmp_path, server, repository), "wrong size or checksum")
    assert_nothing_stands_under(tmp_path / "models")
    assert not list(downloads(tmp_path).rglob("*partial*"))


def test_weights_that_are_not_the_pinned_ones_are_not_even_downloaded(tmp_path, server, repository):
    result = run_model_stage(tmp_path, server, {**repository, "sha256": sha256(b"others")})
    assert_explained(result, "lists model.safetensors with the sha256", sha256(b"others"))
    assert_nothing_stands_under(tmp_path / "models")
    assert len(server.requests) == 1


def test_a_missing_revision_a_missing_hub_and_offline_mode_each_end_with_a_sentence(tmp_path, server, repository):
    by_hand = f"put them into {downloads(tmp_path) / 'tiny-01234567'}"
    for variables, complaint in [
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "no connection to 127.0.0.1:9"),
    ]:
        assert_explained(run_model_stage(tmp_path, server, repository, **variables), complaint, by_hand)
    assert server.requests == []
    refusal = (404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": f"Invalid rev id: {REVISION}"})
    server.refusals[f"/api/models/someone/tiny/revision/{REVISION}"] = refusal
    assert_explained(run_model_stage(tmp_path, server, repository), "404", "Invalid rev id", by_hand)
    assert_nothing_stands_under(tmp_path / "models")


def test_a_repository_without_safetensors_is_refused(tmp_path, server, repository, checkpoint):
    list_on_hub(server, checkpoint, {"config.json": b"{}", "pytorch_model.bin": b"pickled"})
    assert_explained(run_model_stage(tmp_path, server, repository), "has no model.safetensors")
    assert_nothing_stands_under(tmp_path / "models")


def place_by_hand(root: Path, checkpoint: Path) -> Path:
    folder = downloads(root) / "tiny-01234567"
    folder.mkdir(parents=True)
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        shutil.copy(checkpoint / name, folder)
    return folder


def test_a_model_placed_by_hand_is_taken_without_a_request(tmp_path, server, repository, checkpoint):
    (place_by_hand(tmp_path, checkpoint) / "evil.py").write_text("raise SystemExit('ran remote code')")
    assert run_model_stage(tmp_path, server, repository, HF_HUB_OFFLINE="1").status == 0
    names = {"model.safetensors", "config.json", "tokenizer.json", "source.json"}
    assert {path.name for path in (tmp_path / "models/tiny").iterdir()} == names
    assert server.requests == []


def test_a_model_that_the_parameters_do_not_name_is_refused(tmp_path, repository):
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({"hub": {"tiny": repository}}))
    done = run_here(stages.download_model.main, tmp_path, "params.yaml", "huge", "models/huge")
    assert done.stderr.strip() == "error: params.yaml names no model huge; choose one of tiny, or add it there."


def test_the_stage_says_what_of_a_model_placed_by_hand_is_not_checked(tmp_path, repository, checkpoint, capsys):
    place_by_hand(tmp_path, checkpoint)
    for digest, words in ((repository["sha256"], "has the pinned sha256"), (None, "and none is pinned")):
        with patch.dict(os.environ, {"DVC_ROOT": str(tmp_path)}):
            download_model("tiny", HubSource(**{**repository, "sha256": digest}), tmp_path / "models/tiny")
        assert "model.safetensors has the" in (said := capsys.readouterr().out) and words in said
        assert said.endswith("configuration and tokenizer are not checked\n")


def test_a_second_download_says_that_it_waits_for_the_first(tmp_path):
    began, end = threading.Event(), threading.Event()

    def first():
        with downloading("a file", "do without"):
            began.set()
            end.wait(20)

    def second():
        with downloading("a file", "do without"):
            pass

    # capsys empties what it has after reading it: what another thread prints in between would be lost.
    with patch.dict(os.environ, {"DVC_ROOT": str(tmp_path)}), redirect_stdout(io.StringIO()) as said:
        threads = [threading.Thread(target=target) for target in (first, second)]
        threads[0].start()
        assert began.wait(20)
        threads[1].start()
        while "waiting until it ends" not in said.getvalue() and threads[1].is_alive():
            time.sleep(0.01)
        end.set()
        for thread in threads:
            thread.join(20)
    assert "another process is downloading: waiting until it ends" in said.getvalue()


def test_a_model_placed_by_hand_that_is_wrong_or_not_whole_is_refused(tmp_path, server, repository, checkpoint):
    folder = place_by_hand(tmp_path, checkpoint)
    wrong = {**repository, "sha256": sha256(b"others")}
    assert_explained(run_model_stage(tmp_path, server, wrong), "not the expected file", "remove or replace it")
    (folder / "config.json").unlink()
    assert_explained(run_model_stage(tmp_path, server, repository), "config.json", "add what is missing")
    assert_nothing_stands_under(tmp_path / "models")


# Under DVC


def make_repository(root: Path, source: dict, repository: dict):
    """A DVC repository with our download stages and a root pipeline of one stage that uses what they bring."""
    for folder in ("data/wikipedia", "models/base"):
        (root / folder).mkdir(parents=True)
        shutil.copy(ROOT / folder / "dvc.yaml", root / folder)
        shutil.copy(ROOT / folder / ".gitignore", root / folder)
    (root / "data/wikipedia/params.yaml").write_text(yaml.safe_dump({"download": source}))
    hub = {name: repository for name in ("distilgpt2", "gpt2")}
    own = yaml.safe_load((ROOT / "models/base/params.yaml").read_text())
    (root / "models/base/params.yaml").write_text(yaml.safe_dump({**own, "hub": hub}))
    (root / "stages").symlink_to(ROOT / "stages")
    (root / "sample.csv").write_text("sample")
    (root / "model").mkdir()
    (root / "model" / "config.json").write_text("{}")
    (root / "params.yaml").write_text("data:\n  raw: sample.csv\nmodel:\n  base: model\n")
    stage = {
        "cmd": "cp ${data.raw} used.csv && ls ${model.base} > used.txt",
        "deps": ["${data.raw}", "${model.base}"],
        "outs": ["used.csv", "used.txt"],
    }
    (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": stage}}))
    (root / ".gitignore").write_text("/.plotwright/\n/used.*\n/stages\n")


def test_dvc_downloads_what_a_parameter_names_before_it_is_used_and_nothing_otherwise(
    tmp_path, server, source, repository
):
    make_repository(tmp_path, source, repository)
    variables = environment(tmp_path, HF_ENDPOINT=server.url, DVC_SITE_CACHE_DIR=str(tmp_path / ".plotwright/site"))
    del variables["DVC_ROOT"]

    def run(*command: str):
        subprocess.run(command, cwd=tmp_path, env=variables, check=True, capture_output=True, text=True)

    run("git", "init", "--quiet")
    for name, value in IDENTITY.items():
        run("git", "config", name, value)
    run("dvc", "init", "--quiet")
    run("git", "add", ".")
    run("git", "commit", "--quiet", "--message", "toy")
    run("dvc", "repro")
    assert (tmp_path / "used.csv").read_text() == "sample"
    assert server.requests == []
    run("dvc", "exp", "run", "-S", "data.raw=data/wikipedia/plots.csv", "-S", "model.base=models/base/distilgpt2")
    assert (tmp_path / "used.csv").read_bytes() == PLOTS
    assert "model.safetensors" in (tmp_path / "used.txt").read_text()
    assert (tmp_path / "models/base/distilgpt2/source.json").exists()
    assert not (tmp_path / "models/base/gpt2").exists()
    server.requests.clear()
    run("dvc", "repro")
    assert server.requests == []
