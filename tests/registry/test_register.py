"""What registering a candidate leaves behind: one copy of its bytes, and a model that MLflow runs by itself."""

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import requires, version
from pathlib import Path

import pytest

from headgate.contract.checks import Verdict
from headgate.domain import Domain, Request, get_domain
from headgate.files import sha256, write_json
from headgate.registry.register import candidate_run, register_version
from headgate.registry.versions import Version
from headgate.settings import SAFE_PATH, Settings

from ..domains.adclicks.tiny import make_bundle
from .conftest import Registry

#: A model finds its domain by name, in a process of its own: the toy has none there.
DOMAIN: Domain = replace(get_domain("adclicks"), plots=lambda work, out: None)
REQUEST = Request("nowhere", datetime(2026, 1, 26, tzinfo=UTC))

#: What a stranger to Headgate runs: MLflow alone, in another folder.
STRANGER = """
import sys, mlflow, polars as pl
golden = pl.read_parquet(sys.argv[1])
answers = [name for name in golden.columns if name.startswith("expected_")]
said = pl.from_pandas(mlflow.pyfunc.load_model(sys.argv[2]).predict(golden.drop(answers).to_pandas()))
assert said["invalid"].to_list() == golden["expected_invalid"].to_list(), said
"""


def made(registry: Registry, work: Path) -> Version:
    """Register what lies in `work`, in a run of its own."""
    with candidate_run(registry.client, registry.settings, DOMAIN, REQUEST) as run:
        return register_version(registry.client, registry.settings, DOMAIN, run, work, REQUEST, Verdict(()))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A judged candidate."""
    make_bundle(tmp_path / "work", "bundle")
    write_json(tmp_path / "work" / "evaluate" / "scorecard.json", [])
    return tmp_path / "work"


def copies(here: Settings, file: Path) -> int:
    """How many artifacts have the bytes of `file`."""
    found = [path for path in (here.mlflow_home / "artifacts").rglob("*") if path.is_file()]
    return [sha256(path) for path in found].count(sha256(file))


def test_a_bundle_is_logged_once_and_not_again_when_it_is_made_again(registry: Registry, work: Path) -> None:
    first = made(registry, work)
    assert copies(registry.settings, work / "bundle" / "model.onnx") == 1
    again = made(registry, work)
    assert (again.number, again.run_id) == (first.number, first.run_id)
    assert copies(registry.settings, work / "bundle" / "model.onnx") == 1


def test_mlflow_alone_runs_a_version_from_any_folder(registry: Registry, work: Path, tmp_path: Path) -> None:
    done = made(registry, work)
    env = os.environ | SAFE_PATH | {"MLFLOW_TRACKING_URI": registry.settings.local_tracking_uri}
    env["HEADGATE_HOME"] = str(tmp_path / "stranger")
    golden, model = work / "bundle" / "golden.parquet", f"models:/{DOMAIN.name}/{done.number}"
    subprocess.run([sys.executable, "-c", STRANGER, str(golden), model], env=env, cwd=tmp_path, check=True)


def test_a_model_asks_for_headgate_and_all_that_it_asks_for_as_installed(registry: Registry, work: Path) -> None:
    made(registry, work)
    (path,) = registry.settings.mlflow_home.glob("artifacts/**/requirements.txt")
    asked = path.read_text().split()
    assert f"headgate=={version('headgate')}" in asked
    assert f"prophet=={version('prophet')}" in asked
    assert f"dvc[s3]=={version('dvc')}" in asked
    assert len(asked) == 1 + len([line for line in requires("headgate") or () if "extra ==" not in line])
