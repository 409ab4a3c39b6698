"""What pages load beside themselves: style, scripts, and Plotly from its installed package. Nothing from elsewhere."""

import gzip
from functools import lru_cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from anyio import to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from headgate.domain import NAMES

_OWN = Path(__file__).parent / "static"

_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}

#: Seconds that a browser may keep a file: its address says which contents it has.
KEPT = 365 * 24 * 3600


def _plotly() -> Path:
    """Plotly's script; its package is not imported."""
    found = find_spec("plotly")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "package_data" / "plotly.min.js"


#: The files of all pages.
FILES = ("plotly.js", "htmx.min.js", "console.css", "console.js", "charts.js", "icon.svg")


def _path(name: str) -> Path | None:
    """Where a file lies: one of `FILES`, or as NAME/FILE one of a domain's `pages/static`; None: there is none."""
    if name in FILES:
        return _plotly() if name == "plotly.js" else _OWN / name
    domain, _, file = name.partition("/")
    found = find_spec(f"headgate.domains.{domain}.pages") if domain in NAMES else None
    own = Path(found.origin).parent / "static" if found and found.origin else None
    known = {path.name: path for path in own.iterdir()} if own and own.is_dir() else {}
    return known.get(file)


@lru_cache
def read(name: str) -> tuple[bytes, str]:
    """A file's bytes as gzip, and twelve digits that say which they are. Megabytes are packed once."""
    path = _path(name)
    assert path is not None
    data = path.read_bytes()
    return gzip.compress(data, 6, mtime=0), sha256(data).hexdigest()[:12]


@lru_cache
def address(name: str) -> str:
    """Where a page finds the file `name`: another address where its contents are others."""
    path = _path(name)
    assert path is not None, f"a page names {name}, which is none of the files there are"
    stamp = path.stat()
    digest = sha256(f"{stamp.st_size}:{stamp.st_mtime_ns}".encode()).hexdigest()[:12]
    return f"/console/static/{name}?{digest}"


async def static(request: Request) -> Response:
    """A file of all pages, or of a domain's. They say nothing about anybody, so they need no token."""
    name = request.path_params["name"]
    if _path(name) is None:
        raise HTTPException(404)
    packed, digest = await to_thread.run_sync(read, name)
    headers = {"Cache-Control": f"public, max-age={KEPT}, immutable", "ETag": f'"{digest}"', "Vary": "Accept-Encoding"}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
    else:
        packed = await to_thread.run_sync(gzip.decompress, packed)
    return Response(packed, headers=headers, media_type=_TYPES[Path(name).suffix])
