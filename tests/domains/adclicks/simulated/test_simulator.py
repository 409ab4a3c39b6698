"""The simulated world: what it promises to those who train, test and drill on it."""

import ast
import ipaddress
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

import headgate.domains.adclicks as adclicks
from headgate.domains.adclicks.data.schema import ARRIVAL, CLICKS, DEVICES, NULLABLE, TABLES
from headgate.domains.adclicks.simulated.simulator import DEFAULT_START, SCENARIOS, TRUTH, simulate, truth_folder
from headgate.domains.adclicks.simulated.sizes import ClickSizes
from headgate.errors import UsageError

Simulated = Callable[..., Path]

ROBOTS = {"burst", "slow", "farm", "rotating", "buyer"}


@pytest.fixture(scope="module")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Simulated:
    """Simulate once for each set of arguments."""
    made: dict[tuple, Path] = {}

    def make(scenario: str = "calm", days: int = 6, clicks_per_day: int = 4000, seed: int = 1) -> Path:
        key = (scenario, days, clicks_per_day, seed)
        if key not in made:
            made[key] = tmp_path_factory.mktemp("simulated") / "raw"
            simulate(made[key], ClickSizes(days=days, clicks_per_day=clicks_per_day), scenario=scenario, seed=seed)
        return made[key]

    return make


def day_name(day: int) -> str:
    return f"{DEFAULT_START + timedelta(day)}.parquet"


def read(out: Path, table: str) -> pl.DataFrame:
    return pl.read_parquet(out / table)


def known(out: Path) -> pl.DataFrame:
    """Clicks with their truth, day number and outcomes."""
    return (
        read(out, "clicks")
        .unique("click_id")
        .join(pl.read_parquet(truth_folder(out) / "truth"), on="click_id", how="left", validate="1:1")
        .join(read(out, "purchases"), on="click_id", how="left", validate="1:1")
        .join(read(out, "refunds").rename({"known_at": "refunded_at"}), on="purchase_id", how="left")
        .with_columns(day=(pl.col("event_time").dt.date() - DEFAULT_START).dt.total_days())
    )


def contents(folder: Path, days: range) -> dict[str, bytes]:
    names = {day_name(day) for day in days}
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.parquet") if p.name in names}


# -- the files ---------------------------------------------------------------------------------------------------------


def test_tables_have_exactly_the_raw_schema_and_no_forbidden_nulls(simulated: Simulated) -> None:
    out = simulated()
    assert {folder.name for folder in out.iterdir()} == set(TABLES)
    for table, schema in TABLES.items():
        days = 6 if table == "clicks" else 9  # outcomes go on for three days
        assert sorted(path.name for path in (out / table).iterdir()) == [day_name(day) for day in range(days)]
        for path in (out / table).iterdir():
            assert dict(pl.read_parquet_schema(path)) == schema
        rows = read(out, table)
        assert len(rows) > 10
        assert not any(rows[column].null_count() for column in set(schema) - NULLABLE[table])


def test_rows_lie_in_the_file_of_their_day_of_arrival_in_order(simulated: Simulated) -> None:
    out = simulated()
    for table, column in ARRIVAL.items():
        for path in (out / table).iterdir():
            rows = pl.read_parquet(path)
            assert (rows[column].dt.date() == date.fromisoformat(path.stem)).all()
            assert rows[column].is_sorted()
    clicks = pl.concat([pl.read_parquet(out / "clicks" / day_name(day)) for day in range(6)])
    assert clicks["click_id"].is_unique().all()
    assert clicks["click_id"].is_sorted()  # ids sort as clicks arrive
    # A click just before midnight arrives on the next day, and is there.
    assert (clicks["received_at"].dt.date() > clicks["event_time"].dt.date()).any()


def test_the_truth_covers_every_click_and_lies_outside_the_source(simulated: Simulated) -> None:
    out = simulated()
    truth = truth_folder(out)
    assert truth.parent == out.parent
    assert truth.name == "raw.truth"
    rows = pl.read_parquet(truth / "truth")
    assert dict(rows.schema) == TRUTH
    assert set(rows["click_id"]) == set(read(out, "clicks")["click_id"])
    assert set(rows["kind"].unique()) == ROBOTS | {"human"}
    assert (rows["is_robot"] == (rows["kind"] != "human")).all()
    names = {column for table in TABLES.values() for column in table}
    assert not names & {"is_robot", "kind"}


