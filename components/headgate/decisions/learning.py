"""Learn from what was decided: the decision log as a source of the next snapshot."""

import sys

from headgate.data import sources
from headgate.decisions.layout import log_folder
from headgate.domain import Domain
from headgate.errors import UsageError
from headgate.settings import Settings

#: The source that is the decision log.
LOG = "log"


def from_log(settings: Settings, domain: Domain, outcomes: str | None) -> str:
    """Bring the raw files that are made of the decision log of `domain` up to date; the folder that they lie in."""
    export = domain.logs.export
    if export is None:
        raise UsageError(f"{domain.name} does not learn from its decision log: give a folder or a bucket as --source.")
    if outcomes is not None:
        sources.check(outcomes)
    out = log_folder(settings, domain.name) / "raw"
    print(export(settings, out, outcomes).words(), file=sys.stderr, flush=True)
    return str(out)
