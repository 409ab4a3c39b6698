"""`headgate status`: where everything stands."""

from headgate import settings
from headgate.commands.options import Json, answer


def status(json: Json = False) -> None:
    """What decides in each domain, what waits, how the last run ended."""
    from headgate.operations.status import read_status

    report = read_status(settings.load())
    answer(report, json, report.words())
