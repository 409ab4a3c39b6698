"""What serves here is the toy domain."""

from ..serving.conftest import client, kind, registry, serve

__all__ = ["client", "kind", "registry", "serve"]
