"""`hoijax view` in a browser: what a person clicks and drags is what the page does, in its numbers and in sight.

Skipped, saying why, where viser or Chromium is absent. Everything is done with a mouse, and looked at in
pictures of the window: the body is blue, the object green.
"""

import base64
import dataclasses
import io
import json
import pathlib
import time

import numpy as np
import pytest
import trimesh
from PIL import Image

pytest.importorskip("viser", reason="extra [viewer]")

from hoijax.viz.moments import MovingMesh
from hoijax.viz.results import Candidate, Found
from hoijax.viz.scene import NamedMesh
from hoijax.viz.shown import Shown
from hoijax.viz.viewer import Viewer

BLUE, GREEN = (0.1, 0.2, 1.0), (0.1, 0.9, 0.1)
READY = "document.querySelector('canvas') && [...document.querySelectorAll('label')].some(l => l.innerText == 'result')"
PATIENCE = 120  # seconds; a busy machine draws a frame in ten
WINDOW, SCENE = (1200, 800), (slice(190, 720), slice(60, 880))
"""Pixels; around that part are the panel, a word about software rendering and the axes."""
SINK = 0.01
"""How deep the object is in the body, metres."""


def scene(x=0.0, y=0.0):
    """A ball and a cube that is stuck in it by a centimetre on its right, or elsewhere by x and y."""
    ball = trimesh.creation.icosphere(4, 0.3)
    cube = trimesh.creation.box((0.3, 0.3, 0.3)).apply_translation((0.45 - SINK + x, y, 0))
    return [
        NamedMesh("body", np.float32(ball.vertices), ball.faces, BLUE),
        NamedMesh("object", np.float32(cube.vertices), cube.faces, GREEN),
    ]


def still(*scenes):
    """Frames of a scene as the page wants them."""
    return [MovingMesh(meshes[0], points=np.stack([m.vertices for m in meshes])) for meshes in zip(*scenes)]


SHOWN = {
    "first": Shown(still(scene()), still(scene(x=0.4))),
    "second": Shown(still(*[scene(y=0.1 * k) for k in range(5)]), times=np.arange(5) / 10),
    "again 1": Shown(still(scene(x=0.2))),
}


class FakeRefiner:
    """Keeps what it is asked for, and answers with a candidate of its own."""

    def __init__(self):
        self.asked, self.saved = [], []

    def refuses(self, found, candidate):
        return "frames hang together" if candidate.name == "second" else ""

    def refine(self, found, candidate, shown, drag, steps, watch):
        watch(0.5, "halfway")
        self.asked.append((candidate.name, drag, steps))
        return dataclasses.replace(found, folder=pathlib.Path("made"), candidates=(Candidate("again 1", None),))

    def save(self, found):
        self.saved.append(found.folder)
        return pathlib.Path("kept")


