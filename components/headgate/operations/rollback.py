"""Let the version before decide again, and wait for those who serve to follow."""

import time
from contextlib import suppress
from dataclasses import dataclass

from headgate.errors import UsageError
from headgate.settings import Settings

#: How long `rollback` waits for the local endpoint to follow, in seconds.
FOLLOWED_SECONDS = 20.0


@dataclass(frozen=True)
class RolledBack:
    """What a rollback did."""

    domain: str
    from_version: int | None
    to_version: int
    warm: bool  # whether servers had it loaded already
    followed_after_s: float | None  # by the local endpoint; None where none is up, or it did not follow in time

    def words(self) -> str:
        """What happened, and what to do next."""
        said = f"{self.domain}: version {self.to_version} decides again, version {self.from_version} does not."
        if self.followed_after_s is not None:
            said += f" The endpoint followed after {self.followed_after_s:.1f} s."
        elif not self.warm:
            said += " It was not kept warm: servers fetch and load it first, which takes seconds."
        return (
            f"{said}\nNothing is promoted automatically until `headgate release {self.domain} --reason …`; what the "
            f"bad version decided is put right by `headgate replay {self.domain}`."
        )


def roll_back(settings: Settings, domain: str, to: str | None, reason: str, who: str | None = None) -> RolledBack:
    """Roll the model called `domain` back and wait for the local endpoint to follow, if one is up."""
    from headgate.registry import changes, versions
    from headgate.registry.ledger import Ledger, me
    from headgate.registry.registrar import reconcile

    not_empty(reason)
    if not versions.exist(settings):
        raise UsageError(f"There is no registry in {settings.home} yet, so there is nothing to roll back.")
    registry, ledger = versions.client(settings), Ledger(settings)
    with changes.change_session(registry, ledger, domain) as at:
        reconcile(at)  # what people moved in MLflow meanwhile comes first
        warm = {v.number for v in versions.all_versions(registry, domain) if v.aliases}
        started = time.monotonic()
        changed = changes.rollback(at, to, who=who or me(), why=reason)
    assert changed.to_version is not None
    followed = _followed(settings, domain, changed.to_version, started)
    return RolledBack(domain, changed.from_version, changed.to_version, changed.to_version in warm, followed)


def _followed(settings: Settings, domain: str, version: int, started: float) -> float | None:
    """Seconds until the local endpoint decides with `version`."""
    import httpx

    from headgate.servers import authorization, running

    address = running(settings).get("headgate")
    while address and time.monotonic() - started < FOLLOWED_SECONDS:
        with suppress(httpx.HTTPError):
            answer = httpx.get(f"{address}/v1/models", headers=authorization(), timeout=5, trust_env=False)
            models = answer.raise_for_status().json()
            if any(model["domain"] == domain and model["version"] == version for model in models):
                return time.monotonic() - started
        time.sleep(0.05)
    return None


def not_empty(reason: str) -> None:
    """Raise UsageError where nobody said why."""
    if not reason.strip():
        raise UsageError("--reason is empty: whoever reads the ledger at night wants to know why.")
