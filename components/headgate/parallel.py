"""Independent fits side by side: in threads, as tasks of a Prefect flow, or on a Dask cluster, to the same bytes.

A stage calls `map_parallel` and does not know where it runs. As a plain function (a DVC stage, a test) it gets threads.
In a flow the fits go to the flow's task runner: threads of this process, or the workers of a cluster where
HEADGATE_DASK says so. Nothing else does: the flow's own tasks are called and not submitted, so they stay in this
process, beside their folders and locks.
"""

import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from headgate.errors import HeadgateError, UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")

#: Threads of this process that fit. Each waits for a process of its own.
THREADS = 2

#: The fits of one call are at most so many tasks a thread, and so many in all, not a task each: a task is a row in
#: Prefect's UI and several messages to its API, which a thousand fits would drown. Several a thread make up for some
#: that take longer, and less is done again when a worker dies.
TASKS_A_THREAD, MOST_TASKS = 4, 32

#: A task on a cluster is about so many fits at least: sending the flow's context along and unpacking it takes 0.3 s.
LEAST_FITS = 4

#: Seconds until a scheduler must answer, and that fits wait for a cluster that has no worker.
CONNECT_SECONDS, ALONE_SECONDS = 15.0, 120.0

#: How often it is asked whether there are workers.
LOOK_SECONDS = 1.0


def map_parallel(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """`function` of each of `items`, in their order; what it raises for the first that fails is raised.

    `function` can be pickled: it stands at the top level of a module, or is a `partial` of one that does. It is pure,
    since what a dying worker had in hand is done again, and does not call this itself.
    """
    context = sys.modules.get("prefect.context")  # a flow has imported it; whoever is in none is spared that second
    run = context.FlowRunContext.get() if context else None
    if run is None:
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(function, items))
    return _as_tasks(run, function, items) if items else []


def task_runner(dask: str | None) -> Any:
    """The task runner of a flow: threads, or Dask where `dask` is the address of a scheduler, or `local`.

    `local` is a cluster of processes for the time of the run. Nothing is started or reached before there is a fit.
    Raises UsageError where Dask is not installed.
    """
    if dask is None:
        from prefect.task_runners import ThreadPoolTaskRunner

        return ThreadPoolTaskRunner(max_workers=THREADS)
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError as error:
        raise UsageError(f"HEADGATE_DASK={dask} needs `pip install 'headgate[dask]'` ({error}).") from error
    if dask != "local":
        return DaskTaskRunner(address=dask, client_kwargs={"timeout": CONNECT_SECONDS})
    # Whoever reaches a scheduler runs code on it, so this one speaks TLS, with a certificate that only this run has.
    options = {"threads_per_worker": 1, "security": True, "dashboard_address": "127.0.0.1:0"}
    return DaskTaskRunner(cluster_kwargs=options)


def _each(function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    return [function(item) for item in items]


def _as_tasks(run: Any, function: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """The same as tasks of the flow run whose context is `run`."""
    from prefect import Task
    from prefect.cache_policies import NO_CACHE

    client = _client(run)
    tasks = len(items) if client is None else -(-len(items) // LEAST_FITS)
    threads = THREADS if client is None else sum(client.nthreads().values()) or MOST_TASKS
    size = -(-len(items) // min(tasks, TASKS_A_THREAD * threads, MOST_TASKS))
    fit = Task(_each, name="fits", cache_policy=NO_CACHE)
    futures: list[Any] = [fit.submit(function, items[i : i + size]) for i in range(0, len(items), size)]
    if client is not None:
        _wait(client, [future.wrapped_future for future in futures])
    return [result for future in futures for result in future.result()]


def _client(run: Any) -> Any:
    """The client of the cluster that the tasks of a flow go to; None where they stay. Raises HeadgateError."""
    runner = run.task_runner
    if runner.name != "dask":
        return None
    import cloudpickle

    # A task takes its flow along. By value: a worker has Headgate, but not the file that this flow was loaded from.
    cloudpickle.register_pickle_by_value(sys.modules[run.flow.fn.__module__])
    try:
        return runner.client
    except OSError as error:  # a timeout is one, too
        raise HeadgateError(
            f"No Dask scheduler answers at {runner.address} ({error}). Start it (`dask scheduler`) or correct "
            "HEADGATE_DASK; without that setting fits are done in threads."
        ) from error


def _wait(client: Any, futures: Sequence[Any]) -> None:
    """Until all `futures` are done. Raises HeadgateError where the cluster cannot do them, or has nobody left to."""
    from distributed import CancelledError, wait

    deadline = time.monotonic() + ALONE_SECONDS
    while time.monotonic() < deadline:
        try:
            if client.nthreads():
                deadline = time.monotonic() + ALONE_SECONDS
            with client.as_current():
                wait(futures, timeout=LOOK_SECONDS)
            break
        except TimeoutError:
            continue
        except (CancelledError, OSError):  # the scheduler is gone
            break
    else:
        raise HeadgateError(
            f"The Dask cluster at {client.scheduler.address} has had no worker for {ALONE_SECONDS:.0f} s: start one "
            f"(`dask worker {client.scheduler.address}`), or unset HEADGATE_DASK, and run it again."
        )
    # What a fit itself raises is in its task's state: these are faults of the cluster.
    for future in futures:
        if future.status != "finished":
            why = str(future.exception() if future.status == "error" else "its scheduler is gone").strip().rstrip(".")
            raise HeadgateError(
                f"The Dask cluster at {client.scheduler.address} could not do a fit: {why}. Scheduler and workers need "
                "what this run has installed, memory for a fit, and a way to Prefect's API."
            )
