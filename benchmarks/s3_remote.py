"""`dvc push` from one clone and `dvc pull` into another through an S3 server on the loopback address.

PYTHONPATH=tests python benchmarks/s3_remote.py OUT_JSON

Needs two packages that nothing else needs: pip install 'moto[server]' dvc-s3. tests/test_pipeline.py does the same with
a folder as remote.
"""

import argparse
import os
import tempfile
from pathlib import Path

import boto3
from conftest import CONTEXT, make_plots
from moto.server import ThreadedMotoServer
from tiny_project import build, commit, output_files, run

from plotwright.files import write_json
from plotwright.models import load_model, load_tokenizer
from plotwright.pretraining import train_tokenizer

BUCKET = "plots"
KEYS = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}  # moto takes any


def make_project(folder: Path, address: str) -> None:
    """A tiny project, run to its end, with the server as its default remote."""
    build(folder, train_tokenizer(iter(make_plots(40)["text"]), 400, CONTEXT), epochs=1, evaluations=1)
    run(folder, "dvc", "repro")
    run(folder, "dvc", "remote", "add", "--default", "store", f"s3://{BUCKET}/dvc")
    run(folder, "dvc", "remote", "modify", "store", "endpointurl", address)
    commit(folder, "results and remote")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    out = parser.parse_args().out
    os.environ |= KEYS
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    client = boto3.client("s3", endpoint_url=address)
    client.create_bucket(Bucket=BUCKET)
    with tempfile.TemporaryDirectory() as scratch:
        project, clone = Path(scratch) / "project", Path(scratch) / "clone"
        make_project(project, address)
        run(project, "dvc", "push")
        run(project, "git", "clone", "-q", str(project), str(clone))
        run(clone, "dvc", "pull")
        load_model(clone / "models/plot-generator")
        load_tokenizer(clone / "models/plot-generator")
        report = {
            "objects in the bucket": client.list_objects_v2(Bucket=BUCKET)["KeyCount"],
            "outputs equal": output_files(clone) == output_files(project),
            "nothing run again": "Data and pipelines are up to date" in run(clone, "dvc", "repro"),
        }
    server.stop()
    write_json(out, report)
    print(report)
    assert report["outputs equal"] and report["nothing run again"]


if __name__ == "__main__":
    main()
