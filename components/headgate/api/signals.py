"""What an endpoint tells its connection (`api.limits`), by keys of the request's scope: other requests pay nothing."""

from typing import Final

#: There: the endpoint itself holds the body against a deadline.
PATIENT: Final = "headgate.patient"

#: A function that the connection calls when the server ends, while the answer is still being sent.
ENDING: Final = "headgate.ending"
