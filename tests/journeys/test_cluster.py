"""A daily run whose fits go to a Dask cluster, started as an operator starts one: the same version, to the byte."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from headgate import settings
from headgate.data.datasets import work_folder
from headgate.domains.capacity.simulated.simulator import simulate
from headgate.domains.capacity.simulated.sizes import LoadSizes
from headgate.servers import free_port

from .conftest import AS_OF, ROOT

#: Seconds until the cluster is whole, and that a run may take.
PATIENCE, LONGEST = 120, 600


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("load") / "raw"
    simulate(out, LoadSizes(days=44, regions=1, services=5, step=900), seed=5)
    return out


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a scheduler and two workers, processes that have the package, and no file of the checkout else."""
    from distributed import Client

    address = f"tcp://127.0.0.1:{free_port('127.0.0.1', settings.load().prefect_port + 100)}"
    known = [path for path in sys.path if path and Path(path) != ROOT]
    programs = [("dask_scheduler", "--host", address, "--no-show")]
    programs += [("dask_worker", address, "--nthreads", "1", "--local-directory", str(tmp_path / n)) for n in "ab"]
    with ExitStack() as stack:
        for name, *options in programs:
            command = [sys.executable, "-m", f"distributed.cli.{name}", *options, "--no-dashboard"]
            env = os.environ | {"PYTHONPATH": os.pathsep.join(known)}
            process = stack.enter_context(subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL))
            stack.callback(process.terminate)
        with Client(address, timeout=PATIENCE, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=PATIENCE)
        yield address


def trained(home: Path, raw: Path, dask: str) -> dict[str, bytes]:
    """The files of the model of a run of the command line, by name."""
    command = [sys.executable, "-m", "headgate.cli", "retrain", "capacity", "--source", str(raw)]
    env = os.environ | {"HEADGATE_HOME": str(home), "HEADGATE_DASK": dask}
    done = subprocess.run(
        [*command, "--as-of", AS_OF.isoformat()], env=env, cwd=ROOT, capture_output=True, text=True, timeout=LONGEST
    )
    assert done.returncode == 0, done.stderr
    model = work_folder(replace(settings.load(), home=home), "capacity") / "train" / "model"
    return {path.name: path.read_bytes() for path in model.iterdir()}


@pytest.mark.nightly
def test_a_version_is_the_same_wherever_its_fits_were_made(raw: Path, scheduler: str, tmp_path: Path) -> None:
    threads = trained(tmp_path / "threads", raw, "")
    assert len(threads) >= 2
    assert trained(tmp_path / "cluster", raw, scheduler) == threads
    assert trained(tmp_path / "local", raw, "local") == threads
