"""The verdict on a candidate: what the data, the domain, the champion and a fresh process say of it."""

from pathlib import Path

from headgate.domain import Domain
from headgate.files import atomic_folder, write_json
from headgate.gate.checks import Verdict, join
from headgate.gate.compare import compare
from headgate.gate.infrastructure import infrastructure
from headgate.stages import data_checks


def judge(domain: Domain, work: Path, champion: Path | None) -> Verdict:
    """Judge the sealed candidate in `work` against the bundle of the `champion`, evaluated here on the same rows."""
    theirs = None
    if champion is not None:
        theirs = work / "champion"
        with atomic_folder(theirs) as out:
            domain.evaluate(champion, work, out)
    verdict = join(
        data_checks(work),
        domain.judge(work, theirs),
        compare(work / "evaluate", theirs, domain.metrics, domain.limits),
        infrastructure(work / "bundle", champion, latency_ratio=domain.limits.latency_ratio),
    )
    write_json(work / "verdict.json", verdict.to_dict())
    return verdict
