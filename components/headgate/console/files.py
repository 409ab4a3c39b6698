"""What pages load beside themselves: style, scripts, and Plotly from its installed package. Nothing from elsewhere."""

import gzip
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from anyio import to_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from headgate.api.media import JPEG, KNOWN

_OWN = Path(__file__).parent / "static"

_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".woff2": "font/woff2"}
_TYPES |= {ending: media for media, ending in KNOWN.items()} | {".jpeg": JPEG}

#: What is packed already, so that packing it again would only cost time.
_PACKED = frozenset({".png", ".jpg", ".jpeg", ".webp", ".woff2"})

#: Seconds that a browser may keep a file: its address says which contents it has.
KEPT = 365 * 24 * 3600


def _plotly() -> Path:
    """Plotly's script; its package is not imported."""
    found = find_spec("plotly")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "package_data" / "plotly.min.js"


#: The files of all pages.
FILES = (
    *("plotly.js", "htmx.min.js", "console.css", "console.js", "charts.js", "mesh.js"),
    *("queue.css", "queue.js", "icon.svg"),
)


class Files:
    """The files of all pages, and as NAME/FILE those in the folder `static` beside a domain's pages."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """`folders` has the folder of each domain's pages by its name. What is no file of a page is left out."""
        own = {name: _plotly() if name == "plotly.js" else _OWN / name for name in FILES}
        for domain, folder in folders.items():
            beside = folder / "static"
            own |= {f"{domain}/{path.name}": path for path in (beside.iterdir() if beside.is_dir() else ())}
        self._paths = {name: path for name, path in own.items() if path.suffix in _TYPES}

    def address(self, name: str) -> str:
        """Where a page finds the file `name`: another address where its contents are others."""
        path = self._paths.get(name)
        assert path is not None, f"a page names {name}, which is none of the files there are"
        stamp = path.stat()
        digest = sha256(f"{stamp.st_size}:{stamp.st_mtime_ns}".encode()).hexdigest()[:12]
        return f"/console/static/{name}?{digest}"

    async def static(self, request: Request) -> Response:
        """A file of all pages, or of a domain's. They say nothing about anybody, so they need no token."""
        path = self._paths.get(request.path_params["name"])
        if path is None:
            raise HTTPException(404)
        sent, digest = await to_thread.run_sync(read, path)
        headers = {"Cache-Control": f"public, max-age={KEPT}, immutable", "ETag": f'"{digest}"'}
        headers["Vary"] = "Accept-Encoding"
        if request.headers.get("if-none-match") == headers["ETag"]:
            return Response(status_code=304, headers=headers)
        if path.suffix not in _PACKED:
            if "gzip" in request.headers.get("accept-encoding", ""):
                headers["Content-Encoding"] = "gzip"
            else:
                sent = await to_thread.run_sync(gzip.decompress, sent)
        return Response(sent, headers=headers, media_type=_TYPES[path.suffix])


@lru_cache
def read(path: Path) -> tuple[bytes, str]:
    """A file's bytes, as gzip where that helps, and twelve digits that say which they are. Each is packed once."""
    data = path.read_bytes()
    sent = data if path.suffix in _PACKED else gzip.compress(data, 6, mtime=0)
    return sent, sha256(data).hexdigest()[:12]
