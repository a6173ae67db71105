"""The live viewer: the scenes of a folder in the browser, through viser (extra [viewer])."""

import pathlib
import re
from collections.abc import Sequence

import numpy as np

from hoijax.errors import InputError
from hoijax.io.glb import srgb_to_linear
from hoijax.io.scenes import format_of
from hoijax.viz.local_server import local_only, refuses_strangers
from hoijax.viz.read import SCENE_FORMATS, read_scene
from hoijax.viz.scene import scene_bounds, vertex_colors

__all__ = ["Viewer", "find_scenes", "plain_name"]

_LONGEST_MESSAGE = 600
_LONGEST_NAME = 60


def plain_name(name: str) -> str:
    """A part's name as letters, digits, spaces, dots and dashes: the page's tree and labels need no more."""
    return re.sub(r"[^\w .-]+", "_", name)[:_LONGEST_NAME].strip() or "part"


def find_scenes(path: pathlib.Path | str) -> list[pathlib.Path]:
    """The scene files at or below `path`, sorted by name.

    Raises:
      InputError: the path does not exist, or no scene is there.
    """
    path = pathlib.Path(path)
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"there is no file or folder '{path}'")
    scenes = sorted(p for p in path.rglob("*") if format_of(p) in SCENE_FORMATS and p.is_file())
    if not scenes:
        raise InputError(f"'{path}' holds no scene; wanted files of the formats {', '.join(SCENE_FORMATS)}")
    return scenes


class Viewer:
    """A page on this machine with one scene at a time and a switch per part.

    Args:
      files: scenes to choose from; files that cannot be read are reported in the page when they are chosen.
      port: first port to try.

    Raises:
      InputError: viser is not installed, or its server could not be closed to other web pages.
    """

    def __init__(self, files: Sequence[pathlib.Path], *, port: int = 8080):
        try:
            import viser
        except ImportError as error:
            raise InputError("the live viewer needs viser: pip install 'hoijax[viewer]'") from error
        self._files = {str(file): file for file in files}
        with local_only():
            self._server = viser.ViserServer(host="127.0.0.1", port=port, verbose=False)
        if not refuses_strangers(self._server.get_port()):
            self._server.stop()
            raise InputError(
                "this version of viser answers foreign web pages; install viser 1.1: pip install viser==1.1"
            )
        self._server.scene.set_up_direction("+y")
        self._shown: list = []
        self._choice = self._server.gui.add_dropdown("scene", tuple(self._files), initial_value=next(iter(self._files)))
        # A text field, because Markdown would run what a file's name or contents say as a part of the page.
        self._message = self._server.gui.add_text("message", "", disabled=True, multiline=True, visible=False)
        self._choice.on_update(lambda _: self.show(self._choice.value))
        self._server.on_client_connect(self._look_at_scene)
        self.show(self._choice.value)

    @property
    def address(self) -> str:
        """Where the browser finds the page."""
        return f"http://localhost:{self._server.get_port()}"

    @property
    def message(self) -> str:
        """What the page says about the chosen file; empty if it is shown."""
        return self._message.value

    def show(self, name: str) -> None:
        """Replaces the scene by the file of that name."""
        while self._shown:
            self._shown.pop().remove()
        try:
            scene = read_scene(self._files[name])
        except InputError as error:
            self._say(str(error))
            return
        self._say("")
        self._bounds = scene_bounds(scene)
        for i, (mesh, colors) in enumerate(zip(scene, vertex_colors(scene, bake=True), strict=True)):
            import trimesh

            # The mesh travels as glTF, whose vertex colours are linear.
            paint = np.concatenate([srgb_to_linear(colors), np.ones((len(colors), 1))], axis=1)
            paint = np.round(paint * 255).astype(np.uint8)
            shape = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=paint, process=False)
            name = plain_name(mesh.name)
            handle = self._server.scene.add_mesh_trimesh(f"/scene/{i}-{name}", shape)
            switch = self._server.gui.add_checkbox(name, initial_value=True)
            switch.on_update(lambda _, handle=handle, switch=switch: setattr(handle, "visible", switch.value))
            self._shown += [switch, handle]
        lower, upper = self._bounds
        center, width = 0.5 * (lower + upper), 3.0 * float(np.max(upper - lower))
        place = (float(center[0]), float(lower[1]), float(center[2]))
        self._shown.append(self._server.scene.add_grid("/floor", width, width, plane="xz", position=place))
        for client in self._server.get_clients().values():
            self._look_at_scene(client)

    def _say(self, text: str) -> None:
        """Shows a message as the plain text it is; none hides the field."""
        self._message.value = text[:_LONGEST_MESSAGE]
        self._message.visible = bool(text)

    def _look_at_scene(self, client) -> None:
        """Puts a browser's camera in front of the scene."""
        if not hasattr(self, "_bounds"):
            return
        lower, upper = self._bounds
        center, reach = 0.5 * (lower + upper), float(np.linalg.norm(upper - lower))
        client.camera.up_direction = (0.0, 1.0, 0.0)
        client.camera.position = tuple(center + reach * np.array([0.6, 0.35, 1.2]))
        client.camera.look_at = tuple(center)

    def stop(self) -> None:
        """Ends the server."""
        self._server.stop()
