"""The verdict on a candidate: what the data, the domain, the champion and a fresh process say of it."""

from dataclasses import replace
from pathlib import Path

from headgate.contract.checks import Check, Verdict, join
from headgate.domain import Domain
from headgate.files import atomic_folder, read_json, write_json
from headgate.gate.compare import compare_to_champion
from headgate.gate.infrastructure import check_infrastructure


def judge_candidate(domain: Domain, work: Path, champion: Path | None, last_week: Path | None = None) -> Verdict:
    """Judge the sealed candidate in `work` against the bundle of the `champion`, evaluated here on the same rows.

    What changes is held against the bundle that decided `last_week` as well, so that slow drift does not pass.
    """
    theirs = _evaluated(domain, work, champion, "champion")
    verdict = join(
        data_checks(work),
        domain.judge(work, theirs),
        _drift(domain, work, _evaluated(domain, work, last_week, "last-week")),
        compare_to_champion(work / "evaluate", theirs, domain.metrics, domain.limits),
        check_infrastructure(work / "bundle", champion, domain.limits),
    )
    write_json(work / "verdict.json", verdict.to_dict())
    return verdict


def _evaluated(domain: Domain, work: Path, bundle: Path | None, name: str) -> Path | None:
    """`bundle` evaluated on the rows of `work`, in a folder called `name` there."""
    if bundle is None:
        return None
    with atomic_folder(work / name) as out:
        domain.evaluate(bundle, work, out)
    return work / name


def _drift(domain: Domain, work: Path, last_week: Path | None) -> list[Check]:
    """The domain's checks of what changes, since last week."""
    if last_week is None:
        return []
    return [
        replace(check, name=f"{check.name} since last week", sentence=f"Since last week: {check.sentence}")
        for check in domain.judge(work, last_week)
        if check.family == "change"
    ]


def data_checks(work: Path) -> Verdict:
    """What the validate stage found."""
    return Verdict.from_dict(read_json(work / "validate" / "checks.json"))
