"""The page: well-formed, self-contained, the scenes inside to the last bit; drawn by a browser where there is one."""

import base64
import html.parser
import json
import re

import numpy as np
import pytest
import trimesh
from PIL import Image

from hoijax.errors import InputError
from hoijax.viz.report import Case, Metric, write_page, write_report
from hoijax.viz.scene import NamedMesh, vertex_colors

VOID = {"meta", "img", "input", "br", "link"}


def scene(shift, color=None):
    """A ball and a box."""
    ball, box = trimesh.creation.icosphere(2, radius=0.3), trimesh.creation.box((0.4, 0.4, 0.4))
    return [
        NamedMesh("body", ball.vertices, ball.faces, color),
        NamedMesh("object", box.vertices + np.array([shift, 0, 0]), box.faces),
    ]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page of two cases with awkward names, a picture and all kinds of metrics."""
    folder = tmp_path_factory.mktemp("page")
    Image.new("RGB", (4, 3), (255, 0, 0)).save(folder / "red.png")
    colors = np.random.default_rng(0).uniform(size=(162, 3))
    metrics = {
        "depth": Metric(12.345, 0.5, "mm", "lower"),
        "F1": Metric(0.5, 0.25, better="higher"),
        "gap": Metric(9.0, 8.0, "mm", "lower", limit=5.0),
        "overlap": Metric(0.9, 0.8, better="higher", limit=0.5),
        "steps": (None, 120),
        "nothing": (float("nan"), 0.0),
    }
    cases = [
        Case("sit </script> & <b>", scene(0.2), scene(0.6), metrics, [("a <picture>", folder / "red.png")]),
        Case("one", None, scene(0.6, colors), {"depth": (0.1, 0.00012)}, text="line one\nline two", floor=-0.5),
    ]
    return write_page(folder / "report.html", "Title & <more>", cases, text="What was done.")


class Outline(html.parser.HTMLParser):
    """Tags in order; fails on tags that do not match."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.text.append((self.open[-1] if self.open else "", data))


def test_page_is_well_formed_and_escaped(page):
    outline = Outline()
    outline.feed(page.read_text("utf-8"))
    outline.close()
    assert outline.open == []
    headings = [text for tag, text in outline.text if tag in ("h1", "h2")]
    assert headings == ["Title & <more>", "sit </script> & <b>", "one"]
    assert ("figcaption", "a <picture>") in outline.text
    assert sum(tag == "script" for tag, _ in outline.seen) == 2
    assert [a["data-scene"] for t, a in outline.seen if t == "div" and "data-scene" in a] == ["0", "1"]


