"""The kit: its colours can be read by day and by night, its page shows every component, and pages use no other."""

import re
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import headgate
from headgate.console import page

PACKAGE = Path(headgate.__file__).parent
SHEET = (PACKAGE / "console/static/console.css").read_text(encoding="utf-8")

#: Colours by name, for the day and for the night.
COLOURS = {name: pair for name, *pair in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", SHEET)}

DAY, NIGHT = 0, 1

#: What is read on what; on a notice, and on the page that is shown, lies a tone of so much.
TEXT = [
    *product(("text", "soft", "accent", "good", "warn", "bad"), (("page", "", 0.0), ("card", "", 0.0))),
    ("on-accent", ("accent", "", 0.0)),
    ("accent", ("card", "accent", 0.14)),
    *(
        ("text", ("card", tone, share))
        for tone, share in (("accent", 0.09), ("good", 0.1), ("warn", 0.12), ("bad", 0.1))
    ),
    ("text", ("card", "after", 0.24)),
    ("text", ("card", "after", 0.42)),
    ("accent", ("card", "accent", 0.09)),
    ("accent", ("card", "warn", 0.12)),
]


def channels(colour: str) -> list[float]:
    return [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]


def luminance(colour: list[float]) -> float:
    """The relative luminance of WCAG 2."""
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in colour]
    return sum(weight * one for weight, one in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(front: str, back: tuple[str, str, float], time: int) -> float:
    ground, tone, share = back
    under = channels(COLOURS[ground][time])
    if tone:
        over = channels(COLOURS[tone][time])
        under = [share * a + (1 - share) * b for a, b in zip(over, under, strict=True)]
    light = sorted((luminance(channels(COLOURS[front][time])), luminance(under)))
    return (light[1] + 0.05) / (light[0] + 0.05)


@pytest.mark.parametrize("time", [DAY, NIGHT], ids=["day", "night"])
@pytest.mark.parametrize(("front", "back"), TEXT)
def test_text_can_be_read(front: str, back: tuple[str, str, float], time: int) -> None:
    assert contrast(front, back, time) >= 4.5


@pytest.mark.parametrize("time", [DAY, NIGHT], ids=["day", "night"])
@pytest.mark.parametrize(
    ("front", "ground"), [("edge", "card"), ("edge", "page"), ("accent", "card"), ("after", "card")]
)
def test_what_is_filled_in_or_drawn_is_seen(front: str, ground: str, time: int) -> None:
    assert contrast(front, (ground, "", 0.0), time) >= 3


def test_what_has_the_focus_is_seen_and_nothing_moves_for_who_wants_that() -> None:
    assert re.search(r":focus-visible \{\s*outline: 3px solid var\(--accent\)", SHEET)
    assert "prefers-reduced-motion: reduce" in SHEET


def classes(text: str) -> set[str]:
    """The classes of a template's elements, those that are chosen by an expression left out."""
    plain = re.sub(r"\{[{%].*?[%}]\}", " ", text)
    return {name for found in re.findall(r'class="([^"]*)"', plain) for name in found.split()}


def test_every_page_is_built_of_the_kit() -> None:
    sheets = "".join(path.read_text(encoding="utf-8") for path in PACKAGE.glob("console/static/*.css"))
    styled = set(re.findall(r"\.([a-z][\w-]*)", re.sub(r"/\*.*?\*/", "", sheets, flags=re.S)))
    for template in PACKAGE.rglob("console/templates/*.html"):
        assert classes(template.read_text(encoding="utf-8")) <= styled | {"domain", "no-inline-styles"}, template.name


def test_the_page_of_the_kit_shows_its_components(client: Any) -> None:
    shown = client.get("/console/kit")
    assert shown.status_code == 200
    named = re.findall(r"^/\* ([A-Z][\w ]*)", SHEET, flags=re.M)
    assert len(named) > 20
    for name in ("card", "notice", "chip", "facts", "tiles", "todo", "empty", "entries", "factors", "table", "menu",
                 "actions", "fields", "progress", "frame", "legend", "plot-small"):  # fmt: skip
        assert re.search(rf'class="[^"]*\b{name}\b', shown.text), name
    assert "<dialog" in shown.text
    assert page.PREFIX in shown.text