class Page:
    """The page with a mouse."""

    def __init__(self, browser, viewer, refiner):
        self.browser, self.viewer, self.refiner = browser, viewer, refiner

    def mouse(self, kind, x, y):
        held = {"button": "left", "buttons": 1, "clickCount": 1} if kind != "mouseMoved" else {"buttons": self.held}
        self.browser.call("Input.dispatchMouseEvent", type=kind, x=float(x), y=float(y), **held)

    held = 0

    def click_at(self, x, y):
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.mouse(kind, x, y)

    def place(self, finder, share=0.5):
        """Where an element is in the window, once it is there."""
        code = (
            f"(() => {{ const e = {finder}; if (!e) return null; e.scrollIntoView({{block: 'nearest'}});"
            "const r = e.getBoundingClientRect();"
            f"return r.width ? JSON.stringify([r.x + {share} * r.width, r.y + 0.5 * r.height]) : null }})()"
        )
        return json.loads(self.wait(lambda: self.browser.evaluate(code), finder))

    def labelled(self, label):
        """The control that a label of the panel is of."""
        of = f"[...document.querySelectorAll('label')].find(l => l.innerText.trim() == {json.dumps(label)})"
        return f"document.getElementById(({of} || {{}}).htmlFor)"

    def button(self, text):
        """The button that begins with a text."""
        return f"[...document.querySelectorAll('button')].find(b => b.innerText.trim().startsWith({json.dumps(text)}))"

    def click(self, label, share=0.5):
        self.click_at(*self.place(self.labelled(label), share))

    def press(self, text):
        self.click_at(*self.place(self.button(text)))

    def pick(self, label, option):
        """Chooses an entry of a list."""
        self.click(label)
        options = "[...document.querySelectorAll('[role=option]')]"
        self.click_at(*self.place(f"{options}.find(o => o.innerText.trim() == {json.dumps(option)} && o.offsetWidth)"))

    def sees(self, label):
        """Whether the panel shows such a control."""
        labels = "[...document.querySelectorAll('label')].map(l => l.innerText.trim())"
        return self.browser.evaluate(f"{labels}.includes({json.dumps(label)})")

    def wait(self, what, name=""):
        deadline = time.monotonic() + PATIENCE
        while not (value := what()):
            assert time.monotonic() < deadline, f"still not so after {PATIENCE} seconds: {name or what}"
            time.sleep(0.05)
        return value

    def look(self, path=None):
        """The pixels of the scene."""
        png = base64.b64decode(self.browser.call("Page.captureScreenshot", format="png")["data"])
        if path is not None:
            path.write_bytes(png)
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.int32)[SCENE]

    def colored(self, color):
        """Which pixels are of a colour."""
        return self.within(self.look(), color)

    @staticmethod
    def within(picture, color):
        """Which pixels of a picture are of a colour."""
        r, g, b = np.moveaxis(picture, -1, 0)
        rest = {
            "blue": b - np.maximum(r, g),
            "green": g - np.maximum(r, b),
            "yellow": np.minimum(r, g) - b - np.maximum(g - r, 0),
        }[color]
        return rest > 40

    def middle(self, color, picture=None):
        """Column and row of the middle of what is of a colour; NaN, which no comparison holds for, if nothing is.

        A part that is exchanged for another is absent from a picture or two.
        """
        rows, columns = np.nonzero(self.within(self.look() if picture is None else picture, color))
        return np.array([np.nan, np.nan] if len(rows) < 50 else [columns.mean(), rows.mean()])

    def has(self, *colors):
        """Whether one picture has them all."""
        picture = self.look()
        return all(np.isfinite(self.middle(color, picture)).all() for color in colors)

    def gap(self):
        """How far the object's middle is right of the body's, in widths of the body; both in one picture."""
        picture = self.look()
        columns = np.nonzero(self.within(picture, "blue"))[1]
        if not len(columns):
            return np.nan
        return (self.middle("green", picture)[0] - self.middle("blue", picture)[0]) / max(np.ptp(columns), 1)

    def pixel(self, point):
        """Where a point of the scene is in the window."""
        camera = next(iter(self.viewer.server.get_clients().values())).camera
        place, target = (np.asarray(v, np.float64) for v in (camera.position, camera.look_at))
        ahead = (target - place) / np.linalg.norm(target - place)
        right = np.cross(ahead, [0.0, 1.0, 0.0])
        right /= np.linalg.norm(right)
        offset = np.asarray(point) - place
        box = "document.querySelector('canvas').getBoundingClientRect()"
        width, height = json.loads(self.browser.evaluate(f"JSON.stringify([{box}.width, {box}.height])"))
        focal = 0.5 * height / np.tan(0.5 * camera.fov) / (offset @ ahead)
        return 0.5 * width + focal * (offset @ right), 0.5 * height - focal * (offset @ np.cross(right, ahead))

    def drag(self, start, end):
        """Pulls what is drawn at one point of the scene to another."""
        a, b = np.array(self.pixel(start)), np.array(self.pixel(end))
        self.mouse("mouseMoved", *a)
        time.sleep(0.3)
        self.mouse("mousePressed", *a)
        self.held = 1
        for share in np.linspace(0, 1, 9)[1:]:
            self.mouse("mouseMoved", *(a + share * (b - a)))
            time.sleep(0.05)
        self.held = 0
        self.mouse("mouseReleased", *b)


