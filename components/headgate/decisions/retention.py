"""What may go: old days of the log; bytes about persons whose time is over; what no version needs any more.

A version is referred to by an alias, by a stage, by the ledger's line of champions, by a change that is under way, and
by every entry of the ledger that is younger than the limit. Where registry or ledger cannot say so, nothing goes.
"""

import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

from headgate.data import datasets, objects
from headgate.decisions.layout import log_folder
from headgate.domain import Domain
from headgate.files import read_json
from headgate.privacy.store import Store
from headgate.privacy.sweep import sweep
from headgate.registry import parts, versions
from headgate.registry.bundles import CARD, MANIFEST, card, large_parts
from headgate.registry.ledger import Ledger
from headgate.registry.ledger_state import state_of
from headgate.registry.versions import Version
from headgate.settings import Settings

if TYPE_CHECKING:
    from mlflow import MlflowClient

#: Seconds that a file stays which nothing refers to: it may have been made for a version that is not there yet.
YOUNG = 86_400.0


@dataclass(frozen=True)
class Item:
    """Something that goes."""

    kind: str  # log, raw, store, bundle, part, data
    name: str
    path: str
    size: int  # bytes
    why: str


@dataclass(frozen=True)
class Collected:
    """What went, or would go."""

    items: tuple[Item, ...]
    dry_run: bool

    @property
    def size(self) -> int:
        """All bytes."""
        return sum(item.size for item in self.items)

    def words(self) -> str:
        """A line for each kind, and for each item but for data, which are many."""
        verb = "would go" if self.dry_run else "went"
        lines = [f"{i.kind:<7} {_size(i.size):>9}  {i.name}: {i.why}" for i in self.items if i.kind != "data"]
        data = [item for item in self.items if item.kind == "data"]
        if data:
            total = _size(sum(item.size for item in data))
            lines.append(f"{'data':<7} {total:>9}  {len(data):,} files of versions that nothing refers to")
        return "\n".join([*lines, f"{_size(self.size)} {verb}." if self.items else "There is nothing that may go."])


def collect(
    settings: Settings,
    domains: Sequence[Domain],
    *,
    everything: bool,
    keep_days: int,
    keep_bytes: int | None = None,
    dry_run: bool = False,
) -> Collected:
    """Remove what is older than `keep_days` and what nothing refers to, of `domains`.

    Of a log larger than `keep_bytes` its oldest days go too, never today's. Data and large parts go only where
    `domains` are `everything` there is: versions of all domains share their stores. Raises HeadgateError, with nothing
    removed, where registry or ledger do not answer.
    """
    names = tuple(domain.name for domain in domains)
    with datasets.exclusively(settings, "gc"), datasets.exclusively(settings, "datasets", wait=datasets.LOCK_SECONDS):
        items = [item for domain in domains for item in _days(settings, domain, keep_days, keep_bytes)]
        items += [item for domain in domains for item in _over(settings, domain)]
        if versions.exist(settings):
            registry = versions.client(settings)
            kept = _referred(registry, Ledger(settings), names, keep_days)
            items += _bundles(settings, names, kept, keep_days)
            if everything:
                items += _data(settings, registry, kept)
                items += _parts(settings, registry, kept, going={item.path for item in items})
        if not dry_run:
            for item in items:
                if item.kind == "part":
                    parts.remove(registry, settings, item.name)
                elif item.kind != "store":
                    _remove(Path(item.path))
            for domain in domains:
                if domain.kinds:  # also what killed processes left, of which nothing can be told before
                    sweep(Store(settings, domain.name, domain.kinds))
        return Collected(tuple(items), dry_run)


def _referred(registry: "MlflowClient", ledger: Ledger, names: Sequence[str], keep_days: int) -> list[Version]:
    """The versions of the domains called `names` that something refers to."""
    since = datetime.now(UTC) - timedelta(days=keep_days)
    kept = []
    for domain in names:
        entries = ledger.entries(domain)
        now = state_of(entries)
        numbers = {*now.line, now.intent.to_version if now.intent else None}
        recent = [entry for entry in entries if datetime.fromisoformat(entry.at) >= since]
        numbers |= {number for entry in recent for number in (entry.from_version, entry.to_version)}
        for version in versions.all_versions(registry, domain):
            young = version.created_ms / 1000 >= since.timestamp()
            if version.aliases or version.stage in ("Production", "Staging") or young or version.number in numbers:
                kept.append(version)
    return kept


