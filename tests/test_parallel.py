"""Independent fits: the same bytes in threads, as tasks of a flow, and on a Dask cluster of real processes."""

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headgate import parallel, settings
from headgate.domains.capacity.model import prophet_level
from headgate.errors import DataRefused, HeadgateError, UsageError
from headgate.parallel import map_parallel

#: Nobody listens on the port "discard".
NOBODY = "tcp://127.0.0.1:9"


@pytest.fixture(scope="module", autouse=True)
def _prefect() -> Iterator[None]:
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=120):
        yield


def cluster(workers: int) -> Any:
    from distributed import LocalCluster

    return LocalCluster("127.0.0.1", n_workers=workers, threads_per_worker=1, dashboard_address="127.0.0.1:0")


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a cluster of two processes."""
    with cluster(2) as local:
        yield local.scheduler_address


def in_a_flow(dask: str | None, function: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """`side_by_side` as a stage calls it: within a task of a flow."""
    from prefect import flow, task

    @task
    def stage() -> list[Any]:
        return map_parallel(function, items)

    @flow(name="fits-test", task_runner=parallel.task_runner(dask))
    def path() -> list[Any]:
        return stage()

    return path()


def tasks_run() -> Counter[str]:
    """How often the newest flow ran each of its tasks."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.client.schemas.sorting import FlowRunSort

    with get_client(sync_client=True) as client:
        (newest,) = client.read_flow_runs(limit=1, sort=FlowRunSort.START_TIME_DESC)
        only = FlowRunFilter.model_validate({"id": {"any_": [newest.id]}})
        return Counter(run.name.rpartition("-")[0] for run in client.read_task_runs(flow_run_filter=only))


def series(count: int) -> tuple[Callable[[Any], Any], list[Any]]:
    """A fit, and short log levels that it is made of."""
    random = np.random.default_rng(3)
    dates = 20_000 + np.arange(60)
    sale = (random.random((60, 1)) < 0.1).astype(float)
    levels = [4 + 0.3 * (dates % 7 == 2) + sale[:, 0] + random.normal(0, 0.05, 60) for _ in range(count)]
    fit = partial(
        prophet_level.fit, dates=dates, regressors=sale, until=20_050, growth="linear", weekly=True, yearly=False
    )
    return fit, levels


def bytes_of(found: Sequence[prophet_level.Parts]) -> list[bytes]:
    return [part.trend.tobytes() + part.season.tobytes() + part.effects.tobytes() for part in found]


def refused_three(number: int) -> int:
    if number == 3:
        raise DataRefused(f"{number} is refused.")
    return number


def dies_once(flag: Path, number: int) -> int:
    if number == 3 and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_prophet_fits_to_the_same_bytes_wherever_it_runs(scheduler: str) -> None:
    fit, levels = series(9)
    plain = bytes_of(map_parallel(fit, levels))
    assert len(set(plain)) == 9
    assert bytes_of(in_a_flow(None, fit, levels)) == plain
    assert tasks_run() == {"stage": 1, "fits": 5}
    assert bytes_of(in_a_flow(scheduler, fit, levels)) == plain
    assert tasks_run() == {"stage": 1, "fits": 3}


@pytest.mark.parametrize("where", ["threads", "cluster"])
def test_a_thousand_items_are_a_few_tasks_and_keep_their_order(where: str, scheduler: str) -> None:
    numbers = [-number for number in range(1001)]
    found = in_a_flow(scheduler if where == "cluster" else None, abs, numbers)
    assert found == list(range(1001))
    assert tasks_run()["fits"] == 8  # four a thread, and both have two


def test_a_worker_that_is_killed_costs_nothing(scheduler: str, tmp_path: Path) -> None:
    assert in_a_flow(scheduler, partial(dies_once, tmp_path / "died"), range(12)) == list(range(12))
    assert (tmp_path / "died").exists()


@pytest.mark.parametrize("where", ["plain", "threads", "cluster"])
def test_what_a_fit_raises_is_raised(where: str, scheduler: str) -> None:
    fit = map_parallel if where == "plain" else partial(in_a_flow, scheduler if where == "cluster" else None)
    with pytest.raises(DataRefused, match="3 is refused"):
        fit(refused_three, range(6))


def test_an_address_where_nobody_listens_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "CONNECT_SECONDS", 1.0)
    with pytest.raises(HeadgateError, match=f"No Dask scheduler answers at {NOBODY} .*HEADGATE_DASK"):
        in_a_flow(NOBODY, abs, [1])


def test_a_cluster_that_nobody_works_for_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "ALONE_SECONDS", 0.5)
    with cluster(0) as empty, pytest.raises(HeadgateError, match=f"no worker .*dask worker {empty.scheduler_address}"):
        in_a_flow(empty.scheduler_address, abs, [1])


def test_a_flow_without_fits_needs_no_cluster() -> None:
    assert in_a_flow(NOBODY, abs, []) == []


@pytest.mark.parametrize("text", ["yes", "127.0.0.1:8786", "tcp://scheduler", "http://scheduler:8786"])
def test_a_setting_that_names_no_cluster_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADGATE_DASK", text)
    with pytest.raises(UsageError, match=f"HEADGATE_DASK={text} is no cluster"):
        settings.load()