def test_values_are_plausible(simulated: Simulated) -> None:
    clicks = read(simulated(), "clicks")
    assert set(clicks["device"].unique()) <= set(DEVICES)
    assert clicks["rfm"].drop_nulls().is_between(3, 15).all()
    assert clicks.filter(~pl.col("logged_in"))["rfm"].is_null().all()
    assert clicks["utc_offset_min"].n_unique() >= 6
    delay = (clicks["received_at"] - clicks["event_time"]).dt.total_milliseconds()
    assert delay.min() > 0
    assert 20 < delay.median() < 1000
    assert 0 < (delay > 60_000).mean() < 0.02
    versions = {ipaddress.ip_address(ip).version for ip in clicks["ip"].unique()}
    assert versions == {4, 6}


# -- determinism -------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(simulated: Simulated, tmp_path: Path) -> None:
    simulate(tmp_path / "again", ClickSizes(days=6, clicks_per_day=4000), seed=1)
    everything = range(9)
    assert contents(tmp_path / "again", everything) == contents(simulated(), everything)
    assert contents(truth_folder(tmp_path / "again"), everything) == contents(truth_folder(simulated()), everything)
    other = contents(simulated(seed=2), range(6))
    assert all(other[name] != data for name, data in contents(simulated(), range(6)).items() if "clicks" in name)


def test_a_day_does_not_depend_on_how_many_follow(simulated: Simulated) -> None:
    short, long = simulated(days=4), simulated(days=9)
    for folder in (lambda out: out, truth_folder):
        assert contents(folder(short), range(4)) == contents(folder(long), range(4))
    assert len(contents(short, range(4))) == 12


def test_it_may_start_on_any_day(tmp_path: Path) -> None:
    days: list[date] = []
    simulate(tmp_path / "raw", ClickSizes(days=2, clicks_per_day=500), start=date(2024, 2, 28), on_day=days.append)
    assert days == [date(2024, 2, 28), date(2024, 2, 29)]
    assert read(tmp_path / "raw", "clicks")["event_time"].min() >= datetime(2024, 2, 28, tzinfo=UTC)


# -- people and robots -------------------------------------------------------------------------------------------------


def test_purchases_follow_their_clicks_and_are_known_later(simulated: Simulated) -> None:
    out = simulated(clicks_per_day=30_000)
    clicks, purchases, refunds = read(out, "clicks"), read(out, "purchases"), read(out, "refunds")
    joined = purchases.join(clicks, on="click_id", how="left")
    assert joined["event_time"].null_count() == 0  # every purchase is of a click that was delivered
    assert (joined["purchased_at"] >= joined["event_time"]).all()
    assert (joined["known_at"] >= joined["purchased_at"]).all()
    assert (joined["known_at"] > joined["received_at"]).all()
    assert purchases["click_id"].is_unique().all()
    assert purchases["purchase_id"].is_unique().all()
    assert (purchases["amount"] > 0).all()
    returned = refunds.join(purchases, on="purchase_id", how="left", suffix="_paid")
    assert (returned["known_at"] > returned["known_at_paid"]).all()
    assert (returned["amount"] == returned["amount_paid"]).all()


def test_labels_are_as_late_as_those_of_real_clicks(simulated: Simulated) -> None:
    bought = known(simulated(clicks_per_day=30_000)).filter(pl.col("purchase_id").is_not_null())
    hours = (bought["known_at"] - bought["event_time"]).dt.total_seconds() / 3600
    assert len(hours) > 5000
    assert (hours <= 1).mean() == pytest.approx(0.53, abs=0.03)
    assert (hours <= 6).mean() == pytest.approx(0.60, abs=0.03)
    assert 0.98 < (hours <= 24).mean() < 1
    assert hours.max() <= 48.1


