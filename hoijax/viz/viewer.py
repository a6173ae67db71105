"""The live page: results and scenes of a folder in the browser, through viser (extra [viewer])."""

import contextlib
import re
import threading
import time
from collections.abc import Sequence

import numpy as np

from hoijax.errors import InputError
from hoijax.io.glb import srgb_to_linear
from hoijax.viz.contact_paint import LEGEND, contact_colors, distance_to, legend_image
from hoijax.viz.local_server import local_only, refuses_strangers
from hoijax.viz.refine_panel import RefinePanel, Refiner
from hoijax.viz.results import Candidate, Found
from hoijax.viz.scene import NamedMesh, scene_bounds, vertex_colors
from hoijax.viz.shown import STATES, Load, Shown, body_and_object, frame_at, load_scene, placed_beside

__all__ = ["Viewer", "plain_name"]

_LONGEST_MESSAGE = 2000
_LONGEST_NAME = 60
_MOST_BESIDE = 12
"""Candidates that are shown side by side at most."""


def plain_name(name: str, longest: int = _LONGEST_NAME) -> str:
    """A name as letters, digits, spaces, commas, dots and dashes: the page's tree and labels need no more."""
    return re.sub(r"[^\w .,-]+", "_", name)[:longest].strip() or "part"


class Viewer:
    """A page on this machine: one result at a time, its candidates in a list, before and after, contact, time.

    Args:
      found: results and scenes to choose from; what cannot be shown is told in the page when it is chosen.
      load: reads what a candidate looks like.
      refiner: refines again from where the object has been dragged; None: the page has no such panel.
      port: first port to try.

    Raises:
      InputError: viser is not installed, or its server could not be closed to other web pages.
    """

    def __init__(
        self, found: Sequence[Found], *, load: Load = load_scene, refiner: Refiner | None = None, port: int = 8080
    ):
        try:
            import viser
        except ImportError as error:
            raise InputError("the live viewer needs viser: pip install 'hoijax[viewer]'") from error
        self._found = {one.name: one for one in found}
        self._rows = {one.name: [(one, c) for c in one.candidates] for one in found}
        self._load, self._lock = load, threading.RLock()
        self._loaded: dict[tuple[str, int], Shown] = {}
        self._painted: dict[tuple, np.ndarray] = {}
        self._meshes: dict[str, object] = {}
        self._buttons: list = []
        self._switches: dict[str, object] = {}
        self._bounds: tuple[np.ndarray, np.ndarray] | None = None
        self._name, self._k = next(iter(self._found)), 0
        with local_only():
            self._server = viser.ViserServer(host="127.0.0.1", port=port, verbose=False)
        if not refuses_strangers(self._server.get_port()):
            self._server.stop()
            raise InputError(
                "this version of viser answers foreign web pages; install viser 1.1: pip install viser==1.1"
            )
        self._server.scene.set_up_direction("+y")
        self._build(refiner)
        self._server.on_client_connect(self._look_at_scene)
        self._stopped, self._playing = threading.Event(), threading.Event()
        threading.Thread(target=self._run_film, daemon=True).start()
        self.show(self._name)

    def _build(self, refiner: Refiner | None) -> None:
        """Everything of the page that stays. Words of files go into text fields: Markdown would run them."""
        gui = self._server.gui
        self._choice = gui.add_dropdown("result", tuple(self._found), initial_value=self._name)
        self._message = gui.add_text("message", "", disabled=True, multiline=True, visible=False)
        self._list = gui.add_folder("candidates")
        self._about = gui.add_text("about it", "", disabled=True, multiline=True, visible=False)
        self._state = gui.add_dropdown("state", STATES, initial_value=STATES[0], visible=False)
        self._frame = gui.add_slider("frame", 0, 1, 1, 0, visible=False)
        self._play = gui.add_checkbox("play", False, visible=False)
        self._beside = gui.add_checkbox("all side by side", False, visible=False)
        self._contact = gui.add_checkbox("contact colours", False, visible=False)
        self._legend = gui.add_image(legend_image(), label="distance to the object", visible=False)
        self._scale = gui.add_text("scale", LEGEND, disabled=True, multiline=True, visible=False)
        self._parts = gui.add_folder("parts")
        self._panel = None if refiner is None else RefinePanel(self, refiner)
        self._choice.on_update(lambda event: event.client and self.show(self._choice.value))
        for control in (self._frame, self._contact):
            control.on_update(lambda event: event.client and self.draw())
        for control in (self._state, self._beside):
            control.on_update(lambda event: event.client and self.arrange())
        self._play.on_update(lambda event: event.client and self.play(self._play.value))

    @property
    def server(self):
        """viser's server."""
        return self._server

    @property
    def address(self) -> str:
        """Where the browser finds the page."""
        return f"http://localhost:{self._server.get_port()}"

    @property
    def message(self) -> str:
        """What the page says about the chosen result; empty if all is shown."""
        return self._message.value

    @property
    def chosen(self) -> tuple[Found, Candidate]:
        """What is shown, and whose it is."""
        return self._rows[self._name][self._k]

    @property
    def candidates(self) -> list[str]:
        """The list as the page has it."""
        return [button.label for button in self._buttons]

    @property
    def shown(self) -> Shown | None:
        """The chosen candidate as it was loaded; None if it could not be."""
        return self._loaded.get((self._name, self._k))

    @property
    def lock(self) -> contextlib.AbstractContextManager:
        """Held while the page changes."""
        return self._lock

    def show(self, name: str) -> None:
        """Changes to the result of that name, its first candidate."""
        with self._lock:
            self._name = name
            self._list_candidates()
            self.choose(0)

    def add(self, made: Found, *, to: Found) -> None:
        """Adds the candidates of a new result to the list that another one is in, and shows the first of them."""
        with self._lock:
            self._name = next(name for name, rows in self._rows.items() if any(found is to for found, _ in rows))
            rows = self._rows[self._name]
            rows += [(made, c) for c in made.candidates]
            self._list_candidates()
            self.choose(len(rows) - len(made.candidates))

    def choose(self, k: int) -> None:
        """Shows candidate k of the chosen result."""
        with self._lock:
            self._k = k
            self.play(False)
            for row, button in enumerate(self._buttons):
                button.color = "teal" if row == k else "gray"
            shown, problem = self._read(k)
            count = 1 if shown is None else shown.count
            self._frame.value, self._frame.max = 0, max(1, count - 1)
            self._frame.visible = self._play.visible = count > 1
            self._state.visible = shown is not None and bool(shown.before)
            self._beside.visible = len(self._rows[self._name]) > 1
            found, candidate = self.chosen
            notes = found.notes if shown is None else (*shown.notes, *found.notes)
            self._say(self._about, " ".join(filter(None, (candidate.verdict, candidate.reason, *notes))))
            self._say(self._message, " ".join((*found.problems, *filter(None, (problem,)))))
            if self._panel is not None:
                self._panel.reset()
            self.draw(look=True)

    def draw(self, *, look: bool = False) -> None:
        """Puts the chosen candidate, or all of them side by side, into the scene.

        Args:
          look: the cameras are moved in front of it.
        """
        with self._lock:
            drawn: dict[str, object] = {}
            scenes, bounds = self._scenes(), []
            places = placed_beside([float(np.ptp(np.stack(scene_bounds(s)), axis=0)[0]) for _, s in scenes])
            for (k, scene), x in zip(scenes, places):
                offset = np.array([x, 0.0, 0.0])
                bounds.append(np.stack(scene_bounds(scene)) + offset)
                drawn |= self._add_meshes(k, scene, offset)
            for path, handle in self._meshes.items():
                if path not in drawn:
                    handle.remove()
            self._meshes = drawn
            self._switch_parts([scene for _, scene in scenes])
            painted = self._contact.value and bool(scenes)
            self._legend.visible = self._scale.visible = painted
            if bounds and (look or self._bounds is None):
                corners = np.concatenate(bounds)
                self._bounds = corners.min(axis=0), corners.max(axis=0)
                self._add_floor()
                for client in self._server.get_clients().values():
                    self._look_at_scene(client)

    def arrange(self) -> None:
        """After another state, or another number of candidates in the scene: the object is where the result has it."""
        with self._lock:
            if self._panel is not None:
                self._panel.grab(False)
            self.draw(look=True)

    def show_alone(self) -> None:
        """Shows the chosen candidate alone, after its refinement."""
        with self._lock:
            if self._beside.value or self._state.value != STATES[0]:
                self._beside.value, self._state.value = False, STATES[0]
                self.draw(look=True)

    def play(self, on: bool) -> None:
        """Starts or stops the film of a sequence."""
        with self._lock:
            on = on and self.shown is not None and self.shown.count > 1
            self._play.value = on
            self._started = time.monotonic() - (float(self.shown.times[self._frame.value]) if on else 0.0)
            (self._playing.set if on else self._playing.clear)()

    def move_object(self) -> None:
        """Puts the object of the chosen candidate where its handle is."""
        with self._lock:
            for path, handle in self._meshes.items():
                if path.startswith(f"/scene/{self._k}/") and path.partition("-")[2].startswith("object"):
                    self._panel.place(handle)

    def _read(self, k: int) -> tuple[Shown | None, str]:
        """Candidate k, and why it cannot be shown."""
        key = self._name, k
        if key not in self._loaded:
            found, candidate = self._rows[self._name][k]
            try:
                if candidate.missing:
                    raise InputError(f"candidate {candidate.name} cannot be shown: no {', '.join(candidate.missing)}")
                self._loaded[key] = self._load(found, candidate)
            except InputError as error:
                return None, str(error)
        return self._loaded[key], ""

    def _scenes(self) -> list[tuple[int, list[NamedMesh]]]:
        """Number and meshes of what is to be seen; candidates that cannot be shown are left out."""
        rows = range(len(self._rows[self._name]))
        beside = self._beside.value and len(rows) > 1
        scenes = []
        for k in rows[:_MOST_BESIDE] if beside else [self._k]:
            shown = self._read(k)[0]
            if shown is not None:
                scenes.append((k, shown.scene(self._state.value, min(self._frame.value, shown.count - 1))))
        return scenes

    def _add_meshes(self, k: int, scene: list[NamedMesh], offset: np.ndarray) -> dict[str, object]:
        import trimesh

        colors = self._colors(k, scene) if self._contact.value else vertex_colors(scene, bake=True)
        handles: dict[str, object] = {}
        _, objects = body_and_object(scene)
        for i, (mesh, color) in enumerate(zip(scene, colors, strict=True)):
            # The mesh travels as glTF, whose vertex colours are linear.
            paint = np.concatenate([srgb_to_linear(color), np.ones((len(color), 1))], axis=1)
            paint = np.round(paint * 255).astype(np.uint8)
            shape = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=paint, process=False)
            name = plain_name(mesh.name)
            path = f"/scene/{k}/{i}-{name}"
            handle = self._server.scene.add_mesh_trimesh(path, shape, position=tuple(offset))
            handle.visible = name not in self._switches or self._switches[name].value
            if i in objects and k == self._k and self._panel is not None and not self._beside.value:
                self._panel.place(handle)
            handles[path] = handle
        return handles

    def _colors(self, k: int, scene: list[NamedMesh]) -> list[np.ndarray]:
        """Colours of a scene whose body shows its distance to the object; measured once for each place of both."""
        drag = self._panel.drag if self._panel is not None and k == self._k else None
        moved = drag is not None and drag.moved
        key = self._name, k, self._state.value, self._frame.value
        if moved or key not in self._painted:
            bodies, objects = body_and_object(scene)
            colors = vertex_colors(scene, bake=True)
            for body in bodies if objects else ():
                own = [
                    scene[i].vertices @ drag.rotation.T + drag.shift if moved else scene[i].vertices for i in objects
                ]
                gaps = [distance_to(scene[body].vertices, v, scene[i].faces) for i, v in zip(objects, own)]
                colors[body] = contact_colors(np.min(gaps, axis=0)).astype(np.float32)
            if moved:
                return colors
            self._painted[key] = colors
        return self._painted[key]

    def _switch_parts(self, scenes: list[list[NamedMesh]]) -> None:
        """A switch for each name of a part."""
        names = dict.fromkeys(plain_name(mesh.name) for scene in scenes for mesh in scene)
        for name in [n for n in self._switches if n not in names]:
            self._switches.pop(name).remove()
        for name in names:
            if name in self._switches:
                continue
            with self._parts:
                self._switches[name] = self._server.gui.add_checkbox(name, initial_value=True)
            self._switches[name].on_update(lambda event: event.client and self.draw())
        has = [body_and_object(scene) for scene in scenes]
        self._contact.visible = any(bodies and objects for bodies, objects in has)

    def _list_candidates(self) -> None:
        """A button for each candidate."""
        while self._buttons:
            self._buttons.pop().remove()
        rows = self._rows[self._name]
        for k, (_, candidate) in enumerate(rows):
            with self._list:
                button = self._server.gui.add_button(plain_name(candidate.label, 120), color="gray")
            button.on_click(lambda _, k=k: self.choose(k))
            self._buttons.append(button)
        self._choice.value = self._name

    def _add_floor(self) -> None:
        lower, upper = self._bounds
        center, width = 0.5 * (lower + upper), 3.0 * float(np.max(upper - lower))
        place = (float(center[0]), float(lower[1]), float(center[2]))
        self._server.scene.add_grid("/floor", width, width, plane="xz", position=place)

    def _say(self, field, text: str) -> None:
        """Shows words as the plain text they are; none hides the field."""
        field.value = text[:_LONGEST_MESSAGE]
        field.visible = bool(text)

    def _look_at_scene(self, client) -> None:
        """Puts a browser's camera in front of the scene."""
        if self._bounds is None:
            return
        lower, upper = self._bounds
        center, reach = 0.5 * (lower + upper), float(np.linalg.norm(upper - lower))
        client.camera.up_direction = (0.0, 1.0, 0.0)
        client.camera.position = tuple(center + reach * np.array([0.6, 0.35, 1.2]))
        client.camera.look_at = tuple(center)

    def _run_film(self) -> None:
        """Shows the frame of the moment as long as the film plays."""
        while not self._stopped.is_set():
            if not self._playing.wait(0.2):
                continue
            with self._lock:
                if self._playing.is_set():
                    frame = frame_at(self.shown.times, time.monotonic() - self._started)
                    if frame != self._frame.value:
                        self._frame.value = frame
                        self.draw()
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends the server."""
        self._stopped.set()
        self._playing.clear()
        self._server.stop()
