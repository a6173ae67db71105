"""The live page: a stranger's file stays text in it, and a stranger's page gets no answer from it."""

import http.client
import json
import struct

import pytest
import trimesh

pytest.importorskip("viser", reason="extra [viewer]")

from hoijax.viz.local_server import is_local_request
from hoijax.viz.results import find_results
from hoijax.viz.viewer import Viewer, plain_name

SCRIPT = '<iframe srcdoc="<script>document.body.pwn=1</script>">{alert(1)}'


def glb(tree):
    """A GLB of that header, without a buffer."""
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    return struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text), len(text), b"JSON") + text


@pytest.fixture(scope="module")
def viewer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    ball = trimesh.Scene({SCRIPT: trimesh.creation.icosphere(subdivisions=1)})
    ball.export(folder / "ball.glb")
    accessor = {"componentType": 5126, "count": 3, "type": SCRIPT}
    tree = {
        "asset": {"version": "2.0"}, "scene": 0, "scenes": [{"nodes": [0]}], "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}}]}], "accessors": [accessor], "bufferViews": [],
    }  # fmt: skip
    (folder / "evil.glb").write_bytes(glb(tree))
    viewer = Viewer(find_results(folder), port=18090)
    yield viewer, folder
    viewer.stop()


def test_what_a_file_says_is_never_markup(viewer):
    """Of all messages that a browser gets, only text fields and labels hold the file's words."""
    import viser

    page, _ = viewer
    page.show("evil.glb")
    assert "evil.glb" in page.message
    handles = list(page._server.gui._gui_input_handle_from_uuid.values())
    texts = [h for h in handles if isinstance(h, viser.GuiTextHandle)]
    assert page.message in [h.value for h in texts] and all(h.disabled for h in texts)
    everything = page._server.gui._container_handle_from_uuid["root"]._children.values()
    assert not any(isinstance(h, viser.GuiMarkdownHandle | viser.GuiHtmlHandle) for h in everything)
    page.show("ball.glb")
    assert page.message == "" and not page._message.visible
    names = [*page._meshes, *page._switches, *page.candidates]
    assert names and not any(c in name for name in names for c in "<>{}&")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost.evil.example:18090"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        ({"Host": "evil.example:18090", "Origin": "http://evil.example:18090"}, 403),
        ({}, 101),
        ({"Origin": "http://localhost:PORT", "Host": "localhost:PORT"}, 101),
    ],
)
def test_websockets_of_other_pages_are_refused(viewer, headers, status):
    port = viewer[0]._server.get_port()
    headers = {name: value.replace("PORT", str(port)) for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    handshake = {
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol": "viser-v0",
    }  # fmt: skip
    connection.request("GET", "/", headers=handshake | headers)
    assert connection.getresponse().status == status
    connection.close()


@pytest.mark.parametrize(
    ("host", "origin", "good"),
    [
        ("localhost:8080", None, True),
        ("[::1]:8080", "http://[::1]:8080", True),
        ("127.0.0.1", "http://127.0.0.1", True),
        ("localhost:8080", "http://127.0.0.1:8080", False),
        ("localhost:8080", "http://localhost:81", False),
        ("localhost:8080", "file://localhost:8080", False),
        ("", None, False),
        ("[", None, False),
        ("rebound.example", None, False),
    ],
)
def test_which_requests_are_of_this_machine(host, origin, good):
    assert is_local_request({"Host": host} | ({} if origin is None else {"Origin": origin})) is good


def test_names_lose_what_is_markup():
    assert plain_name("chair leg 2.0-b") == "chair leg 2.0-b"
    assert plain_name('<b onclick="x">{y}&/') == "_b onclick_x_y_"
    assert plain_name("\u202e<>") == "_" and plain_name("  ") == "part" and len(plain_name("x" * 500)) == 60