def test_people_buy_and_keep_robots_do_not(simulated: Simulated) -> None:
    clicks = known(simulated(clicks_per_day=30_000))
    bought, returned = pl.col("purchase_id").is_not_null(), pl.col("refund_id").is_not_null()
    kinds = clicks.group_by("kind").agg(
        share=pl.len() / len(clicks), conversion=bought.mean(), returned=returned.sum() / bought.sum()
    )
    by = {row["kind"]: row for row in kinds.iter_rows(named=True)}
    assert 0.045 < by["human"]["conversion"] < 0.065
    assert 0 < by["human"]["returned"] < 0.04
    assert 0.2 < 1 - by["human"]["share"] < 0.36
    assert all(by[kind]["share"] > 0.01 for kind in ROBOTS)
    assert all(by[kind]["conversion"] == 0 for kind in ROBOTS - {"buyer"})
    assert 0.01 < by["buyer"]["conversion"] < 0.06
    early = clicks.filter((pl.col("kind") == "buyer") & bought & (pl.col("day") < 4))  # later refunds may be cut off
    assert (early["refund_id"].is_not_null()).mean() > 0.8
    patience = early["refunded_at"] - early["known_at"]
    assert patience.max() <= timedelta(days=2)


def test_people_follow_the_local_clock_and_slow_robots_do_not(simulated: Simulated) -> None:
    clicks = known(simulated(clicks_per_day=30_000)).with_columns(
        hour=(pl.col("event_time") + pl.duration(minutes=pl.col("utc_offset_min"))).dt.hour()
    )

    def night(kind: str) -> float:
        return float(clicks.filter(pl.col("kind") == kind)["hour"].is_between(1, 4).mean())  # four hours of 24

    assert night("human") < 0.09
    assert night("slow") > 0.13


def test_gateways_hold_crowds_and_robots_hide_among_them(simulated: Simulated) -> None:
    clicks = known(simulated(clicks_per_day=30_000))
    users = clicks.filter(~pl.col("is_robot")).group_by("ip").agg(people=pl.col("user_id").n_unique())
    assert (users["people"] > 200).sum() >= 5
    assert (users["people"] <= 2).mean() > 0.9
    farms = clicks.filter(pl.col("kind") == "farm").select(pl.col("ip").unique()).join(users, on="ip", how="left")
    assert (farms["people"] > 20).mean() > 0.9


def test_each_kind_of_robot_shows_its_habit(simulated: Simulated) -> None:
    clicks = known(simulated(clicks_per_day=30_000)).filter(pl.col("day") == 2)
    users = clicks.group_by("kind", "user_id").agg(
        n=pl.len(), ips=pl.col("ip").n_unique(), span=pl.col("event_time").max() - pl.col("event_time").min()
    )
    habits = users.group_by("kind").agg(pl.col("n", "ips", "span").median())
    typical = {row["kind"]: row for row in habits.iter_rows(named=True)}
    assert typical["burst"]["n"] > 30
    assert typical["burst"]["ips"] == 1
    assert typical["burst"]["span"] < timedelta(minutes=30)
    assert typical["rotating"]["ips"] > 4
    assert typical["slow"]["n"] <= 6
    assert typical["slow"]["span"] > timedelta(hours=6)
    # No single counter tells them apart: hundreds of people click more in a day than the usual slow robot does.
    assert users.filter((pl.col("kind") == "human") & (pl.col("n") > typical["slow"]["n"])).height > 200


def test_calm_has_swings_but_no_jumps_other_than_sales(simulated: Simulated) -> None:
    people = known(simulated(days=28, clicks_per_day=3000)).filter(~pl.col("is_robot"))
    volume = people.group_by("day").len().sort("day")["len"]
    usual = volume.median()
    sales = volume > 1.3 * usual
    assert 1 <= sales.sum() <= 6
    assert volume.filter(~sales).min() > 0.75 * usual
    assert volume.max() < 2 * usual
    on_sale = people.filter(pl.col("day").is_in(sales.arg_true().implode()))
    assert on_sale["purchase_id"].is_not_null().mean() > 1.1 * people["purchase_id"].is_not_null().mean()


