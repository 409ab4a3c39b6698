"""The mesh viewer in a real browser, at a desk and on a phone."""

import base64
import re
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route

from headgate.api.byte_answers import answer_bytes
from headgate.api.media import GLB, PNG
from headgate.console.page import console
from headgate.settings import Settings

from ..serving import real
from ..toy import ROOMS
from .browsers import SIZES, Visit, chromium, served
from .meshes import glb, ring

#: Draws without a graphics card.
SOFTWARE = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")

PAGE = """{% extends "console/base.html" %}
{% from "console/mesh.html" import mesh %}
{% block scripts %}<script src="{{ static('mesh.js') }}" defer></script>{% endblock %}
{% block main %}<h1>A ring</h1>{{ mesh("/console/seen/" + name, "A ring of 85 cm", still) }}{% endblock %}"""

corners, faces = ring()
MESHES = {
    "ring.glb": glb(corners, faces),
    "smooth.glb": glb(corners, faces.astype("<u4"), corners / np.linalg.norm(corners, axis=1, keepdims=True)),
    "torn.glb": glb(corners, faces)[:-400],
    "none.glb": b"PK\x03\x04" * 20,
    "wrong.glb": glb(corners, np.array([[0, 1, 9999]], "<u2")),
}


def picture() -> bytes:
    written = BytesIO()
    Image.new("RGB", (40, 40), "teal").save(written, "PNG")
    return written.getvalue()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium(*SOFTWARE) as found:
        yield found


@pytest.fixture
def address(here: Settings) -> Iterator[str]:
    async def seen(request: Request) -> Response:
        name = request.path_params["name"]
        if name == "still.png":
            return answer_bytes(request, picture(), PNG)
        return answer_bytes(request, MESHES[name], GLB) if name in MESHES else Response(status_code=404)

    async def page(request: Request) -> Response:
        template = console(request).environment.from_string(PAGE)
        still = "/console/seen/still.png" if "still" in request.query_params else ""
        told = {"name": request.path_params["name"], "still": still, "caller": None, "nav": []}
        return HTMLResponse(template.render(request=request, **told))

    with real.real_app(here, ROOMS, None) as app:
        people: Any = next(route.app for route in app.routes if isinstance(route, Mount))
        people.router.routes += [Route("/seen/{name}", seen), Route("/shown/{name}", page)]
        with served(app) as found:
            yield found


@pytest.fixture(params=SIZES)
def visit(request: pytest.FixtureRequest, browser: Any, address: str) -> Iterator[Callable[..., Visit]]:
    contexts = []

    def make(**more: Any) -> Visit:
        contexts.append(browser.new_context(**({"reduced_motion": "reduce"} | SIZES[request.param] | more)))
        return Visit(contexts[-1].new_page(), address, request.param)

    yield make
    for context in contexts:
        context.close()


def shown(there: Visit, name: str = "ring.glb", query: str = "") -> Any:
    from playwright.sync_api import expect

    there.to(f"/console/shown/{name}{query}")
    expect(there.page.locator(".mesh")).to_have_attribute("data-shown", "mesh")
    canvas = there.page.locator(".mesh canvas")
    expect(canvas).to_have_attribute("data-drawn", re.compile(r"\d+"))
    return canvas


def pixels(there: Visit, canvas: Any) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(canvas.screenshot())).convert("RGB")).astype(int)


def covered(image: np.ndarray) -> np.ndarray:
    """Where the mesh is: what differs from the corner of the picture."""
    return np.asarray(np.abs(image - image[8, 8]).sum(axis=2) > 30)


