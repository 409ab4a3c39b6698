"""What a restore must not bring back: whoever was forgotten since the backup was made is forgotten in it again."""

import shutil
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from headgate.domain import Domain
from headgate.errors import HeadgateError
from headgate.operations.backup import STORE
from headgate.operations.forget import finish_owed, forgotten_entries
from headgate.privacy.index import Index, index_file
from headgate.privacy.receipts import read_receipt
from headgate.registry import databases
from headgate.registry.ledger import Entry, Ledger, me
from headgate.settings import Settings


def carry_over(settings: Settings, draft: Path) -> None:
    """Take along what no backup holds: the keys of units; and the store, where the backup has none of its bytes.

    Both are newer than the backup: what was forgotten since is forgotten in them.
    """
    if settings.keys_folder == settings.home / "keys" and settings.keys_folder.is_dir():
        shutil.copytree(settings.keys_folder, draft / "keys", dirs_exist_ok=True)
    there, kept = settings.store_folder, draft / STORE
    if there.is_dir() and not any(path.is_dir() for path in kept.glob("*")):
        shutil.copytree(there, kept, dirs_exist_ok=True, copy_function=_linked)
        if index_file(settings).is_file():
            databases.copy_sqlite(index_file(settings), kept / index_file(settings).name)


def _linked(source: str, target: str) -> None:
    """The same bytes under another name; the database is copied on its own."""
    if not Path(source).name.startswith("index.db"):
        Path(target).hardlink_to(source)


def forget_again(draft: Settings, settings: Settings, domains: Sequence[Domain], receipts: Path | None) -> int:
    """Forget in `draft` what was forgotten since it was made; how many units that were."""
    told = {(one.domain, one.details["unit"], one.details["at"]): one for one in forgotten_entries(settings)}
    for path in sorted(receipts.rglob("*.json")) if receipts else ():
        said = read_receipt(path).statement
        entry = Entry(said.domain, "forgotten", me(), details={"unit": said.unit, "at": said.at})
        told.setdefault((said.domain, said.unit, said.at), entry)
    known = {(one.domain, one.details["unit"], one.details["at"]) for one in forgotten_entries(draft)}
    fresh = {name: one for name, one in told.items() if name not in known}
    if unknown := {domain for domain, *_ in fresh} - {domain.name for domain in domains}:
        raise HeadgateError(
            f"Units of {', '.join(sorted(unknown))} were forgotten since the backup was made, and there is no such "
            "domain here to forget them again: restore with a Headgate that has it."
        )
    for one in fresh.values():
        why = "Forgotten since the backup was made; it is forgotten again."
        Ledger(draft).append(Entry(one.domain, "forgotten", me(), why, details=dict(one.details)))
        Index(draft, one.domain).reopen(one.details["unit"], datetime.fromisoformat(one.details["at"]))
    return sum(len(finish_owed(draft, domain)) for domain in domains)
