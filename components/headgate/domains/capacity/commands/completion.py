"""The series that a shell is offered to complete."""

import csv
import json
import os
from contextlib import suppress
from pathlib import Path

from headgate import settings


def series_names(incomplete: str) -> list[str]:
    """Series that begin so, of the newest version on this machine, or else of the source; none where neither is."""
    with suppress(Exception):  # a line that is being typed is no place for errors
        here = settings.load()
        source = Path(os.environ.get("HEADGATE_SOURCE_CAPACITY") or here.home / "demo" / "capacity")
        names = _of_version(here.bundles) or _of_source(source)
        return sorted(name for name in names if name.startswith(incomplete))
    return []


def _of_version(bundles: Path) -> list[str]:
    """What the newest bundle was fitted on; only this domain's hold a model.json."""
    files = sorted(bundles.glob("*/model.json"), key=lambda file: file.stat().st_mtime)
    models = json.loads(files[-1].read_text(encoding="utf-8")) if files else []
    return [one["series"] for model in models for one in model["series"]]


def _of_source(folder: Path) -> list[str]:
    with (folder / "series.csv").open(encoding="utf-8-sig", newline="") as file:
        return [row["series"] for row in csv.DictReader(file)]
