"""What the command line does with a version and a folder: decide it, score it, restore the data behind it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from headgate import domains
from headgate.data import datasets
from headgate.errors import HeadgateError
from headgate.files import refuse_unwritable
from headgate.registry import versions
from headgate.settings import Settings


@dataclass(frozen=True)
class Decided:
    """A batch of decisions."""

    domain: str
    version: int
    rows: int
    noticed: int
    what: str
    out: Path

    def words(self) -> str:
        """One sentence."""
        return (
            f"{self.domain} version {self.version} decided {self.rows:,} rows, {self.noticed:,} of them {self.what}: "
            f"{self.out}."
        )


@dataclass(frozen=True)
class Scored:
    """A scorecard: lines of model × metric × slice, and the paired differences to the baselines."""

    domain: str
    version: int
    rows: int
    scorecard: list[dict[str, Any]]
    differences: dict[str, Any]

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
            lines.append(f"AUC {name}: {gap['auc']:+.4f} [{gap['low']:+.4f}, {gap['high']:+.4f}]")
        return "\n".join(lines)


def decide(settings: Settings, domain: str, wanted: str, on: Path, out: Path) -> Decided:
    """Decide every event below `on` with a version, and write the decisions to `out`."""
    chosen = domains.get(domain)
    refuse_unwritable(out)
    version = versions.wanted(settings, domain, wanted)
    rows, noticed = chosen.decide(versions.fetch(version, settings), on, out)
    return Decided(domain, version.number, rows, noticed, chosen.noticed, out)


def evaluate(settings: Settings, domain: str, wanted: str, on: Path, since: datetime | None) -> Scored:
    """Score a version on the events below `on`; what is older than `since` is history for the features only."""
    chosen = domains.get(domain)
    version = versions.wanted(settings, domain, wanted)
    rows, scorecard, differences = chosen.score(versions.fetch(version, settings), on, since)
    return Scored(domain, version.number, rows, scorecard, differences)


def checkout(settings: Settings, domain: str, wanted: str, out: Path | None) -> tuple[list[Path], Path]:
    """Restore the data behind a version to `out`, or below the state folder; the folders, and where they are."""
    domains.get(domain)
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
