"""Small plots: what is higher stands higher, nothing leaves the drawing, and few values or equal ones are drawn too."""

import pytest

from headgate.console.plots import HEIGHT, WIDTH, columns, trend


@pytest.mark.parametrize(
    ("values", "limit"),
    [([0.2, 0.5, 0.3], 0.4), ([0.2], None), ([0.2, 0.2], 0.2), ([], None), ([0.0, 0.0], None), ([-1.0, 3.0], 10.0)],
)
def test_a_trend_stays_inside_and_keeps_its_order(values: list[float], limit: float | None) -> None:
    drawn = trend([(value, f"{value}", True) for value in values], limit)
    for dot in drawn.dots:
        assert 0 <= dot.x <= WIDTH
        assert 0 <= dot.y <= HEIGHT
    assert [dot.x for dot in drawn.dots] == sorted(dot.x for dot in drawn.dots)
    by_height = sorted(range(len(values)), key=lambda n: -drawn.dots[n].y)
    assert [values[n] for n in by_height] == sorted(values)
    if limit is not None:
        assert drawn.limit is not None
        assert all((dot.y < drawn.limit) == (value > limit) for dot, value in zip(drawn.dots, values, strict=True))


def test_columns_stand_on_the_ground_and_hold_their_parts() -> None:
    drawn = columns([0, 100, 400, 1], [0, 25, 100, 0])
    assert len(drawn) == 3, "nothing is drawn where nothing was"
    for one in drawn:
        assert one.top + one.height == pytest.approx(HEIGHT)
        assert one.height >= 1, "what was there is seen"
    assert (drawn[1].height, drawn[1].cut) == (HEIGHT, False)
    assert drawn[1].part == pytest.approx(HEIGHT / 4)
    assert drawn[2].part == 0
    assert columns([], []) == ()


def test_a_burst_does_not_hide_what_is_usual() -> None:
    drawn = columns([10] * 5 + [8000], [0] * 5 + [4000])
    assert drawn[0].height == HEIGHT / 4
    assert [one.cut for one in drawn] == [False] * 5 + [True]
    assert (drawn[-1].height, drawn[-1].part) == (HEIGHT, HEIGHT / 2)
