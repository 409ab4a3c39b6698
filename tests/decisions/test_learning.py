"""The decision log as a source to learn from."""

import pytest

from headgate.decisions.learning import from_log
from headgate.errors import UsageError

from ..toy import ROOMS


def test_a_domain_that_does_not_learn_from_its_log_is_told_what_to_give_instead(settings) -> None:
    with pytest.raises(UsageError, match=r"^rooms does not learn from its decision log: give a folder or a bucket"):
        from_log(settings, ROOMS, None)