# -- scenarios ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "first"),
    [("attack", 6), ("label-outage", 6), ("new-robots", 5), ("duplicates", 6), ("late-clicks", 6), ("gateway", 3)],
)
def test_the_days_before_a_fault_are_calm(simulated: Simulated, scenario: str, first: int) -> None:
    calm, faulty = simulated(days=8), simulated(scenario, days=8)
    assert contents(faulty, range(first)) == contents(calm, range(first))
    assert contents(truth_folder(faulty), range(first)) == contents(truth_folder(calm), range(first))
    assert contents(faulty, range(first, first + 1)) != contents(calm, range(first, first + 1))


def test_every_scenario_is_described() -> None:
    assert set(SCENARIOS) == {
        "calm", "attack", "label-outage", "new-robots", "duplicates", "late-clicks", "gateway",
    }  # fmt: skip
    assert all(SCENARIOS.values())


def test_an_attack_multiplies_the_known_robots_on_one_day(simulated: Simulated) -> None:
    calm, attack = (known(simulated(scenario, days=8, clicks_per_day=15_000)) for scenario in ("calm", "attack"))

    def robots(clicks: pl.DataFrame, day: int) -> int:
        return clicks.filter(pl.col("is_robot") & (pl.col("day") == day)).height

    assert 3 < robots(attack, 6) / robots(calm, 6) < 5
    assert robots(attack, 7) < 1.3 * robots(calm, 7)
    assert set(attack["kind"].unique()) == ROBOTS | {"human"}


def test_a_label_outage_loses_six_hours_of_purchases_and_nothing_else(simulated: Simulated) -> None:
    calm, outage = simulated(days=8), simulated("label-outage", days=8)
    assert read(calm, "clicks").equals(read(outage, "clicks"))  # RFM stays
    lost = known(calm).join(read(outage, "purchases"), on="click_id", how="anti").drop_nulls("purchase_id")
    hours = sorted(lost["event_time"].dt.hour().unique())
    assert hours == list(range(hours[0], hours[0] + 6))
    assert set(lost["day"]) == {6}
    kept = known(outage).filter((pl.col("day") == 6) & pl.col("event_time").dt.hour().is_in(hours))
    assert len(kept) > 500
    assert kept["purchase_id"].null_count() == len(kept)
    people = known(calm).filter((pl.col("day") == 6) & ~pl.col("is_robot"))
    assert people["event_time"].dt.hour().is_in(hours).mean() > 6 / 24  # at the peak
    assert read(outage, "refunds").join(read(outage, "purchases"), on="purchase_id", how="anti").is_empty()


def test_new_robots_are_a_sixth_kind_from_one_day_on(simulated: Simulated) -> None:
    clicks = known(simulated("new-robots", days=8))
    paced = clicks.filter(pl.col("kind") == "paced")
    assert paced["day"].min() == 5
    share = len(paced) / clicks.filter(pl.col("day") >= 5).height
    assert 0.08 < share < 0.16
    assert all(ipaddress.ip_address(ip).version == 6 for ip in paced["ip"])
    assert set(paced["device"].unique()) == {"mobile"}
    by_user = paced.group_by("user_id").agg(n=pl.len(), networks=pl.col("ip").str.head(19).n_unique())
    assert by_user["n"].max() <= 8
    assert by_user["networks"].mean() > 2
    phones = paced.group_by(pl.col("ip").str.head(19)).agg(pl.col("user_id").n_unique())["user_id"]
    assert 3 < phones.mean() <= 6


def test_duplicates_are_exact_copies_on_one_day(simulated: Simulated) -> None:
    calm, twice = simulated(days=8), simulated("duplicates", days=8)
    for day in range(8):
        once, many = (pl.read_parquet(out / "clicks" / day_name(day)) for out in (calm, twice))
        assert many.unique(maintain_order=True).equals(once)
        copies = len(many) / len(once) - 1
        assert 0.03 < copies < 0.07 if day == 6 else copies == 0
    assert read(twice, "purchases").equals(read(calm, "purchases"))
    assert pl.read_parquet(truth_folder(twice) / "truth")["click_id"].is_unique().all()


