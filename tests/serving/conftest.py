"""What serves here is the toy domain."""

import pytest

from ..rooms import make_bundle
from ..served import Kind, client, registry, serve
from ..toy import ROOMS

__all__ = ["client", "registry", "serve"]


@pytest.fixture
def kind() -> Kind:
    return Kind(ROOMS, make_bundle)
