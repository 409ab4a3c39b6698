"""Placing a plan: each order once, wherever a run dies; throttling is waited out, quotas are told in words."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from moto.autoscaling.models import autoscaling_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from typer.testing import CliRunner

from headgate.domains.capacity.commands.orders import orders_app
from headgate.domains.capacity.orders import aws as calls
from headgate.domains.capacity.orders import plans
from headgate.domains.capacity.orders.fleet import Fleet
from headgate.domains.capacity.orders.place import Report, place, show, words
from headgate.domains.capacity.orders.placed import ORDERED, ORDERING, REFUSED, read_placed
from headgate.domains.capacity.orders.plans import Plan
from headgate.errors import HeadgateError, UsageError
from headgate.registry.ledger import Ledger
from headgate.settings import Settings, load

from .... import killing
from ....killing import SOME_OR_ALL
from . import placing
from .cloud import Cloud, tag
from .placing import NOW
from .worlds import fleet, kind, planned

ZONES = [f"us-east-1{letter}" for letter in "abc"]


def world(**fields: Any) -> Fleet:
    types = {"m7i.2xlarge": kind(lot=4), "c7i.2xlarge": kind(family="c", on_demand=0.36, reserved=0.2, lot=4)}
    told = fleet(1, zones="abc", types=types, **fields)
    service = told.services["s0"]
    return msgspec.structs.replace(
        told, regions={"us-east-1": ZONES}, services={"s0": msgspec.structs.replace(service, region="us-east-1")}
    )


@pytest.fixture(scope="module")
def plan() -> Plan:
    made = planned(world(), weeks=3)
    assert {one.kind for one in made.orders} == {"reservation", "schedule"}
    return made


@pytest.fixture(scope="module")
def server() -> Iterator[Cloud]:
    made = Cloud()
    yield made
    made.close()


@pytest.fixture
def cloud(
    server: Cloud, aws: Callable[[str, int], None], plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cloud]:
    aws(server.url, 3)
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)
    calls._client.cache_clear()
    server.clear()
    client = boto3.client("autoscaling")
    client.create_launch_configuration(LaunchConfigurationName="lc", ImageId="ami-1", InstanceType="t2.micro")
    for group in {mix.group for mix in plan.mixes}:
        client.create_auto_scaling_group(
            AutoScalingGroupName=group, LaunchConfigurationName="lc", MinSize=0, MaxSize=5, AvailabilityZones=ZONES[:1]
        )
    yield server
    autoscaling_backends[DEFAULT_ACCOUNT_ID].clear()
    calls._client.cache_clear()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("HEADGATE_HOME", str(tmp_path / "state"))
    return load()


def order(here: Settings, plan: Plan, **how: Any) -> Report:
    return place(Ledger(here), plan, now=lambda: NOW, **how)


def bought(cloud: Cloud) -> list[tuple[str, str, str, int]]:
    """The reservations that there are: zone, type, start, count."""
    return sorted(
        (one["AvailabilityZone"], one["InstanceType"], one["StartDate"][:10], int(one["InstanceCount"]))
        for one in cloud.reservations.values()
    )


def sizes() -> list[tuple[str, str, int]]:
    """The scheduled actions that there are: group, day, size."""
    pages = boto3.client("autoscaling").get_paginator("describe_scheduled_actions").paginate()
    found = [one for page in pages for one in page["ScheduledUpdateGroupActions"]]
    return sorted((one["AutoScalingGroupName"], str(one["StartTime"])[:10], one["DesiredCapacity"]) for one in found)


def exactly(plan: Plan) -> tuple[list[Any], list[Any]]:
    """What stands when the plan is ordered, no more and no less."""
    reservations = [one for one in plan.orders if one.kind == "reservation"]
    schedules = [one for one in plan.orders if one.kind == "schedule"]
    return (
        sorted((one.zone, one.type, str(one.start), one.count) for one in reservations),
        sorted((one.group, str(one.start), one.count) for one in schedules),
    )


def test_nothing_is_ordered_without_being_told(cloud: Cloud, here: Settings, plan: Plan) -> None:
    report = show(plan, read_placed([]), NOW, ask=True)
    assert report.count("would") == len(plan.orders)
    assert (bought(cloud), sizes(), cloud.asked) == ([], [], [])


def test_a_plan_is_ordered_as_it_stands_and_once(cloud: Cloud, here: Settings, plan: Plan) -> None:
    assert order(here, plan).count("placed") == len(plan.orders)
    assert (bought(cloud), sizes()) == exactly(plan)
    calls_made = len(cloud.asked)
    again = order(here, plan)
    assert (again.count("already"), again.count("placed")) == (len(plan.orders), 0)
    assert len(cloud.asked) == calls_made
    assert show(plan, read_placed(Ledger(here).entries("capacity")), NOW, ask=True).count("already") == len(plan.orders)


def test_every_order_is_in_the_ledger_before_and_after_its_call(cloud: Cloud, here: Settings, plan: Plan) -> None:
    order(here, plan)
    ledger = Ledger(here)
    told = [(entry.what, entry.details["line"]) for entry in ledger.entries("capacity")]
    assert told == [(what, one.line) for one in plan.orders for what in (ORDERING, ORDERED)]
    first = ledger.entries("capacity")[1]
    assert (first.to_version, first.bundle, first.why) == (3, "b3", words(plan.orders[0]))
    ledger.verify()


def test_a_reservation_says_when_how_long_and_which_order_it_is(cloud: Cloud, here: Settings, plan: Plan) -> None:
    order(here, plan)
    one = next(iter(cloud.reservations.values()))
    assert one["CommitmentDuration"] == str(2 * 7 * 24 * 3600)
    assert (one["DeliveryPreference"], one["InstanceMatchCriteria"]) == ("incremental", "targeted")
    assert one["ClientToken"] == tag(one)
    assert len(one["ClientToken"]) <= 64


@SOME_OR_ALL
@pytest.mark.parametrize("forgetful", [False, True], ids=["tokens", "tags"])
def test_a_run_that_was_killed_anywhere_is_finished_by_the_next(
    cloud: Cloud, here: Settings, plan: Plan, forgetful: bool, every: bool, tmp_path: Path
) -> None:
    """Killed before some or each of its writes; with `tags`, EC2 has forgotten the token by the second run."""
    kinds = ("reservation",) if forgetful else ("reservation", "schedule")
    few = [next(one for one in plan.orders if one.kind == kind) for kind in kinds]
    short = plans.seal(msgspec.structs.replace(plan, orders=few))
    plans.write(short, tmp_path / "plan.json")
    cloud.forgetful = forgetful
    ledger = Ledger(here)

    def run(n: int) -> killing.Outcome:
        with ledger._begin() as connection:
            connection.exec_driver_sql("update headgate_leases set until = 0")
            connection.exec_driver_sql("delete from headgate_ledger")
        cloud.reservations.clear()
        for group, day, _ in sizes():
            boto3.client("autoscaling").delete_scheduled_action(
                AutoScalingGroupName=group, ScheduledActionName=f"headgate-{day}-{group}"
            )
        return killing.run(n, placing.order, here, tmp_path / "plan.json", cloud.url, kinds=("commit", "http"))

    writes = run(0).writes
    assert writes >= 4 * len(few)
    for n in killing.points(writes, every):
        assert run(n).killed
        with ledger._begin() as connection:
            connection.exec_driver_sql("update headgate_leases set until = 0")
        order(here, short)
        assert (bought(cloud), sizes()) == exactly(short), f"killed before write {n}"
        ledger.verify()


def test_throttling_is_waited_out(cloud: Cloud, here: Settings, plan: Plan) -> None:
    cloud.refusals = {name: [("RequestLimitExceeded", "slow down")] * 2 for name in ("CreateCapacityReservation",)}
    assert not order(here, plan).refused
    assert (bought(cloud), sizes()) == exactly(plan)


def test_a_quota_that_is_used_up_is_told_in_words_and_the_rest_is_ordered(
    cloud: Cloud, here: Settings, plan: Plan
) -> None:
    cloud.refuse = lambda asked: (
        ("InstanceLimitExceeded", "Your quota allows for 0 more") if asked.get("AvailabilityZone") == ZONES[0] else None
    )
    report = order(here, plan)
    wrong = [one for one in plan.orders if one.kind == "reservation" and one.zone == ZONES[0]]
    assert wrong
    assert [line.order for line in report.refused] == wrong
    assert "the quota of the account is too small (Your quota allows for 0 more)" in report.refused[0].words
    assert report.count("placed") == len(plan.orders) - len(wrong)
    assert [e.what for e in Ledger(here).entries("capacity")].count(REFUSED) == len(wrong)

    cloud.refuse = lambda asked: None  # the quota was raised: the same command orders what was missing
    assert order(here, plan).count("placed") == len(wrong)
    assert (bought(cloud), sizes()) == exactly(plan)


def test_what_ec2_does_not_take_is_told_before_it_is_asked(cloud: Cloud, here: Settings, plan: Plan) -> None:
    late = datetime(2026, 3, 7, tzinfo=UTC)
    report = show(plan, read_placed([]), late, ask=True)
    reasons = {line.order.kind: line.words for line in report.refused}
    assert "5 days ahead at least" in reasons["reservation"]
    assert "its week began on 2026-03-02" in reasons["schedule"]


def test_a_group_that_is_not_there_is_told_in_the_dry_run(cloud: Cloud, here: Settings, plan: Plan) -> None:
    boto3.client("autoscaling").delete_auto_scaling_group(AutoScalingGroupName=plan.mixes[0].group)
    report = show(plan, read_placed([]), NOW, ask=True)
    assert report.refused
    assert all(f"there is no Auto Scaling group {plan.mixes[0].group}" in line.words for line in report.refused)


def test_when_time_is_up_the_next_run_goes_on(cloud: Cloud, here: Settings, plan: Plan) -> None:
    with pytest.raises(HeadgateError, match="Time is up after 0 s"):
        order(here, plan, deadline=0.0)
    order(here, plan)
    assert (bought(cloud), sizes()) == exactly(plan)


@pytest.mark.parametrize(
    ("stop", "sentence"),
    [
        ("ExpiredToken", "credentials have expired"),
        (None, "What answers is not AWS"),
        (KeyboardInterrupt(), "Stopped: run the same command again"),
    ],
    ids=["credentials", "not AWS", "Ctrl-C"],
)
def test_whatever_stops_a_placing_what_was_done_is_said_first(
    cloud: Cloud,
    here: Settings,
    plan: Plan,
    stop: str | BaseException | None,
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ahead = datetime.now(UTC) - NOW
    orders = [msgspec.structs.replace(one, start=one.start + ahead) for one in plan.orders]
    gone = next(n for n, one in enumerate(orders) if one.kind == "reservation")
    orders.insert(0, msgspec.structs.replace(orders[gone], line="00000", vcpus=8))  # less than EC2 takes
    plans.write(plans.seal(msgspec.structs.replace(plan, orders=orders)), tmp_path / "plan.json")
    asked: list[object] = []

    def reserve(*arguments: Any) -> str:
        asked.append(arguments)
        if len(asked) < 3:
            return "cr-1"
        if isinstance(stop, BaseException):
            raise stop
        with calls._in_words(arguments[0]):
            raise ClientError({"Error": {"Code": stop}}, "x") if stop else ResponseParserError("<html>")

    monkeypatch.setattr("headgate.domains.capacity.orders.place.reserve", reserve)
    result = CliRunner().invoke(orders_app, ["place", "--plan", str(tmp_path / "plan.json"), "--place"])
    third = [n for n, one in enumerate(orders) if one.kind == "reservation"][3]
    head = f"{third - 1} placed, 0 already, 1 refused, {len(orders) - third} open."
    assert head in result.stdout
    assert "Refused:" in result.stdout
    assert "EC2 reserves 32 vCPUs ahead at least" in result.stdout
    assert isinstance(result.exception, HeadgateError)
    assert sentence in str(result.exception)
    assert "goes on from here" in str(result.exception)


def test_a_plan_that_does_not_know_of_a_later_order_is_refused(cloud: Cloud, here: Settings, plan: Plan) -> None:
    other = planned(world(currency="EUR"), weeks=3)
    order(here, plan)
    with pytest.raises(UsageError, match=f"Plan {plan.id} was placed after plan {other.id} was made"):
        order(here, other)


def test_the_next_plan_counts_on_what_is_ordered(cloud: Cloud, here: Settings, plan: Plan) -> None:
    """Planned again, reservations are held and sizes are set: nothing of it is ordered a second time."""
    order(here, plan)
    entries = Ledger(here).entries("capacity")
    known = read_placed(entries)
    first = {(one.zone, one.type): one for one in plan.pools}
    again = planned(world(), weeks=3, entries=entries)
    assert again.after == known.newest
    for pool in again.pools:
        there = first[pool.zone, pool.type].reserved if (pool.zone, pool.type) in first else [0, 0, 0]
        assert all(now >= was for now, was in zip(pool.reserved, there, strict=True))
    assert sum(o.count for o in again.orders if o.kind == "reservation") < sum(sum(p.lots) * 4 for p in plan.pools)
    assert known.scheduled[plan.orders[0].group or plan.mixes[0].group, date(2026, 3, 2)] >= 0


#: Answers that let nobody in: code, and what the sentence holds.
SHUT = {
    "AuthFailure": "does not accept the credentials (AuthFailure): renew them",
    "ExpiredToken": "credentials have expired (ExpiredToken): renew them",
    "RequestExpired": "credentials have expired (RequestExpired): renew them, or set the clock",
}


@pytest.mark.parametrize("code", SHUT)
def test_credentials_that_end_on_the_way_stop_the_run_and_the_next_goes_on(
    cloud: Cloud, here: Settings, plan: Plan, code: str
) -> None:
    cloud.refuse = lambda asked: (code, "no") if len(cloud.reservations) == 2 else None
    with pytest.raises(HeadgateError) as told:
        order(here, plan)
    assert SHUT[code] in str(told.value)
    assert "run the same command again: it goes on from here" in str(told.value)
    whats = [entry.what for entry in Ledger(here).entries("capacity")]
    assert (whats.count(ORDERED), whats[-1]) == (len(whats) // 2, ORDERING)

    cloud.refuse = lambda asked: None
    assert order(here, plan).count("already") == whats.count(ORDERED)
    assert (bought(cloud), sizes()) == exactly(plan)


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "AccessDenied"])
def test_what_a_policy_denies_is_named_without_its_blob_and_the_rest_is_ordered(
    cloud: Cloud, here: Settings, plan: Plan, code: str
) -> None:
    said = f"You are not authorized. {'Encoded authorization failure message: ' + 'x' * 900}"
    denied = {"UnauthorizedOperation": "CreateCapacityReservation", "AccessDenied": "PutScheduledUpdateGroupAction"}
    cloud.refuse = lambda asked: (code, said) if asked.get("Action") == denied[code] else None
    report = order(here, plan)
    kind = "reservation" if code == "UnauthorizedOperation" else "schedule"
    assert [line.order for line in report.refused] == [one for one in plan.orders if one.kind == kind]
    sentence = f"AWS does not allow {denied[code]} (You are not authorized): let its policy allow it, and run it again"
    assert {line.words for line in report.refused} == {sentence}
    assert {e.why for e in Ledger(here).entries("capacity") if e.what == REFUSED} == {sentence}

    cloud.refuse = lambda asked: None
    assert order(here, plan).count("placed") == len(report.refused)
    assert (bought(cloud), sizes()) == exactly(plan)


def test_a_denied_dry_run_says_so_of_each_line(cloud: Cloud, here: Settings, plan: Plan) -> None:
    cloud.refuse = lambda asked: ("UnauthorizedOperation", "no") if "DryRun" in asked else None
    report = show(plan, read_placed([]), NOW, ask=True)
    assert {line.words.partition(" (")[0] for line in report.refused} == {
        "AWS does not allow CreateCapacityReservation"
    }


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "There are no AWS credentials .*: set AWS_ACCESS_KEY"),
        ({"AWS_SECRET_ACCESS_KEY": ""}, "There are no AWS credentials .*: set AWS_ACCESS_KEY_ID"),
        ({"AWS_PROFILE": "nobody"}, "There are no AWS credentials .*nobody.*AWS_PROFILE"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "AWS does not answer .*: check the network and AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL": "not an address"}, "mend AWS_ENDPOINT_URL"),
        ({"AWS_MAX_ATTEMPTS": "many"}, "AWS_MAX_ATTEMPTS is 'many': set it to a whole number"),
    ],
    ids=["no credentials", "half of them", "no profile", "unreachable", "no address", "attempts"],
)
@pytest.mark.parametrize("kind", ["reservation", "schedule"])
def test_a_setting_that_reaches_no_aws_is_told_and_mended_by_a_second_run(
    cloud: Cloud,
    here: Settings,
    plan: Plan,
    monkeypatch: pytest.MonkeyPatch,
    settings: dict[str, str],
    sentence: str,
    kind: str,
) -> None:
    own = plans.seal(msgspec.structs.replace(plan, orders=[one for one in plan.orders if one.kind == kind]))
    with monkeypatch.context() as wrong:
        wrong.setattr(boto3, "DEFAULT_SESSION", None)
        for name, value in settings.items():
            if value:
                wrong.setenv(name, value)
            else:
                wrong.delenv(name)
        with pytest.raises(HeadgateError, match=sentence) as told:
            order(here, own)
        with pytest.raises(HeadgateError, match=sentence):
            show(own, read_placed([]), NOW, ask=True)
    assert "\n" not in str(told.value)
    assert [entry.what for entry in Ledger(here).entries("capacity")] == [ORDERING]

    calls._client.cache_clear()
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    assert order(here, own).count("placed") == len(own.orders)
    assert (bought(cloud), sizes()) == exactly(own)


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "InternalError"])
def test_an_order_in_doubt_stays_in_doubt_while_aws_does_not_say_what_came_of_it(
    cloud: Cloud, here: Settings, plan: Plan, code: str
) -> None:
    """The first order arrived and its answer did not; the second run may not ask; by the third EC2 forgot the token."""
    first = next(one for one in plan.orders if one.kind == "reservation")
    own = plans.seal(msgspec.structs.replace(plan, orders=[first]))
    cloud.lose = 3  # as often as boto3 tries
    assert "run the command again" in order(here, own).refused[0].words
    assert len(cloud.reservations) == 1
    cloud.forgetful = True
    cloud.refuse = lambda asked: (code, "no") if asked.get("Action") == "DescribeCapacityReservations" else None
    assert "whether it was ordered before cannot be asked" in order(here, own).refused[0].words
    cloud.refuse = lambda asked: None
    assert order(here, own).count("placed") == 1
    assert bought(cloud) == exactly(own)[0]
    assert [entry.what for entry in Ledger(here).entries("capacity")] == [ORDERING, ORDERED]
