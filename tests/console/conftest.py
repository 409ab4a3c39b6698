"""The console on a real app: a small forecaster that decides, a calendar to save to, and a ledger with a history."""

import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from starlette.applications import Starlette

from headgate.contract.checks import Check, Verdict
from headgate.domain import get_domain
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.orders.plans import FOLDER, Plan, seal, write
from headgate.registry.ledger import Entry, Ledger
from headgate.settings import Settings

from ..domains.capacity.conftest import forecaster, load_source, load_work  # noqa: F401
from ..serving import real

CAPACITY = get_domain("capacity")

SALE = "flash-2026-02-2"
HOME = "eu-central/home/requests"
WINDOW = {"series": HOME, "from": "2026-02-19T00:00", "to": "2026-02-26T00:00", "step": "1h"}
ORIGIN = {"origin": "http://127.0.0.1"}


@pytest.fixture
def here(tmp_path: Path, load_source: Path) -> Settings:  # noqa: F811
    """Settings with a state folder and a calendar of their own."""
    calendar = tmp_path / "planners"
    calendar.mkdir()
    for name in ("calendar.csv", "series.csv"):
        shutil.copyfile(load_source / name, calendar / name)
    return replace(real.settings(tmp_path / "state"), calendar=str(calendar))


@pytest.fixture
def app(here: Settings, forecaster: Forecaster) -> Iterator[Starlette]:  # noqa: F811
    """The app with a forecaster as champion of capacity."""
    with real.real_app(here, CAPACITY, forecaster) as made:
        yield made


