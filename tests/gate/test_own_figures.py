"""The gate and the monitors measure a domain in its own figures: the toy with a model of 300 ms, and with 40 units."""

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from math import erf, exp, pi, sqrt
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy.optimize import brentq

from headgate.contract.companions import NONE
from headgate.contract.limits import Runtime
from headgate.contract.observations import units_of
from headgate.decisions.latency import counted
from headgate.domain import Domain
from headgate.gate.compare import UNITS, compare_to_champion
from headgate.gate.infrastructure import check_infrastructure

from ..journeys.conftest import checkout
from ..rooms import DECIDE, READING, make_bundle
from ..served import Kind, client, registry, serve
from ..toy import METRICS, ROOMS, Rooms, observe

__all__ = ["checkout", "client", "registry", "serve"]

SECONDS = 0.3


class Slow(Rooms):
    """The toy's model, had it to look at pictures."""

    def decide(self, batch: pl.DataFrame, tolerances: Mapping[str, float] = NONE) -> pl.DataFrame:
        time.sleep(SECONDS)
        return super().decide(batch, tolerances)


PICTURES = Runtime(golden_repeats=2, golden_seconds=60.0, slow_seconds=1.0, histogram=(0.1, 0.5, 1.0, 5.0), warm=2)

#: What the toy's file in a checkout ends with, so that a fresh process finds the slow one.
ENDING = f"""
import time
from dataclasses import replace

from headgate.contract.limits import Runtime


class Slow(Rooms):
    def decide(self, batch, tolerances=NONE):
        time.sleep({SECONDS})
        return super().decide(batch, tolerances)


ROOMS = replace(ROOMS, load=Slow, limits=replace(ROOMS.limits, runtime={PICTURES!r}))
"""


def slow(runtime: Runtime) -> Domain:
    return replace(ROOMS, load=Slow, limits=replace(ROOMS.limits, runtime=runtime))


@pytest.fixture
def kind() -> Kind:
    return Kind(slow(PICTURES), make_bundle)


@pytest.mark.parametrize(("allowed", "outcome"), [(1 << 30, "passed"), (1 << 20, "failed")])
def test_a_model_of_300_ms_is_tried_within_its_own_budget(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, allowed: int, outcome: str
) -> None:
    """As clicks are tried, its golden rows would be decided 123 times; here it is 7, and the memory is its own too."""
    monkeypatch.setenv("PYTHONPATH", str(checkout / "components"))
    file = checkout / "components/headgate/domains/rooms/domain.py"
    if ENDING not in file.read_text():
        file.write_text(file.read_text() + ENDING)
    bundle = make_bundle(tmp_path, "slow")
    limits = slow(replace(PICTURES, memory_bytes=allowed)).limits
    checks = {check.name: check for check in check_infrastructure(bundle, bundle, replace(limits, latency_ratio=10.0))}
    assert {name: check.outcome for name, check in checks.items()} == {
        "loads": "passed",
        "size": outcome,
        "latency": "passed",
        "memory": "passed",
    }
    assert "a worker keeps 2 versions" in checks["size"].sentence


def test_requests_of_300_ms_are_slow_for_clicks_alone(client) -> None:
    assert client.post(DECIDE, json=READING).status_code == 200
    text = client.get("/metrics").text
    assert counted(text, "rooms", PICTURES.slow_seconds).slow == 0
    assert counted(text, "rooms", 0.1).slow == counted(text, "rooms", 0.1).requests == 1


UNIT_DAYS = [date(2026, 1, 5) + timedelta(day) for day in range(5)]  # × 8 rooms: 40 units


def expected_error(off: float) -> float:
    """The mean of |N(off, 1)|."""
    return sqrt(2 / pi) * exp(-(off**2) / 2) + off * erf(off / sqrt(2))


def evaluation(folder: Path, degrees: np.ndarray, usual: float) -> Path:
    rows = pl.DataFrame({"room": [*"abcdefgh"] * len(UNIT_DAYS), "degrees": degrees}).with_columns(
        slice="room",
        usual=pl.lit(usual),
        outcome=pl.lit("fine"),
        guest=pl.lit("g"),
        comfortable=pl.lit(True),
        decided_at=pl.Series([day for day in UNIT_DAYS for _ in range(8)]).cast(pl.Datetime("us", "UTC")),
    )
    folder.mkdir(parents=True)
    units_of([observe(rows)]).write_parquet(folder / UNITS)
    return folder


@pytest.mark.parametrize(
    ("worse_by", "at_least", "at_most"), [(0.1, 0, 10), (0.005, 190, 200)], ids=["margin", "sound"]
)
def test_with_40_units_a_version_worse_by_the_margin_rarely_passes_and_a_sound_one_does(
    tmp_path: Path, worse_by: float, at_least: int, at_most: int
) -> None:
    """At the margin itself 2.5 % of 200 runs may pass: more than 10 have a probability below 0.02."""
    off = brentq(lambda off: expected_error(off) - expected_error(0) - worse_by, 0, 2)
    passed = 0
    for run in range(200):
        degrees = np.random.default_rng((40, run)).normal(20, 1, 40)
        champion = evaluation(tmp_path / f"{run}/champion", degrees, 20.0)
        candidate = evaluation(tmp_path / f"{run}/candidate", degrees, 20.0 + off)
        overall = compare_to_champion(candidate, champion, METRICS, ROOMS.limits)[0]
        passed += overall.outcome == "passed"
    assert at_least <= passed <= at_most
