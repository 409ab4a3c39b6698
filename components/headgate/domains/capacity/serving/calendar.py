"""The calendar that forecasts are made with: the one place that says which is in force."""

from headgate.contract.companions import OWN
from headgate.contract.host import Host
from headgate.domains.capacity.companions.followed import CALENDAR, shared_folder
from headgate.domains.capacity.model.forecaster import Forecaster
from headgate.domains.capacity.serving.recording import DOMAIN, Calendar
from headgate.errors import HeadgateError


def calendar_in_force(host: Host, forecaster: Forecaster) -> Calendar:
    """The calendar of the folder that planners edit, as this process follows it; the version's own where none is set.

    Raises HeadgateError where one is set and could not be read since this process started.
    """
    held = host.companions.of(DOMAIN).get(CALENDAR)
    if held is not None:
        return Calendar(held.value, held.id, held.entry)
    if shared_folder(host.settings) is not None:
        raise HeadgateError(
            host.companions.problem(DOMAIN, CALENDAR) or "The calendar has not been read yet: ask again in a moment."
        )
    own = forecaster.companion()
    return Calendar(forecaster.calendar, own, f"{CALENDAR}:{OWN}{own}")
