"""What the command line does with a version and a folder: decide it, score it, restore the data behind it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from headgate.contract.results import Gap
from headgate.data import datasets
from headgate.domain import Domain
from headgate.errors import HeadgateError
from headgate.files import refuse_unwritable
from headgate.registry import versions
from headgate.settings import Settings


@dataclass(frozen=True)
class DecidedFolder:
    """A batch of decisions."""

    domain: str
    version: int
    rows: int
    outcomes: dict[str, int]
    adverse: int
    what: str  # adverse, in words
    out: Path

    def words(self) -> str:
        """One sentence."""
        return (
            f"{self.domain} version {self.version} decided {self.rows:,} rows, {self.adverse:,} of them {self.what}: "
            f"{self.out}."
        )


@dataclass(frozen=True)
class ScoredFolder:
    """A scorecard: lines of model × metric × slice, and the paired differences to the baselines."""

    domain: str
    version: int
    rows: int
    scorecard: list[dict[str, Any]]
    differences: dict[str, Gap]

    def words(self) -> str:
        """The overall lines as a table."""
        lines = [f"{self.domain} version {self.version} on {self.rows:,} rows", ""]
        lines.append(f"{'model':<14} {'metric':<18} {'value':>8}  interval")
        for line in self.scorecard:
            if line["slice"] != "all" or line["value"] is None:
                continue
            interval = f"[{line['low']:.4f}, {line['high']:.4f}]" if line["low"] is not None else ""
            lines.append(f"{line['model']:<14} {line['metric']:<18} {line['value']:>8.4f}  {interval}")
        for name, gap in self.differences.items():
            lines.append(f"{gap.metric} {name}: {gap.value:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]")
        return "\n".join(lines)


def decide_folder(settings: Settings, domain: Domain, wanted: str, on: Path, out: Path) -> DecidedFolder:
    """Decide every event below `on` with a version, and write the decisions to `out`."""
    refuse_unwritable(out)
    outcomes = domain.decides
    version = versions.wanted(settings, domain.name, wanted)
    done = domain.decide(versions.fetch(version, settings), on, out)
    adverse = sum(done.outcomes.get(one, 0) for one in outcomes.adverse)
    return DecidedFolder(
        domain.name, version.number, done.rows, dict(done.outcomes), adverse, outcomes.adverse_words, out
    )


def evaluate_folder(settings: Settings, domain: Domain, wanted: str, on: Path, since: datetime | None) -> ScoredFolder:
    """Score a version on the events below `on`; what is older than `since` is history for the features only."""
    version = versions.wanted(settings, domain.name, wanted)
    done = domain.score(versions.fetch(version, settings), on, since)
    return ScoredFolder(
        domain.name, version.number, done.rows, [dict(line) for line in done.scorecard], dict(done.differences)
    )


def checkout(settings: Settings, domain: str, wanted: str, out: Path | None) -> tuple[list[Path], Path]:
    """Restore the data behind a version to `out`, or below the state folder; the folders, and where they are."""
    version = versions.wanted(settings, domain, wanted)
    from mlflow.artifacts import load_text

    try:
        lock = yaml.safe_load(load_text(f"runs:/{version.run_id}/data/dvc.lock"))
    except Exception as error:
        raise HeadgateError(
            f"{domain} version {version.number} names no data ({type(error).__name__}): its run has no data/dvc.lock."
        ) from error
    target = out or settings.home / "checkout" / f"{domain}-{version.number}"
    return datasets.checkout(settings, lock, target), target
