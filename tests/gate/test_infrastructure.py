"""The infrastructure checks, in the fresh process that they are for."""

from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl
import pytest

from headgate import domain
from headgate.contract.checks import Check
from headgate.contract.limits import Limits, Runtime
from headgate.gate.infrastructure import check_infrastructure, probe
from headgate.registry.bundles import CARD, MANIFEST, seal_bundle
from headgate.registry.golden import GOLDEN

from ..journeys.conftest import checkout
from ..rooms import make_bundle
from ..toy import ROOMS

__all__ = ["checkout"]

LIMITS = Limits(comparisons=(), latency_ratio=3.0)


@pytest.fixture(autouse=True)
def _known(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fresh process finds the toy."""
    monkeypatch.setenv("PYTHONPATH", str(checkout / "components"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundles"), "candidate")


def failure(checks: list[Check]) -> str:
    """The sentence of the one check that is left where the bundle does not work."""
    (check,) = checks
    assert (check.name, check.outcome, check.consequence) == ("loads", "failed", "refuse")
    assert "\n" not in check.sentence
    assert "Error:" not in check.sentence
    return check.sentence


def test_a_sound_bundle_loads_and_without_a_champion_is_not_compared(bundle: Path) -> None:
    checks = {check.name: check for check in check_infrastructure(bundle, None, LIMITS)}
    assert (checks["loads"].outcome, checks["loads"].measured) == ("passed", "8 answers")
    assert checks["latency"].outcome == checks["memory"].outcome == "not judged"
    assert "no champion" in checks["latency"].sentence


@pytest.mark.parametrize(("ratio", "outcome"), [(1e6, "passed"), (1e-6, "failed")])
def test_latency_and_memory_are_ratios_to_the_champions(bundle: Path, ratio: float, outcome: str) -> None:
    checks = {check.name: check for check in check_infrastructure(bundle, bundle, replace(LIMITS, latency_ratio=ratio))}
    assert checks["loads"].outcome == "passed"
    for name in ("latency", "memory"):
        assert (checks[name].outcome, checks[name].consequence) == (outcome, "refuse")
        assert checks[name].measured.removesuffix(" ×") in checks[name].sentence


def test_a_flipped_byte_is_found_and_named(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, "flipped")
    data = bytearray((bundle / CARD).read_bytes())
    data[-9] ^= 1
    (bundle / CARD).write_bytes(data)
    assert f"is damaged: {CARD}" in failure(check_infrastructure(bundle, None, LIMITS))


def test_other_golden_answers_are_found_though_every_sum_is_right(bundle: Path, tmp_path: Path) -> None:
    """The model of one version with the answers of another: no file is damaged, and yet it must not serve."""
    golden = pl.read_parquet(bundle / GOLDEN).with_columns(expected_outcome=pl.lit("never"))
    golden.write_parquet(tmp_path / GOLDEN)
    parts = [path for path in bundle.iterdir() if path.name not in (MANIFEST, GOLDEN)]
    seal_bundle([*parts, tmp_path / GOLDEN], tmp_path / "mixed")
    said = failure(check_infrastructure(tmp_path / "mixed", None, LIMITS))
    assert "golden answers do not agree: outcome of row 0" in said
    assert "8 of 8 rows differ" in said


def test_a_process_that_dies_without_a_word_is_a_failure_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    assert "exit code 1" in failure(check_infrastructure(tmp_path, None, LIMITS))


def test_a_process_that_takes_longer_than_the_domain_allows_is_a_failure_too(bundle: Path) -> None:
    hasty = replace(LIMITS, runtime=Runtime(golden_seconds=0.02))
    assert "no answer within 0.02 s" in failure(check_infrastructure(bundle, None, hasty))


@pytest.mark.parametrize("repeats", [1, 5])
def test_the_golden_rows_are_decided_as_often_as_the_domain_says(
    bundle: Path, repeats: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once to hold the answers against them, once to warm up, and then to be timed."""
    asked = []

    @dataclass
    class Counting:
        bundle: Path

        def decide(self, batch: pl.DataFrame) -> pl.DataFrame:
            asked.append(self.bundle)
            return ROOMS.load(self.bundle).decide(batch)

    limits = replace(ROOMS.limits, runtime=Runtime(golden_repeats=repeats))
    monkeypatch.setattr(domain, "get_domain", lambda name: replace(ROOMS, load=Counting, limits=limits))
    assert probe(bundle, None)["rows"] == 8
    assert len(asked) == 2 + repeats
