"""The daily schedule: which days are due, what a late run asks for, what is served, and what becomes of dead runs."""

import ast
import os
import signal
import subprocess
import sys
import time as clock
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from headgate import settings
from headgate.contract.cadence import Cadence
from headgate.domain import NAMES, Domain, Request, get_domain, in_order
from headgate.errors import HeadgateError, UsageError
from headgate.orchestration import deployments
from headgate.orchestration.deployments import find_sources
from headgate.orchestration.due import CATCH_UP, DAY, days_due, last_tick, missed
from headgate.orchestration.outcome import Outcome, days_judged
from headgate.settings import Settings

ROOT = Path(__file__).parents[2]
CLICKS, LOADS = get_domain("adclicks"), get_domain("capacity")
DAYS = st.dates(date(2026, 1, 1), date(2026, 3, 1))


@pytest.fixture
def here(tmp_path: Path) -> Settings:
    return replace(settings.load(), home=tmp_path)


def _ended(as_of: datetime, result: str = "promoted", domain: str = "adclicks") -> Outcome:
    return Outcome(domain, as_of.isoformat(), result, (), 1, "r", "b", False, f"{domain} as of {as_of}.")  # type: ignore[arg-type]


def _midnight(day: int, month: int = 1) -> datetime:
    return datetime(2026, month, day, tzinfo=UTC)


@given(st.sets(DAYS), DAYS, DAYS, st.integers(0, 14))
def test_what_is_due_comes_in_order_once_and_after_all_that_is_done(
    done: set[date], today: date, first: date, limit: int
) -> None:
    days = missed(done, today, first, limit)
    assert days == sorted(set(days))
    assert not done.intersection(days)
    assert all(day > other for day in days for other in done)
    assert all(max(first, today - limit * DAY) <= day <= today for day in days)
    if today > max(done, default=date.min) and today >= first:
        assert days[-1] == today
        assert len(days) == (today - days[0]).days + 1  # none between is left out
    else:
        assert days == []


@given(st.sets(DAYS), DAYS, st.integers(0, 14), st.integers(1, 20))
def test_however_runs_are_cut_off_each_day_is_done_once_and_in_order(
    done: set[date], today: date, limit: int, after: int
) -> None:
    """A run that gets through `after` of its days each time, until nothing is due."""
    ran: list[date] = []
    begun = missed(done, today, today - limit * DAY, limit)
    while days := missed(done | set(ran), today, today - limit * DAY, limit):
        ran += days[:after]
    assert ran == begun


def test_the_record_of_days_counts_what_was_judged_and_not_what_crashed(here: Settings) -> None:
    _ended(_midnight(20), "data refused").write(here)
    _ended(_midnight(21), "refused").write(here)
    _ended(_midnight(22) + timedelta(hours=5)).write(here)  # somebody's run by hand asks another question
    _ended(_midnight(23), domain="capacity").write(here)
    assert days_judged(here, "adclicks") == {date(2026, 1, 20), date(2026, 1, 21)}
    late = datetime(2026, 1, 23, 3, tzinfo=UTC)
    assert days_due(here, CLICKS, late) == [_midnight(22), _midnight(23)]
    assert days_due(here, LOADS, late) == []
    last = Outcome.read(here, "adclicks")
    assert last is not None
    assert last.as_of == (_midnight(22) + timedelta(hours=5)).isoformat()


def test_the_first_run_ever_asks_for_its_own_day_only(here: Settings) -> None:
    assert days_due(here, CLICKS, datetime(2026, 1, 23, 23, 59, tzinfo=UTC)) == [_midnight(23)]


