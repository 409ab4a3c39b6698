"""Hold a receipt of what was forgotten against its signature, this installation's key and its ledger."""

from dataclasses import dataclass
from pathlib import Path

from headgate.operations.forget import forgotten_entries, told_of
from headgate.privacy.receipts import Receipt, is_key_of, read_receipt
from headgate.settings import Settings


@dataclass(frozen=True)
class Verified:
    """A receipt whose signature is sound."""

    domain: str
    unit: str
    at: str
    held: str  # what was forgotten, in words
    public_key: str
    ours: bool  # the key is this installation's, or the one that its ledger names
    entered: bool  # its ledger has the entry that the receipt names

    def words(self) -> str:
        """What is shown, and what is not."""
        said = f"Sound: {self.domain} forgot unit {self.unit} as it was on {self.at[:16].replace('T', ' ')} UTC"
        lines = [f"{said} ({self.held or 'nothing was held'})."]
        lines.append(
            "The ledger here has its entry." if self.entered else "The ledger here has no such entry: it is another's."
        )
        if not self.ours:
            lines.append(f"It was signed by {self.public_key}, which is not this Headgate's key: ask whose it is.")
        return "\n".join(lines)


def verify_receipt(settings: Settings, path: Path) -> Verified:
    """What the receipt at `path` shows. Raises DataRefused where it is not what was signed."""
    receipt = read_receipt(path)
    told = receipt.statement
    entry = next((one for one in forgotten_entries(settings, told.domain) if _tells(one.seq, one.hash, receipt)), None)
    entered = entry is not None and entry.details.get("statement") == told.digest()
    named = entry.details.get("public_key") if entry is not None else None
    ours = receipt.public_key == named or is_key_of(settings, receipt.public_key)
    held = told_of(told.kinds, told.places)
    return Verified(told.domain, told.unit, told.at, held, receipt.public_key, ours, entered)


def _tells(seq: int, entry_hash: str, receipt: Receipt) -> bool:
    return (seq, entry_hash) == (receipt.seq, receipt.hash)