@pytest.fixture(scope="module")
def opened(open_browser, tmp_path_factory):
    """One page, one browser."""
    found = Found("out", pathlib.Path("out"), "refine", (Candidate("first", None), Candidate("second", None)))
    refiner = FakeRefiner()
    browser = open_browser(tmp_path_factory.mktemp("browser"))
    viewer = Viewer([found], load=lambda _, candidate: SHOWN[candidate.name], refiner=refiner, port=18110)
    try:
        size = dict(zip(("width", "height"), WINDOW))
        browser.call("Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=False)
        browser.load(viewer.address, READY)
        page = Page(browser, viewer, refiner)
        page.wait(lambda: page.has("green", "blue"), "body and object are drawn")
        yield page
    finally:
        viewer.stop()
        browser.close()


@pytest.fixture
def page(opened):
    """The page at its first candidate, as it was opened."""
    for switch, on in ((opened.viewer._contact, False), (opened.viewer._beside, False)):
        switch.value = on
    for switch in opened.viewer._switches.values():
        switch.value = True
    opened.press("first")
    opened.wait(lambda: opened.viewer.chosen[1].name == "first" and opened.has("green", "blue"))
    yield opened


def test_a_button_for_each_candidate_shows_it(page):
    page.press("second")
    page.wait(lambda: page.viewer.chosen[1].name == "second")
    page.wait(lambda: page.sees("frame") and page.sees("play") and not page.sees("state"))
    page.press("first")
    page.wait(lambda: page.viewer.chosen[1].name == "first")
    page.wait(lambda: page.sees("state") and not page.sees("frame"))


def test_the_state_before_shows_the_object_where_it_was(page):
    after = page.middle("green")
    page.pick("state", "before")
    # The camera steps back for the wider scene: the gap between the two grows all the same.
    page.wait(lambda: page.viewer._state.value == "before" and page.gap() > 1.15, "the object is off the body")
    page.pick("state", "after")
    page.wait(
        lambda: page.gap() < 0.9 and abs(page.middle("green")[0] - after[0]) < 5, "the object is at the body again"
    )


def test_contact_colours_are_on_the_body_and_go_again(page):
    assert not page.colored("yellow").any() and not page.sees("scale")
    page.click("contact colours")
    page.wait(lambda: page.colored("yellow").sum() > 20 and not page.has("blue"), "the body shows how near it is")
    assert page.sees("scale") and page.has("green")
    page.click("contact colours")
    page.wait(lambda: page.has("blue") and not page.sees("scale"))


def test_the_slider_shows_a_frame_and_play_the_next_ones(page):
    page.press("second")
    page.wait(lambda: page.sees("frame"))
    page.wait(lambda: page.has("green"))
    low = page.middle("green")[1]
    page.click("frame", 0.99)
    page.wait(lambda: page.viewer._frame.value == 4)
    page.wait(lambda: page.middle("green")[1] < low - 30, "the object has risen")
    page.click("frame", 0.01)
    page.wait(lambda: page.viewer._frame.value == 0 and abs(page.middle("green")[1] - low) < 5)
    page.click("play")
    seen = set()
    page.wait(lambda: seen.add(page.viewer._frame.value) or len(seen) >= 3, "frames follow each other")
    page.press("first")
    page.wait(lambda: page.viewer.chosen[1].name == "first" and not page.viewer._playing.is_set())


def test_parts_can_be_hidden(page):
    page.click("object")
    page.wait(lambda: not page.has("green") and page.has("blue"))
    page.click("object")
    page.wait(lambda: page.has("green"))


def test_the_object_is_dragged_and_refined_again_and_kept_once(page):
    page.click("move the object")
    panel = page.viewer._panel
    page.wait(lambda: panel.drag is not None)
    was, start = page.middle("green"), panel.drag.start
    np.testing.assert_allclose(start, [0.45 - SINK, 0, 0], atol=1e-6)
    reach = panel._control.scale
    pull = lambda: page.drag(start + [0, 0.8 * reach, 0], start + [0, 0.8 * reach + 0.15, 0])  # noqa: E731
    page.wait(lambda: pull() or panel.drag.moved, "the arrow follows the mouse")
    shift = panel.drag.shift
    assert shift[1] > 0.05 and np.abs(shift[[0, 2]]).max() < 1e-3
    page.wait(lambda: page.middle("green")[1] < was[1] - 20, "the object goes with its handle")
    page.press("refine from here")
    page.wait(lambda: len(page.viewer.candidates) == 3 and page.viewer.chosen[1].name == "again 1")
    ((name, drag, steps),) = page.refiner.asked
    assert name == "first" and steps == 40
    np.testing.assert_allclose(drag.shift, shift)
    page.wait(lambda: abs(page.middle("green")[1] - was[1]) < 12, "the new candidate is shown, not the dragged one")
    for _ in range(2):
        page.press("save this candidate")
        page.wait(lambda: page.viewer._panel.status == "saved in kept")
    assert page.refiner.saved == [pathlib.Path("made")]


def test_frames_cannot_be_refined_again_and_it_is_said_why(page):
    page.press("second")
    said = "[...document.querySelectorAll('textarea, input')].some(t => t.value == 'frames hang together')"
    page.wait(lambda: page.browser.evaluate(said), "why")
    for control in (page.button("refine from here"), page.labelled("move the object")):
        page.wait(lambda control=control: page.browser.evaluate(f"{control}.disabled"), control)


def test_all_stand_side_by_side(page):
    page.click("all side by side")
    page.wait(lambda: len({path.split("/")[2] for path in page.viewer._meshes}) >= 2)
    columns = lambda: np.flatnonzero(page.colored("green").any(axis=0))  # noqa: E731
    page.wait(lambda: (np.diff(columns()) > 20).any(), "two objects, apart")
    page.click("all side by side")
    page.wait(lambda: len(columns()) and (np.diff(columns()) <= 20).all())


def test_the_browser_complains_of_nothing(page, tmp_path):
    page.look(tmp_path / "page.png")
    assert page.browser.said("Runtime.exceptionThrown") == []
