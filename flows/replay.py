"""Decide past events again from Prefect: `headgate replay` with typed parameters."""

from datetime import UTC, datetime
from pathlib import Path

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from headgate import settings
from headgate.decisions.replay import Asked, Mode, replay_decisions
from headgate.domain import get_domain

#: Who acts, for the ledger.
WHO = "the replay flow"


@flow(name="replay", flow_run_name="{domain} with {version}", validate_parameters=True)
def replay(
    domain: str,
    since: datetime,
    until: datetime,
    version: str = "champion",
    mode: Mode = "logged",
    pending: bool = False,
    dry_run: bool = False,
    out: str | None = None,
    reason: str = "",
) -> State:
    """Decide past events of a domain again, and publish only what differs from the decision that holds.

    Args:
        domain: which one, for example adclicks.
        since: the first decisions to decide again; UTC if no zone is given.
        until: the end; it is not included.
        version: with which version: a number, or an alias.
        mode: logged: on the inputs as served; recompute: on inputs rebuilt from the log in event time.
        pending: only what was answered by default, because nothing could decide.
        dry_run: publish nothing; say by slice what would change.
        out: where a copy of the corrections goes: a folder, or s3://bucket/prefix.
        reason: why, for whoever reads the ledger.
    """
    out = str(Path(out).resolve()) if out and "://" not in out else out
    since, until = (at if at.tzinfo else at.replace(tzinfo=UTC) for at in (since, until))
    asked = Asked(get_domain(domain), since, until, mode, pending, dry_run, out, reason)
    words = replay_decisions(settings.load(), version, asked, WHO).words()
    create_markdown_artifact(f"```\n{words}\n```", key="replay")
    return Completed(message=words.splitlines()[0])