def test_what_was_missed_long_ago_stays_so(here: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    _ended(_midnight(1)).write(here)
    late = datetime(2026, 1, 31, 3, tzinfo=UTC)
    assert days_due(here, CLICKS, late) == [_midnight(day) for day in range(24, 32)]
    monkeypatch.setenv(CATCH_UP, "1")
    assert days_due(here, CLICKS, late) == [_midnight(30), _midnight(31)]
    monkeypatch.setenv(CATCH_UP, "a week")
    with pytest.raises(UsageError, match="no number of days"):
        days_due(here, CLICKS, late)


def test_of_a_weekly_domain_only_its_weekday_is_due_and_weeks_are_caught_up(here: Settings) -> None:
    weekly = replace(CLICKS, cadence=Cadence(weekday=0))
    assert days_due(here, weekly, datetime(2026, 1, 23, 3, tzinfo=UTC)) == [], "a Friday"
    assert days_due(here, weekly, datetime(2026, 1, 26, 3, tzinfo=UTC)) == [_midnight(26)], "a Monday"
    _ended(_midnight(5)).write(here)
    assert days_due(here, weekly, datetime(2026, 1, 28, 3, tzinfo=UTC)) == [_midnight(12), _midnight(19), _midnight(26)]
    _ended(_midnight(26)).write(here)
    assert days_due(here, weekly, datetime(2026, 1, 28, 3, tzinfo=UTC)) == []


def test_a_domain_comes_after_those_whose_log_it_reads() -> None:
    assert [one.name for one in in_order([LOADS, CLICKS])] == ["adclicks", "capacity"]
    assert in_order([LOADS]) == [LOADS], "what is not there is not waited for"
    circle = [replace(CLICKS, depends_on=("capacity",)), LOADS]
    with pytest.raises(UsageError, match="depend on each other: adclicks, capacity"):
        in_order(circle)


def test_a_run_that_was_to_begin_later_today_was_last_to_begin_yesterday() -> None:
    now = datetime(2026, 1, 23, 2, tzinfo=UTC)
    assert last_tick(time(3), now) == datetime(2026, 1, 22, 3, tzinfo=UTC)
    assert last_tick(time(2), now) == now


def test_a_source_is_as_given_then_as_set_then_the_demonstrations(
    here: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="where any data is"):
        find_sources(here, [], {})
    with pytest.raises(UsageError, match="HEADGATE_SOURCE_CAPACITY"):
        find_sources(here, ["capacity"], {})
    demo = tmp_path / "demo" / "adclicks"
    demo.mkdir(parents=True)
    assert find_sources(here, [], {}) == {"adclicks": str(demo)}
    (tmp_path / "set").mkdir()
    monkeypatch.setenv("HEADGATE_SOURCE_ADCLICKS", str(tmp_path / "set"))
    assert find_sources(here, [], {}) == {"adclicks": str(tmp_path / "set")}
    (tmp_path / "given").mkdir()
    assert find_sources(here, ["adclicks"], {"adclicks": str(tmp_path / "given")})["adclicks"].endswith("given")
    with pytest.raises(UsageError, match="no domain 'clicks'"):
        find_sources(here, [], {"clicks": "x"})


def test_every_domain_has_a_deployment_and_every_state_of_a_flow_is_expected() -> None:
    declared = yaml.safe_load((ROOT / "infra" / "prefect.yaml").read_text())["deployments"]
    daily = {one["name"]: one for one in declared if one["entrypoint"] == deployments.DAILY}
    assert set(daily) == set(NAMES)
    for name, one in daily.items():
        assert one["parameters"]["domain"] == name
        assert deployments.variable(name) in one["parameters"]["source"]
        assert one["concurrency_limit"] == {"limit": 1, "collision_strategy": "ENQUEUE"}
        assert [each["timezone"] for each in one["schedules"]] == ["UTC"]
    (zombies,) = yaml.safe_load((ROOT / "infra" / "automations.yaml").read_text())["automations"]
    beats = int(declared[0]["work_pool"]["job_variables"]["env"]["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"])
    assert zombies["trigger"]["within"] >= 3 * beats
    expected = {event.rpartition(".")[2] for event in zombies["trigger"]["expect"]}
    for path in (ROOT / "flows").glob("*.py"):
        assert _state_names(path) <= expected, path.name


def _state_names(path: Path) -> set[str]:
    """Every name that a flow gives to a state, also in a conditional expression."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    states = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in ("Completed", "Failed")]
    named = [keyword.value for call in states for keyword in call.keywords if keyword.arg == "name"]
    texts = [node for value in named for node in ast.walk(value) if isinstance(node, ast.Constant)]
    return {node.value for node in texts if isinstance(node.value, str)} - {"data refused"}


@pytest.fixture(scope="module")
def prefect() -> Iterator[None]:
    """A real Prefect server for as long as this module runs."""
    from prefect.testing.utilities import prefect_test_harness

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        with prefect_test_harness(server_startup_timeout=120):
            yield


@pytest.fixture
def flows(prefect: None, here: Settings, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The flow's module, on this test's state folder."""
    import flows.retrain as module

    monkeypatch.setattr(settings, "load", lambda: here)
    return module


@pytest.fixture
def asked(flows: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The instants that runs ask for, in order; the path itself is left out."""
    instants: list[datetime] = []

    def run(here: Settings, domain: Domain, request: Request, recalibrate_only: bool) -> Outcome:
        instants.append(request.as_of)
        return _ended(request.as_of, "refused" if request.as_of.day == 2 else "promoted")

    monkeypatch.setattr(flows, "run", run)
    return instants


def _begin(flows: ModuleType, monkeypatch: pytest.MonkeyPatch, start: datetime, **more: Any) -> Any:
    """A run that was to begin at `start`, as the scheduler makes it."""
    from prefect.runtime import flow_run

    monkeypatch.setitem(flow_run.FIELDS, "scheduled_start_time", lambda: start)
    return flows.retrain("adclicks", "data", **more, return_state=True)


def test_a_late_run_asks_what_a_punctual_one_would_have_asked(
    flows: ModuleType, asked: list[datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    state = _begin(flows, monkeypatch, datetime(2026, 3, 1, 3, tzinfo=UTC))
    assert asked == [_midnight(1, month=3)]
    assert (state.name, state.message) == ("Promoted", "adclicks as of 2026-03-01 00:00:00+00:00.")


def test_missed_days_are_caught_up_in_order_and_nothing_runs_twice(
    flows: ModuleType, asked: list[datetime], monkeypatch: pytest.MonkeyPatch, here: Settings
) -> None:
    _ended(_midnight(28, month=2)).write(here)
    start = datetime(2026, 3, 3, 3, tzinfo=UTC)
    assert _begin(flows, monkeypatch, start).name == "Promoted"
    assert asked == [_midnight(day, month=3) for day in (1, 2, 3)]  # that of the 2nd was refused: it was judged
    for again in (start, start - timedelta(days=1)):  # twice, and one that comes too late
        assert _begin(flows, monkeypatch, again).name == "NothingDue"
    assert len(asked) == 3


def test_a_day_that_ends_in_a_fault_comes_first_the_next_time(
    flows: ModuleType, asked: list[datetime], monkeypatch: pytest.MonkeyPatch, here: Settings
) -> None:
    _ended(_midnight(28, month=2)).write(here)
    whole = flows.run

    def broken(here: Settings, domain: Domain, request: Request, recalibrate_only: bool) -> Outcome:
        if request.as_of.day == 2:
            raise HeadgateError("The disk is full.")
        return whole(here, domain, request, recalibrate_only)

    monkeypatch.setattr(flows, "run", broken)
    start = datetime(2026, 3, 3, 3, tzinfo=UTC)
    state = _begin(flows, monkeypatch, start)
    assert state.is_failed()
    assert "The disk is full." in state.message
    assert asked == [_midnight(1, month=3)]
    monkeypatch.setattr(flows, "run", whole)
    _begin(flows, monkeypatch, start)
    assert asked == [_midnight(day, month=3) for day in (1, 2, 3)]


def test_a_run_by_hand_asks_for_its_own_instant_only(
    flows: ModuleType, asked: list[datetime], monkeypatch: pytest.MonkeyPatch, here: Settings
) -> None:
    _ended(_midnight(20, month=2)).write(here)
    noon = datetime(2026, 3, 1, 12, tzinfo=UTC)
    _begin(flows, monkeypatch, noon, as_of=noon)
    assert asked == [noon]
    assert days_judged(here, "adclicks") == {date(2026, 2, 20)}


def test_what_is_served_has_typed_parameters_its_hour_and_one_run_at_a_time(prefect: None, tmp_path: Path) -> None:
    served = {one.name: one for one in deployments.deployments({"adclicks": str(tmp_path)}, time(4, 30))}
    assert set(served) == {"adclicks", "rollback", "replay", "watch"}
    adclicks = served["adclicks"]
    assert adclicks.parameters["source"] == str(tmp_path)
    assert [(each.schedule.cron, each.schedule.timezone) for each in adclicks.schedules] == [("30 4 * * *", "UTC")]
    assert (adclicks.concurrency_limit, adclicks.concurrency_options.collision_strategy.value) == (1, "ENQUEUE")
    kinds = adclicks._parameter_openapi_schema.properties
    assert kinds["recalibrate_only"]["type"] == "boolean"
    assert kinds["as_of"]["anyOf"][0] == {"type": "string", "format": "date-time"}
    assert all(one.enforce_parameter_schema and not one.paused for one in served.values())
    assert not any(each.active for each in served["watch"].schedules)


def test_at_its_start_the_schedule_begins_a_late_run_only_where_days_were_missed(prefect: None, here: Settings) -> None:
    from prefect.client.orchestration import get_client

    for one in deployments.deployments({"adclicks": "data", "capacity": "data"}, time(3)):
        if one.name in NAMES:
            one.apply()
    now = datetime(2026, 3, 3, 2, tzinfo=UTC)
    assert not deployments.catch_up(here, "adclicks", time(3), now)  # nothing was ever judged
    _ended(_midnight(1, month=3)).write(here)
    _ended(_midnight(2, month=3), domain="capacity").write(here)
    assert not deployments.catch_up(here, "capacity", time(3), now)  # today's is not due before three o'clock
    assert deployments.catch_up(here, "adclicks", time(3), now)
    with get_client(sync_client=True) as client:
        begun = [run for run in client.read_flow_runs() if "catch-up" in run.tags]
    assert [run.expected_start_time for run in begun] == [datetime(2026, 3, 2, 3, tzinfo=UTC)]


def test_the_automation_is_there_once_and_brought_up_to_date(prefect: None) -> None:
    from prefect.client.orchestration import get_client

    deployments.see_to_automations()
    with get_client(sync_client=True) as client:
        (made,) = client.read_automations_by_name("headgate-zombies")
        client.pause_automation(made.id)
        deployments.see_to_automations()
        (again,) = client.read_automations_by_name("headgate-zombies")
    assert again.enabled
    assert again.trigger.within == timedelta(minutes=4)


#: A flow that ends with a name of its own, at once or never.
FLOW = """
import sys, time
from prefect import flow
from prefect.states import Completed

@flow(name="zombie-test", flow_run_name=sys.argv[1])
def run():
    time.sleep(float(sys.argv[2]))
    return Completed(name="Promoted")

run()
"""


@pytest.mark.nightly
def test_a_run_whose_process_is_gone_is_marked_as_crashed_and_one_that_ended_is_not(
    prefect: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter
    from prefect.settings import PREFECT_API_URL

    declared = (ROOT / "infra" / "automations.yaml").read_text()
    (tmp_path / "automations.yaml").write_text(declared.replace("within: 240", "within: 15"))
    monkeypatch.setattr(deployments, "_infra", lambda: tmp_path)
    deployments.see_to_automations()
    script = tmp_path / "zombie.py"
    script.write_text(FLOW)
    env = os.environ | {"PREFECT_API_URL": PREFECT_API_URL.value(), "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30"}

    def state(client: Any, name: str) -> str:
        runs = client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate({"name": {"any_": [name]}}))
        return runs[0].state.name if runs else ""

    def until(client: Any, name: str, wanted: str) -> None:
        deadline = clock.monotonic() + 120
        while state(client, name) != wanted:
            assert clock.monotonic() < deadline, f"{name} is {state(client, name) or 'not there'}, and not {wanted}"
            clock.sleep(0.5)

    with get_client(sync_client=True) as client:
        subprocess.run([sys.executable, script, "ends", "3"], env=env, check=True, timeout=120)
        with subprocess.Popen([sys.executable, script, "dies", "1000"], env=env) as process:
            until(client, "dies", "Running")
            clock.sleep(3)  # its first heartbeat is on its way
            process.send_signal(signal.SIGKILL)
        until(client, "dies", "Crashed")
        assert state(client, "ends") == "Promoted"