def test_page_needs_no_network(page):
    text = page.read_text("utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub(r"base64,[\w+/=]+|//.*", "", text))
    outline = Outline()
    outline.feed(text)
    for tag, attrs in outline.seen:
        assert not attrs.get("src", "data:").startswith("/"), tag
        assert attrs.get("src", "data:").startswith("data:")
        assert attrs.get("href", "#").startswith("#")
    policy = next(a["content"] for t, a in outline.seen if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")


def embedded(page):
    """The JSON of the page."""
    text = page.read_text("utf-8")
    return json.loads(re.search(r'<script type="application/json" id="scenes">(.*?)</script>', text, re.DOTALL)[1])


def decode(data, key):
    """One array of the page."""
    kind, text = data["buffers"][key]
    return np.frombuffer(base64.b64decode(text), kind[0] + kind[1])


def test_page_holds_the_same_triangles(page):
    data = embedded(page)
    colors = np.random.default_rng(0).uniform(size=(162, 3))
    wanted = [[("before", scene(0.2)), ("after", scene(0.6))], [("scene", scene(0.6, colors))]]
    assert len(data["scenes"]) == 2
    assert [s["floor"] for s in data["scenes"]] == [pytest.approx(-0.3), -0.5]
    for got, states in zip(data["scenes"], wanted):
        assert [s["name"] for s in got["states"]] == [name for name, _ in states]
        for state, (_, meshes) in zip(got["states"], states):
            for mesh, want, color in zip(state["meshes"], meshes, vertex_colors(meshes)):
                assert (mesh["name"], mesh["count"]) == (want.name, len(want.faces))
                faces = decode(data, mesh["faces"]).astype(int)
                vertices = decode(data, mesh["vertices"]).reshape(-1, 3)
                np.testing.assert_array_equal(vertices[faces], want.vertices[want.faces.reshape(-1)])
                paint = decode(data, mesh["colors"]).reshape(-1, 4)[faces, :3]
                np.testing.assert_allclose(paint / 255, color[want.faces.reshape(-1)], atol=0.5 / 255 + 1e-6)
                normals = decode(data, mesh["normals"]).reshape(-1, 4)[faces, :3] / 127
                np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=0.01)
                corners = want.vertices[want.faces]
                area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
                assert np.all(np.sum(normals.reshape(-1, 3, 3) * area[:, None], axis=-1) > 0)


def test_equal_arrays_are_stored_once(page):
    data = embedded(page)
    before, after = data["scenes"][0]["states"]
    assert before["meshes"][0] == after["meshes"][0]  # the ball did not move
    assert before["meshes"][1]["faces"] == after["meshes"][1]["faces"]
    assert before["meshes"][1]["vertices"] != after["meshes"][1]["vertices"]


def test_table(page):
    text = page.read_text("utf-8")
    assert '<td>depth (mm)</td><td>12.35</td><td class="better">0.5</td>' in text
    assert '<td>F1</td><td>0.5</td><td class="worse">0.25</td>' in text
    # With a limit a colour says good or bad, not better or worse than before.
    assert '<td>gap (mm)</td><td>9</td><td class="worse">8</td>' in text
    assert '<td>overlap</td><td>0.9</td><td class="better">0.8</td>' in text
    assert "<td>steps</td><td>–</td><td>120</td>" in text
    assert "<td>nothing</td><td>–</td><td>0</td>" in text
    assert "<td>depth</td><td>0.00012</td>" in text


def test_report_of_one_scene(tmp_path):
    path = write_report(tmp_path / "r.html", "t", scene(0.2), scene(0.6), {})
    assert len(embedded(path)["scenes"]) == 1
    assert "<table>" not in path.read_text("utf-8")
    assert list(tmp_path.iterdir()) == [path]


def test_errors(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match=r"notes.txt' is no picture"):
        write_report(tmp_path / "r.html", "t", None, scene(0), {}, pictures=[("p", tmp_path / "notes.txt")])
    with pytest.raises(InputError, match="cannot be read"):
        write_report(tmp_path / "r.html", "t", None, scene(0), {}, pictures=[("p", tmp_path / "none.png")])
    with pytest.raises(InputError, match="no vertices"):
        write_report(tmp_path / "r.html", "t", None, [], {})
    with pytest.raises(InputError, match="cannot write"):
        write_report(tmp_path / "missing" / "r.html", "t", None, scene(0), {})


DRAWN = "[...document.querySelectorAll('.viewer canvas')].map(c => c.dataset.triangles)"
NO_WEBGL = "!!document.querySelector('.viewer.unavailable')"


@pytest.fixture(scope="module")
def browser(open_browser, page, tmp_path_factory):
    """The page in a browser, all views drawn."""
    browser = open_browser(tmp_path_factory.mktemp("browser"))
    try:
        browser.load(page.as_uri(), f"document.readyState == 'complete' && ({NO_WEBGL} || {DRAWN}.every(n => n))")
        if browser.evaluate(NO_WEBGL):
            pytest.skip("this Chromium offers no WebGL")
        yield browser
    finally:
        browser.close()


def test_browser_draws_every_scene_and_asks_for_nothing(browser, page):
    """The page's policy forbids every request; the browser logs a refusal."""
    assert browser.evaluate(DRAWN) == [str(2 * (320 + 12)), str(320 + 12)]  # both states side by side, then the single
    buttons = "[...document.querySelectorAll('button[aria-pressed]')].map(b => [b.ariaPressed, b.textContent])"
    assert browser.evaluate(buttons) == [["false", "before"], ["false", "after"], ["true", "side by side"]]
    assert browser.said("Runtime.exceptionThrown") == []
    messages = [event["entry"]["text"] for event in browser.said("Log.entryAdded")]
    messages += [str(event["args"]) for event in browser.said("Runtime.consoleAPICalled")]
    assert [m for m in messages if "GPU stall" not in m] == []
    asked = {event["request"]["url"] for event in browser.said("Network.requestWillBeSent")}
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]


def test_browser_shows_the_scene(browser, tmp_path):
    """The pixels of the first view have the colours of the body and of the object."""
    for _ in range(20):  # the frame on the screen may be one behind
        browser.screenshot(tmp_path / "page.png")
        image = np.asarray(Image.open(tmp_path / "page.png").convert("RGB"), int)[:700, :600]
        red, green, blue = image[..., 0], image[..., 1], image[..., 2]
        body, box = (blue > green + 8) & (green > red + 8), (red > green + 20) & (green > blue + 40)
        if body.any() and box.any():
            break
    assert body.sum() > 1000
    assert box.sum() > 1000