def _days(settings: Settings, domain: Domain, keep_days: int, keep_bytes: int | None) -> Iterator[Item]:
    """The days of a log that are too old, or too many; and old days of the raw files that were made of it."""
    today = datetime.now(UTC).date()
    name, home = domain.name, log_folder(settings, domain.name)
    if domain.live and domain.live.log.days is not None:
        keep_days = min(keep_days, domain.live.log.days)
    days = {date.fromisoformat(folder.name): folder for folder in home.glob("????-??-??")}
    sizes = {day: _weight(folder) for day, folder in days.items()}
    total = sum(sizes.values())
    for day in sorted(days):
        if day == today:
            continue
        if (today - day).days > keep_days:
            why = f"older than {keep_days} days"
        elif keep_bytes is not None and total > keep_bytes:
            why = f"the log is larger than {_size(keep_bytes)}"
        else:
            continue
        total -= sizes[day]
        yield Item("log", f"{name} {day}", str(days[day]), sizes[day], why)
    for path in sorted((home / "raw").glob("*/????-??-??.parquet")):
        if (today - date.fromisoformat(path.stem)).days > keep_days:
            what = f"{name} {path.parent.name} {path.stem}"
            yield Item("raw", what, str(path), path.stat().st_size, f"older than {keep_days} days")


def _over(settings: Settings, domain: Domain) -> Iterator[Item]:
    """What the store holds past its lifetime; it is refused to readers already."""
    store = Store(settings, domain.name, domain.kinds)
    sizes: dict[str, list[int]] = {}
    for blob in store.index.expired(store.clock()):
        sizes.setdefault(blob.kind, []).append(blob.size)
    for kind, found in sizes.items():
        where = settings.store or str(settings.store_folder / domain.name)
        yield Item("store", f"{domain.name} {kind}", where, sum(found), f"the time of {len(found):,} is over")


def _bundles(settings: Settings, names: tuple[str, ...], kept: list[Version], keep_days: int) -> Iterator[Item]:
    """Cached bundles of versions that nothing refers to. They can be fetched again as long as MLflow has them."""
    stays = {version.bundle or version.run_id for version in kept}
    stays |= {read_json(path).get("bundle") for path in (settings.home / "serving").glob("[!.]*.json")}
    for folder in sorted(settings.bundles.glob("[!.]*")):
        if folder.name in stays or _is_young(folder) or not (folder / CARD).is_file():
            continue
        domain = card(folder).get("domain")
        if domain in names:
            why = f"nothing has referred to it for {keep_days} days"
            yield Item("bundle", f"{domain} {folder.name[:12]}", str(folder), _weight(folder), why)


def _data(settings: Settings, registry: "MlflowClient", kept: list[Version]) -> Iterator[Item]:
    """Objects of the local DVC store that neither a version which is referred to needs, nor the newest runs."""
    stays = objects.needed(settings, objects.newest(settings))
    for version in kept:
        stays |= objects.needed(settings, objects.recorded(registry, version.run_id))
    for name, path in objects.stored(settings):
        if name not in stays and not _is_young(path):
            yield Item("data", name, str(path), path.stat().st_size, "no version that is referred to needs it")


def _parts(settings: Settings, registry: "MlflowClient", kept: list[Version], going: Collection[str]) -> Iterator[Item]:
    """Large parts that neither a version which is referred to nor a bundle that stays on this machine needs."""
    there = parts.stored(registry, settings)
    if not there:
        return
    manifests = [
        read_json(path) for path in settings.bundles.glob(f"[!.]*/{MANIFEST}") if str(path.parent) not in going
    ]
    manifests += [parts.recorded(version.run_id) for version in kept]
    stays = {part.sha256 for manifest in manifests for part in large_parts(manifest).values()}
    for name, size in there.items():
        if name not in stays:
            yield Item("part", name, str(settings.parts / name), size, "no version that is referred to needs it")


def _remove(path: Path) -> None:
    """Remove a file or a folder; a reader finds the whole folder or none."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    away = path.with_name(f".tmp-gone-{uuid4().hex[:8]}")
    path.rename(away)
    shutil.rmtree(away)


def _is_young(path: Path) -> bool:
    return time.time() - path.stat().st_mtime < YOUNG


def _weight(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _size(size: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}"
        size /= 1024
    return f"{size:,.1f} GiB"
