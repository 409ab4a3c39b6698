"""What a command answered."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Said:
    """Exit code, standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The last line on standard error; what comes before it tells the step that was under way."""
        assert "Traceback" not in self.err + self.out
        *before, last = self.err.strip().splitlines()
        assert all(line.endswith(("failed", " s")) for line in before), self.err
        return last


Headgate = Callable[..., Said]


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its path in it."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