@pytest.mark.parametrize("name", ["ring.glb", "smooth.glb"])
def test_a_mesh_is_drawn_whole_and_in_the_middle(visit: Callable[..., Visit], name: str) -> None:
    there = visit()
    canvas = shown(there, name)
    there.picture(f"mesh_{name.partition('.')[0]}")
    there_is = covered(pixels(there, canvas))
    high, wide = there_is.shape
    assert not there_is[high // 2, wide // 2], "one sees through a ring"
    rows, columns = np.nonzero(there_is)
    assert abs(rows.mean() - high / 2) < 0.03 * high
    assert abs(columns.mean() - wide / 2) < 0.03 * wide
    assert abs(np.ptp(rows) - np.ptp(columns)) < 0.05 * high, "it is as wide as it is high"
    assert 0.3 * min(high, wide) < np.ptp(rows) < 0.95 * high
    assert there.wrong == []


def test_it_turns_and_zooms_by_keys_mouse_and_wheel(visit: Callable[..., Visit]) -> None:
    there = visit()
    canvas = shown(there)
    before = covered(pixels(there, canvas)).sum()
    canvas.focus()
    for _ in range(10):
        there.page.keyboard.press("ArrowRight")
    there.until(lambda: canvas.get_attribute("data-yaw") == "1.50")
    assert covered(pixels(there, canvas)).sum() < 0.8 * before, "one sees its edge"
    there.page.keyboard.press("0")
    there.until(lambda: canvas.get_attribute("data-yaw") == "0.00")
    there.page.keyboard.press("+")
    there.until(lambda: canvas.get_attribute("data-far") == "2.29")
    there.page.keyboard.press("Tab")
    box = canvas.bounding_box()
    there.page.mouse.move(box["x"] + 50, box["y"] + 50)
    there.page.mouse.wheel(0, 600)
    assert canvas.get_attribute("data-far") == "2.29", "a page that is scrolled past it is left alone"
    there.page.mouse.down()
    there.page.mouse.move(box["x"] + 170, box["y"] + 110)
    there.page.mouse.up()
    there.until(lambda: (canvas.get_attribute("data-yaw"), canvas.get_attribute("data-pitch")) == ("1.00", "0.50"))
    there.picture("mesh_turned")
    assert there.wrong == []


@pytest.mark.parametrize("visit", ["phone"], indirect=True)
def test_two_fingers_zoom_and_one_turns(visit: Callable[..., Visit]) -> None:
    there = visit()
    canvas = shown(there)
    box, hand = canvas.bounding_box(), there.page.context.new_cdp_session(there.page)
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    def touch(kind: str, *shifts: int) -> None:
        points = [{"x": x + shift, "y": y, "id": n} for n, shift in enumerate(shifts)]
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", -40, 40)
    for apart in (50, 60, 80):
        touch("touchMove", -apart, apart)
    touch("touchEnd")
    there.until(lambda: canvas.get_attribute("data-far") == "1.30")
    assert canvas.get_attribute("data-yaw") == "0.00"
    touch("touchStart", 0)
    for shift in (20, 40, 60):
        touch("touchMove", shift)
    touch("touchEnd")
    there.until(lambda: float(canvas.get_attribute("data-yaw")) > 0.3)


def test_words_are_there_for_who_does_not_see_it(visit: Callable[..., Visit]) -> None:
    there = visit()
    canvas = shown(there)
    assert "A ring of 85 cm. Drag it, or use the arrow keys" in canvas.get_attribute("aria-label")
    assert "Drag it" in there.page.locator(".mesh [role=status]").inner_text()
    there.page.keyboard.press("Tab")
    for _ in range(9):
        if canvas.evaluate("canvas => canvas === document.activeElement"):
            break
        there.page.keyboard.press("Tab")
    else:
        raise AssertionError("no key leads to the mesh")


def test_it_swings_at_first_and_not_where_motion_is_unwanted(visit: Callable[..., Visit]) -> None:
    calm, lively = visit(), visit(reduced_motion="no-preference")
    canvas = shown(lively)
    lively.until(lambda: int(canvas.get_attribute("data-drawn")) > 3)
    lively.until(lambda: canvas.get_attribute("data-yaw") == "0.00")
    still = shown(calm)
    calm.page.wait_for_timeout(100)
    assert int(still.get_attribute("data-drawn")) <= 2
    assert still.get_attribute("data-yaw") == "0.00"


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("torn.glb", "it is torn"),
        ("none.glb", "it is no GLB file"),
        ("wrong.glb", "its triangles have no corners"),
        ("gone.glb", "it is there no more"),
    ],
)
def test_where_there_is_no_mesh_a_picture_stays_and_says_why(visit: Callable[..., Visit], name: str, why: str) -> None:
    from playwright.sync_api import expect

    there = visit()
    there.to(f"/console/shown/{name}?still")
    expect(there.page.locator(".mesh [role=status]")).to_contain_text(why)
    assert there.page.locator(".mesh img").is_visible()
    assert not there.page.locator(".mesh canvas").is_visible()


def test_without_webgl_a_picture_stays_and_says_why(visit: Callable[..., Visit]) -> None:
    from playwright.sync_api import expect

    there = visit()
    there.page.add_init_script("HTMLCanvasElement.prototype.getContext = () => null")
    there.to("/console/shown/ring.glb?still")
    expect(there.page.locator(".mesh [role=status]")).to_contain_text("has no WebGL 2. This is a picture of it.")
    assert there.page.locator(".mesh img").evaluate("image => image.naturalWidth") == 40
    there.picture("mesh_still")


LOADS = """([source, bytes]) => new Promise((done) => {
  const image = new Image();
  image.onload = () => done(true);
  image.onerror = () => done(false);
  const chosen = () => URL.createObjectURL(new Blob([Uint8Array.from(bytes)], { type: "image/png" }));
  image.src = source === "blob:" ? chosen() : source;
})"""


def test_pictures_come_from_here_or_were_chosen_here(visit: Callable[..., Visit], address: str) -> None:
    there = visit()
    there.to("/console/")
    small = f"data:image/png;base64,{base64.b64encode(picture()).decode()}"
    loads = {
        source: there.page.evaluate(LOADS, [source, list(picture())])
        for source in ("/console/seen/still.png", "blob:", small)
    }
    assert loads == {"/console/seen/still.png": True, "blob:": True, small: False}
    elsewhere = address.replace("127.0.0.1", "localhost") + "/console/seen/still.png"
    assert there.page.evaluate(LOADS, [elsewhere, []]) is False
