"""The daily schedule: which days are due, and the deployments of `infra/prefect.yaml` served on this machine.

A scheduled run asks for all that was known at midnight UTC of the day on which it was to start. A day that was judged,
also one whose data was refused, is done; one that crashed, or that nothing ran on, is missed and comes first next time.
"""

import os
import signal
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import UTC, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from headgate.data import datasets, sources
from headgate.domain import NAMES, get_domain, in_order
from headgate.errors import UsageError
from headgate.orchestration.due import days_due, last_tick
from headgate.orchestration.outcome import days_judged
from headgate.settings import Settings

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment


#: A domain's deployment runs this flow.
DAILY = "flows/retrain.py:retrain"


def variable(domain: str) -> str:
    """The environment variable that says where the data of `domain` is."""
    return f"HEADGATE_SOURCE_{domain.upper()}"


def find_sources(settings: Settings, chosen: Collection[str], given: Mapping[str, str]) -> dict[str, str]:
    """Where the data of each domain is: as given, else as its variable says, else the demonstration's.

    Domains that have none are left out, unless they were `chosen` by name: UsageError then, and where none is left.
    """
    found: dict[str, str] = {}
    for name in given:
        get_domain(name)
    for name in (one.name for one in in_order([get_domain(name) for name in chosen or NAMES])):
        demo = demo_folder(settings, name)
        source = given.get(name) or os.environ.get(variable(name)) or (demo if Path(demo).is_dir() else "")
        if source:
            sources.check(source)
            found[name] = sources.absolute(source)
        elif chosen:
            raise UsageError(f"Nothing says where the data of {name} is: give --source {name}=DIR or {variable(name)}.")
    if not found:
        raise UsageError("Nothing says where any data is: give --source DOMAIN=DIR, or `headgate demo` makes some.")
    return found


def declared() -> list[dict[str, Any]]:
    """The deployments of `infra/prefect.yaml`, with the environment's variables filled in as `prefect deploy` does."""
    from prefect.utilities.templating import apply_values

    text = (_infra() / "prefect.yaml").read_text(encoding="utf-8")
    filled: list[dict[str, Any]] = apply_values(yaml.safe_load(text)["deployments"], {}, warn_on_notset=False)
    return filled


def deployments(found: Mapping[str, str], at: time) -> list["RunnerDeployment"]:
    """The declared deployments, to be served from this checkout: the daily ones of the domains that have a source."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig
    from prefect.deployments.runner import RunnerDeployment
    from prefect.schedules import Cron

    root = _infra().parent
    served = []
    for one in declared():
        parameters = dict(one["parameters"])
        schedules = [dict(each) for each in one.get("schedules", ())]
        if one["entrypoint"] == DAILY:
            if one["name"] not in found:
                continue
            parameters["source"] = found[one["name"]]
            schedules = [each | {"cron": f"{at.minute} {at.hour} * * *"} for each in schedules]
        limit = one.get("concurrency_limit")
        served.append(
            RunnerDeployment.from_entrypoint(
                f"{root}/{one['entrypoint']}",
                one["name"],
                parameters=parameters,
                schedules=[Cron(each.pop("cron"), **each) for each in schedules],
                concurrency_limit=ConcurrencyLimitConfig(**limit) if limit else None,
                paused=False,  # the last serving paused its schedules as it ended
            )
        )
    return served


def see_to_automations() -> None:
    """Make the automations of `infra/automations.yaml`, or bring those of the same name up to date."""
    from prefect.client.orchestration import get_client
    from prefect.events.schemas.automations import AutomationCore

    text = (_infra() / "automations.yaml").read_text(encoding="utf-8")
    with get_client(sync_client=True) as client:
        for wanted in map(AutomationCore.model_validate, yaml.safe_load(text)["automations"]):
            there = client.read_automations_by_name(wanted.name)
            if there:
                client.update_automation(there[0].id, wanted)
            else:
                client.create_automation(wanted)


def catch_up(settings: Settings, name: str, at: time, now: datetime) -> bool:
    """Begin the run of the daily deployment `name` that was last to begin, if days were missed; whether they were.

    It begins as one that is late. Where nothing was ever judged, nothing was missed.
    """
    from prefect.client.orchestration import get_client
    from prefect.states import Scheduled

    tick = last_tick(at, now)
    if not days_judged(settings, name) or not days_due(settings, get_domain(name), tick):
        return False
    with get_client(sync_client=True) as client:
        deployment = client.read_deployment_by_name(f"retrain/{name}")
        client.create_flow_run_from_deployment(deployment.id, state=Scheduled(scheduled_time=tick), tags=["catch-up"])
    return True


def serve(settings: Settings, found: Mapping[str, str], at: time) -> None:
    """Serve the deployments until Ctrl-C, with a Prefect server of our own if none is up."""
    from headgate.orchestration.api import prefect

    os.environ["HEADGATE_HOME"] = str(settings.home)  # every run is a process of its own
    with prefect(settings):
        import asyncio

        from prefect.runner import Runner

        os.environ.update(declared()[0]["work_pool"]["job_variables"]["env"])  # no work pool does it here
        see_to_automations()
        runner = Runner(name="headgate")
        for deployment in (served := deployments(found, at)):
            runner.add_deployment(deployment)
        for name, source in found.items():
            if source == demo_folder(settings, name):
                print(f"{name} has the demonstration's data, whose days are over: --source names yours.")
            elif catch_up(settings, name, at, datetime.now(UTC)):
                print(f"{name}: days were missed; they are caught up now, oldest first.")
        names = ", ".join(f"{one.flow_name}/{one.name}" for one in served)
        print(f"Serving {names}; daily at {at:%H:%M} UTC  (Ctrl-C stops)", flush=True)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may start us with Ctrl-C ignored
        runner.handle_sigterm = lambda *_: signal.raise_signal(signal.SIGINT)  # type: ignore[method-assign]
        with suppress(KeyboardInterrupt):
            asyncio.run(runner.start())


def demo_folder(settings: Settings, domain: str) -> str:
    """Where `headgate demo` puts its data."""
    return str(settings.home / "demo" / domain)


def _infra() -> Path:
    return datasets.pipeline().parent / "infra"
