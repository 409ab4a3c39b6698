"""Small plots as SVG that the server draws: no script, and no style but the sheet's. Words stand beside each."""

from collections.abc import Sequence
from dataclasses import dataclass

#: The drawing's size; it is scaled to the room that there is.
WIDTH, HEIGHT = 240.0, 56.0

#: What is higher than so many usual columns is cut.
BURST = 4

#: Room around a line, so that its dots are whole.
EDGE = 6.0


@dataclass(frozen=True)
class Dot:
    """A value of a trend."""

    x: float
    y: float
    words: str  # what it is
    fine: bool  # whether it keeps its limit


@dataclass(frozen=True)
class Trend:
    """Values one after the other, joined by a line, and the limit that they are held against."""

    dots: tuple[Dot, ...]
    limit: float | None  # its height

    @property
    def line(self) -> str:
        """The line's points."""
        return " ".join(f"{dot.x:g},{dot.y:g}" for dot in self.dots)


@dataclass(frozen=True)
class Column:
    """A minute, or whatever is counted; the second part stands at the bottom."""

    x: float
    width: float
    top: float
    height: float
    part_top: float
    part: float
    cut: bool  # higher than the drawing


def trend(values: Sequence[tuple[float, str, bool]], limit: float | None) -> Trend:
    """A trend of `values` (value, words, whether it keeps its limit), the oldest first."""
    known = [value for value, _, _ in values] + ([] if limit is None else [limit])
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    room = (high - low) or abs(high) or 1.0
    if high == low:
        low -= room / 2

    def height(value: float) -> float:
        return round(EDGE + (HEIGHT - 2 * EDGE) * (1 - (value - low) / room), 1)

    step = (WIDTH - 2 * EDGE) / max(len(values) - 1, 1)
    start = EDGE if len(values) > 1 else WIDTH / 2
    dots = [
        Dot(round(start + number * step, 1), height(value), words, fine)
        for number, (value, words, fine) in enumerate(values)
    ]
    return Trend(tuple(dots), None if limit is None else height(limit))


def columns(counts: Sequence[int], parts: Sequence[int]) -> tuple[Column, ...]:
    """A column for each of `counts` that is not 0, and within it that of `parts`.

    A burst is cut, so that it does not hide what is usual.
    """
    usual = sorted(count for count in counts if count)
    most = min(usual[-1], BURST * usual[len(usual) // 2]) if usual else 1
    width = WIDTH / max(len(counts), 1)
    found = []
    for number, (count, part) in enumerate(zip(counts, parts, strict=True)):
        if count:
            tall = max(HEIGHT * min(count / most, 1.0), 1.0)
            low = tall * part / count
            left, wide, top, high, part_top, part_high = (
                round(one, 1) for one in (number * width, width * 0.8, HEIGHT - tall, tall, HEIGHT - low, low)
            )
            found.append(Column(left, wide, top, high, part_top, part_high, count > most))
    return tuple(found)