@pytest.fixture
def browse() -> Callable[..., Any]:
    """A client of an app, as a browser on this machine."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Starlette would like another client than the one that is installed
        from starlette.testclient import TestClient
    return lambda app, **more: TestClient(app, base_url="http://127.0.0.1", **more)


@pytest.fixture
def client(app: Starlette, browse: Callable[..., Any]) -> Any:
    """A browser without a token, where none is needed."""
    return browse(app)


#: What the gate said of version 2, which it refused.
VERDICT = Verdict(
    (
        Check(
            "data", "volume", "passed", "refuse", "24,612 clicks", "within 30 % of Mondays", "As many as on Mondays."
        ),
        Check(
            "model against champion",
            "WAPE",
            "failed",
            "refuse",
            "+0.031 (95 % from 0.012 to 0.050)",
            "at most +0.020",
            "The candidate's WAPE is worse than the champion's by 0.031: it must be shown to be no worse than 0.020.",
        ),
        Check(
            "change",
            "jumps",
            "failed",
            "review",
            "8 % of the series",
            "at most 5 %",
            "eu-central/cart/requests jumps by 18 % on <2026-02-20> & nothing explains it: look at its plot.",
        ),
        Check("budget", "weekly peaks", "not judged", "refuse", "3 weeks", "8 weeks", "Too few weeks have peaks yet."),
        Check("infrastructure", "latency", "passed", "refuse", "× 1.04", "at most × 2", "As quick as the champion."),
    )
)


@pytest.fixture
def history(here: Settings, empty_database: Path) -> Settings:
    """`here` with a registry and a ledger: version 1 is champion, 2 was refused, 3 waits, and promotion is held."""
    from mlflow import MlflowClient

    here.mlflow_home.mkdir(parents=True)
    shutil.copyfile(empty_database, here.local_database)
    client, ledger = MlflowClient(here.local_tracking_uri), Ledger(here)
    experiment = client.create_experiment("capacity", artifact_location=(here.home / "artifacts").as_uri())
    client.create_registered_model("capacity")
    for number, ruling in enumerate(("passed", "refused", "review"), 1):
        run = client.create_run(experiment)
        client.create_model_version("capacity", source=f"{run.info.artifact_uri}/bundle", run_id=run.info.run_id)
        verdict = VERDICT if ruling == "refused" else Verdict(VERDICT.checks[:1])
        client.log_dict(run.info.run_id, verdict.to_dict(), "verdict.json")
        told: dict[str, Any] = {"to_version": number, "bundle": f"{number:x}" * 64, "run_id": run.info.run_id}
        ledger.append(Entry("capacity", "verdict", "the flow", " ".join(verdict.reasons), ruling=ruling, **told))
        if number == 1:
            ledger.append(Entry("capacity", "changed", "the flow", "It passed its gate.", **told))
    client.set_registered_model_alias("capacity", "champion", "1")
    client.set_registered_model_alias("capacity", "challenger", "3")
    client.set_registered_model_tag("capacity", "headgate.canary", "0.05")
    ledger.append(Entry("capacity", "challenger", "the flow", "The gate asks for a reviewer.", from_version=1, **told))
    ends = {"ends": "2099-03-01T00:00:00+00:00"}
    ledger.append(Entry("capacity", "hold", "ana", "Sale <week>: no changes & no risks.", details=ends))
    return here


#: The form that saves the flash sale two days later, as a page that showed its first revision sends it.
MOVED = WINDOW | {
    "event": SALE,
    "start": "2026-02-23T00:00",
    "end": "2026-02-24T00:00",
    "seen": f"{SALE}@1",
    "reason": "The supplier is late.",
}


@pytest.fixture
def plan(here: Settings) -> dict[str, Any]:
    """A plan of orders of another calendar and version, where the page finds it."""
    weeks = [f"2026-02-{day:02d}" for day in (16, 23)] + [f"2026-03-{day:02d}" for day in (2, 9, 16, 23)]
    need = [310.0, 420.0, 360.0, 380.0, 395.0, 402.0]
    made: dict[str, Any] = {
        "id": "5f0c2d9a41b7e683",
        "made": "2026-02-16T08:00:00+00:00",
        "seconds": 2.4,
        "after": 0,
        "weeks": weeks,
        "currency": "USD",
        "forecast": {
            "version": 7,
            "bundle": "b" * 64,
            "ruling": "passed",
            "as_of": "2026-02-16T00:00:00+00:00",
            "calendar": "0123456789ab",
            "certified": True,
            "scenarios": 400,
        },
        "cost": {
            "total": 48_210.0,
            "on_demand": 9_120.5,
            "reserved": 36_800.0,
            "after": 1_400.0,
            "missing": 889.5,
            "by_type": {},
            "by_zone": {},
            "by_week": [],
        },
        "bound": 48_000.0,
        "gap": 0.004,
        "mixes": [],
        "pools": [],
        "services": [
            {
                "service": "home",
                "median": need,
                "quantile": [1.2 * value for value in need],
                "floor": [0.9 * value for value in need],
                "capacity": [460.0, 560.0, 500.0, 500.0, 520.0, 520.0],
                "missing": [0.0] * 6,
                "headroom": [
                    {
                        "name": "utilisation",
                        "value": 1.54,
                        "carried": "factor",
                        "why": "Instances run at 65 % at most.",
                    },
                    {"name": "zone loss", "value": 1.5, "carried": "constraint", "why": "Any one of 3 zones may fail."},
                ],
            }
        ],
        "prices": [{"saves": 310.0, "words": "A quota of 8 vCPUs more of m7, one more instance would save 310 USD."}],
        "orders": [
            {
                "line": f"{number:05d}",
                "kind": kind,
                "region": "eu-central-1",
                "zone": f"eu-central-1{zone}",
                "type": "m7g.2xlarge",
                "start": weeks[number % 2],
                "count": 12 + number,
                "weeks": 13 if kind == "reservation" else 0,
                "group": "" if kind == "reservation" else f"home-{zone}",
            }
            for number, (kind, zone) in enumerate((k, z) for k in ("reservation", "schedule") for z in "abc")
        ],
        "changed": ["The cost goes from 45,900 USD to 48,210 USD.", "The calendar is another."],
    }
    keep(here, made)
    return made


def keep(here: Settings, made: dict[str, Any]) -> None:
    """Write a plan where the page finds it."""
    path = here.home / FOLDER / "plan.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write(seal(msgspec.convert(made, Plan)), path)
