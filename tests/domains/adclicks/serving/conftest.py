"""What serves here is `adclicks`."""

import pytest

from headgate.domain import get_domain

from ....served import Kind, client, registry, serve
from ..tiny import make_bundle

__all__ = ["client", "registry", "serve"]


@pytest.fixture
def kind() -> Kind:
    return Kind(get_domain("adclicks"), make_bundle)
