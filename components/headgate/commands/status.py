"""`headgate status`: where everything stands."""

from headgate import settings
from headgate.commands.options import Json, answer


def status(json: Json = False) -> None:
    """What decides in each domain, what waits, how the last run ended."""
    from headgate.domain import NAMES, get_domain
    from headgate.operations.status import read_status

    report = read_status(settings.load(), [get_domain(name) for name in NAMES])
    answer(report, json, report.words())