def test_late_clicks_arrive_out_of_order_on_one_day(simulated: Simulated) -> None:
    clicks = known(simulated("late-clicks", days=8)).with_columns(
        late=(pl.col("received_at") - pl.col("event_time")).is_between(timedelta(minutes=20), timedelta(minutes=63))
    )
    late = clicks.filter("late")
    assert set(late["day"]) == {6}
    assert 0.06 < clicks.filter(pl.col("day") == 6)["late"].mean() < 0.11  # a third of one collector of four
    assert not late.sort("click_id")["event_time"].is_sorted()
    # The same happened as on the calm day; only its news came later.
    same = ["event_time", "user_id", "session_id", "ip"]
    calm = known(simulated(days=8)).filter(pl.col("day") == 6).select(same).sort(same)
    assert clicks.filter(pl.col("day") == 6).select(same).sort(same).equals(calm)


def test_a_new_gateway_moves_a_tenth_of_people_behind_three_addresses(simulated: Simulated) -> None:
    calm, moved = known(simulated(days=8)), known(simulated("gateway", days=8))
    changed = moved.join(calm.select("click_id", before="ip"), on="click_id").filter(pl.col("ip") != pl.col("before"))
    assert changed["ip"].n_unique() == 3
    assert not changed["is_robot"].any()
    assert changed["day"].min() == 3
    people = moved.filter(~pl.col("is_robot") & (pl.col("day") >= 3))
    assert 0.07 < len(changed) / len(people) < 0.13
    assert set(moved.filter(pl.col("ip").is_in(changed["ip"].unique().implode()))["kind"]) == {"human"}


# -- bad arguments -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"days": 0}, {"days": -1}, {"clicks_per_day": 0}, {"clicks_per_day": 49}, {"seed": -1},
        {"scenario": "storm"}, {"scenario": "attack", "days": 2},
    ],
)  # fmt: skip
def test_arguments_that_make_no_sense_are_refused_and_write_nothing(wrong: dict, tmp_path: Path) -> None:
    wrong = dict(wrong)
    sizes = ClickSizes(wrong.pop("days", 1), wrong.pop("clicks_per_day", 100))
    with pytest.raises(UsageError):
        simulate(tmp_path / "raw", sizes, **wrong)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("occupied", ["raw", "raw.truth"])
def test_it_does_not_write_over_anything(occupied: str, tmp_path: Path) -> None:
    (tmp_path / occupied).mkdir()
    (tmp_path / occupied / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not an empty folder"):
        simulate(tmp_path / "raw", ClickSizes(days=1, clicks_per_day=100))
    assert [p.name for p in tmp_path.rglob("*")] == [occupied, "mine.txt"]


def test_an_interrupted_run_leaves_nothing(tmp_path: Path) -> None:
    def stop(day: date) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "raw", ClickSizes(days=2, clicks_per_day=100), on_day=stop)
    assert not list(tmp_path.iterdir())


def test_an_empty_folder_may_be_filled(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    simulate(tmp_path / "raw", ClickSizes(days=1, clicks_per_day=50))
    assert dict(read(tmp_path / "raw", "clicks").schema) == CLICKS


def test_it_knows_nothing_of_the_models() -> None:
    modules = [
        path
        for path in Path(adclicks.__path__[0], "simulated").glob("*.py")
        if path.stem not in ("requests", "traffic")
    ]
    assert len(modules) > 5
    own = {f"headgate.domains.adclicks.simulated.{path.stem}" for path in modules}
    ground = {"headgate.contract.sizes", "headgate.errors", "headgate.files"}
    allowed = {"headgate.domains.adclicks.data.schema", "headgate.domains.adclicks.simulated", *ground, *own}
    for path in modules:
        for name in imports(path):
            library = name.split(".")[0]
            assert name in allowed or library in {"numpy", "polars", "pyarrow", "scipy", *sys.stdlib_module_names}, name


def imports(path: Path) -> set[str]:
    """Names of the modules that a file imports; `from package import module` counts as package.module."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "headgate.domains.adclicks":
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names
