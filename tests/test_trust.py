"""Nothing that lies in a model folder or a checkpoint is ever run."""

import ast
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, make_model, make_plots
from test_training import train, train_and_cut
from tiny_project import lay_out, run_stage_here

from plotwright.documents import Plots
from plotwright.errors import PlotwrightError
from plotwright.models import load_model, load_tokenizer
from plotwright.scoring import token_nats
from plotwright.writing import Writer


class Planted:
    """Pickles to a call that makes the file `marker`."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return (open, (str(self.marker), "w"))


def plant(folder: Path, marker: Path) -> None:
    """Put pickled weights, code and settings that point at the code into a model folder."""
    for name in ("pytorch_model.bin", "training_args.bin", "adapter_model.bin"):
        (folder / name).write_bytes(pickle.dumps(Planted(marker)))
    for name in ("modeling_evil", "configuration_evil", "tokenization_evil", "custom_generate/generate"):
        path = folder / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"open({str(marker)!r}, 'w')\n\nclass Evil: ...\n")
    for name, entries in {
        "config.json": {"AutoConfig": "configuration_evil.Evil", "AutoModelForCausalLM": "modeling_evil.Evil"},
        "tokenizer_config.json": {"AutoTokenizer": ["tokenization_evil.Evil", "tokenization_evil.Evil"]},
    }.items():
        settings = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**settings, "auto_map": entries}))


@pytest.fixture
def folder(tmp_path, tokenizer) -> Path:
    """A sound model folder in which something evil lies too."""
    folder = tmp_path / "model"
    make_model(len(tokenizer)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    plant(folder, tmp_path / "marker")
    return folder


def test_the_planted_pickle_would_run_if_anything_loaded_it(tmp_path):
    pickle.loads(pickle.dumps(Planted(tmp_path / "marker"))).close()
    assert (tmp_path / "marker").exists()


def test_opening_a_model_and_its_tokenizer_runs_neither_pickle_nor_code(folder, tokenizer):
    opened = load_model(folder)
    original = make_model(len(tokenizer))
    assert all(torch.equal(a, b) for a, b in zip(opened.parameters(), original.parameters(), strict=True))
    assert type(opened).__module__.startswith("transformers.")
    assert load_tokenizer(folder).get_vocab() == tokenizer.get_vocab()
    assert not (folder.parent / "marker").exists()


def test_pickled_weights_alone_are_no_model(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(PlotwrightError, match="cannot be opened"):
        load_model(folder)
    assert not (folder.parent / "marker").exists()


def test_a_kind_of_model_that_only_the_folders_own_code_knows_is_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "evil"}))
    with pytest.raises(PlotwrightError, match="cannot be opened"):
        load_model(folder)
    assert not (folder.parent / "marker").exists()


def test_the_writer_runs_neither_pickle_nor_code(folder):
    Writer(folder)
    assert not (folder.parent / "marker").exists()


def test_train_and_evaluate_run_neither_pickle_nor_code(tmp_path, tokenizer):
    project, marker = tmp_path / "project", tmp_path / "marker"
    lay_out(project, tokenizer, epochs=1, evaluations=1)
    plant(project / "base", marker)
    for stage in ("prepare", "split", "train"):
        assert run_stage_here(project, stage).returncode == 0
    model = project / "models/plot-generator"
    assert not [file for file in model.rglob("*") if file.suffix in {".bin", ".py", ".pt"}]
    assert "auto_map" not in (model / "config.json").read_text() + (model / "tokenizer_config.json").read_text()
    plant(model, marker)
    assert run_stage_here(project, "evaluate").returncode == 0
    assert not marker.exists()


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_a_checkpoint_with_a_planted_pickle_is_not_loaded(tmp_path, tokenizer, monkeypatch, name):
    checkpoint = train_and_cut(tmp_path / "run", tokenizer, monkeypatch, forward_passes=12)
    assert (checkpoint / name).exists()
    torch.save(Planted(tmp_path / "marker"), checkpoint / name)
    with pytest.raises(pickle.UnpicklingError, match=r"[Ww]eights"):
        train(tmp_path / "run", tokenizer)
    assert not (tmp_path / "marker").exists()


def calls(tree: ast.AST) -> list[tuple[str, dict[str, object]]]:
    """The source of what is called and the constant keywords, of every call in a module."""
    return [
        (
            ast.unparse(node.func),
            {word.arg: word.value.value for word in node.keywords if word.arg and isinstance(word.value, ast.Constant)},
        )
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
    ]


@pytest.mark.parametrize("part", ["plotwright", "stages", "app"])
def test_no_code_of_ours_unpickles_runs_text_or_shows_html_that_somebody_wrote(part):
    forbidden = {"eval", "exec", "os.system", "pickle.load", "pickle.loads", "joblib.load", "pd.read_pickle"}
    for path in (ROOT / part).rglob("*.py"):
        for function, keywords in calls(ast.parse(path.read_text())):
            assert function not in forbidden, path
            assert function not in {"torch.load", "np.load"} or keywords.get("allow_pickle") is not True, path
            assert function != "torch.load" or keywords.get("weights_only") is True, path
            assert keywords.get("trust_remote_code") is not True, path
            assert keywords.get("unsafe_allow_html") is not True, path
            assert keywords.get("shell") is not True, path


def test_planted_files_change_no_score(folder, tokenizer):
    documents = Plots(make_plots(3), tokenizer).documents()
    one, other = (token_nats(model, documents, 64, 32, 2) for model in (load_model(folder), make_model(len(tokenizer))))
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(one, other, strict=True))
