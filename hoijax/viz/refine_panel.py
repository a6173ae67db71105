"""The part of the page that refines again: a handle on the object, a button, a bar, and a way to keep the result."""

import pathlib
import threading
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.errors import InputError
from hoijax.viz.results import Candidate, Found
from hoijax.viz.scene import scene_bounds
from hoijax.viz.shown import Drag, Shown, body_and_object

STEPS = 40
"""Gradient steps that the page begins with: a look before the whole number."""
MOST_STEPS = 2000


@runtime_checkable
class Refiner(Protocol):
    """What refines for the page."""

    def refuses(self, found: Found, candidate: Candidate) -> str:
        """Why a candidate cannot be refined again; empty if it can."""

    def refine(
        self, found: Found, candidate: Candidate, shown: Shown, drag: Drag, steps: int,
        watch: Callable[[float, str], None],
    ) -> Found:  # fmt: skip
        """The result, in a folder that nobody has asked to keep; an `InputError` says why there is none."""

    def save(self, found: Found) -> pathlib.Path:
        """Writes such a result into a new folder and says which."""


class RefinePanel:
    """The panel of a page.

    Args:
      page: the `hoijax.viz.viewer.Viewer` it is part of.
      refiner: does the work.
    """

    def __init__(self, page: Any, refiner: Refiner):
        self._page, self._refiner = page, refiner
        self._control: Any = None
        self._start: np.ndarray | None = None
        self._fresh: dict[pathlib.Path, str] = {}
        self._work: threading.Thread | None = None
        gui = page.server.gui
        with gui.add_folder("refine again"):
            self._handle = gui.add_checkbox("move the object", False)
            self._steps = gui.add_number("steps", STEPS, min=1, max=MOST_STEPS, step=1)
            self._run = gui.add_button("refine from here")
            self._bar = gui.add_progress_bar(0.0, visible=False)
            self._status = gui.add_text("refiner", "", disabled=True, multiline=True, visible=False)
            self._keep = gui.add_button("save this candidate", visible=False)
        self._handle.on_update(lambda event: event.client and self.grab(self._handle.value))
        self._run.on_click(lambda _: self.refine())
        self._keep.on_click(lambda _: self.save())

    @property
    def status(self) -> str:
        """What the panel says."""
        return self._status.value

    @property
    def drag(self) -> Drag | None:
        """Where the handle is; None without one."""
        if self._control is None:
            return None
        rotation = Rotation.from_quat(np.asarray(self._control.wxyz), scalar_first=True).as_matrix()
        return Drag(self._start, rotation, np.asarray(self._control.position, np.float64))

    def reset(self) -> None:
        """For another candidate: no handle, and what can be done with it."""
        self.grab(False)
        found, candidate = self._page.chosen
        refusal = (
            "this candidate cannot be shown" if self._page.shown is None else self._refiner.refuses(found, candidate)
        )
        self._say(refusal)
        self._run.disabled = self._handle.disabled = bool(refusal)
        self._keep.visible = found.folder in self._fresh
        if self._fresh.get(found.folder):
            self._say(self._fresh[found.folder])

    def grab(self, on: bool) -> None:
        """Puts a handle on the object, or takes it away and the object back."""
        with self._page.lock:
            if self._control is not None:
                self._control.remove()
                self._control = self._start = None
                self._page.move_object()
            self._handle.value = on
            shown = self._page.shown
            if not on or shown is None:
                return
            self._page.show_alone()
            scene = shown.scene("after", 0)
            objects = [scene[k] for k in body_and_object(scene)[1]]
            if not objects:
                self._handle.value = False
                self._say("the scene has no part named object")
                return
            lower, upper = scene_bounds(objects)
            self._start = 0.5 * (lower + upper).astype(np.float64)
            size = float(np.max(upper - lower))
            self._control = self._page.server.scene.add_transform_controls(
                "/handle", scale=max(0.2, 0.75 * size), position=tuple(self._start)
            )
            self._control.on_update(self._moved)

    def place(self, handle: Any) -> None:
        """Puts a mesh of the object where the handle has been dragged."""
        drag = self.drag
        rotation, shift = (np.eye(3), np.zeros(3)) if drag is None else (drag.rotation, drag.shift)
        handle.wxyz = Rotation.from_matrix(rotation).as_quat(scalar_first=True)
        handle.position = shift

    def _moved(self, event: Any) -> None:
        self._page.move_object()
        if event.phase == "end":
            self._page.draw()

    def refine(self) -> None:
        """Starts the refiner from what is shown; one at a time."""
        with self._page.lock:
            found, candidate = self._page.chosen
            shown = self._page.shown
            if self._work is not None or shown is None or self._refiner.refuses(found, candidate):
                return
            drag = self.drag or Drag(np.zeros(3), np.eye(3), np.zeros(3))
            steps = int(np.clip(self._steps.value, 1, MOST_STEPS))
            self._run.disabled, self._bar.visible, self._bar.value = True, True, 0.0
            self._say("reading, distance grid")
            self._work = threading.Thread(
                target=self._compute, args=(found, candidate, shown, drag, steps), daemon=True
            )
        self._work.start()

    def wait(self) -> None:
        """Until the refiner has ended."""
        work = self._work
        if work is not None:
            work.join()

    def _compute(self, found: Found, candidate: Candidate, shown: Shown, drag: Drag, steps: int) -> None:
        def watch(share: float, stage: str) -> None:
            self._bar.value = 100.0 * float(np.clip(share, 0.0, 1.0))
            self._say(stage)

        said = ""
        try:
            made = self._refiner.refine(found, candidate, shown, drag, steps, watch)
        except InputError as error:
            said = str(error)
        except Exception as error:  # in a thread of its own: the page is where it is told
            said = f"the refiner failed: {type(error).__name__}: {error}"
        with self._page.lock:
            self._work = None
            self._bar.visible = False
            self._run.disabled = False
            if said:
                self._say(said)
                return
            self._fresh[made.folder] = "not saved yet"
            self._page.add(made, to=found)

    def save(self) -> None:
        """Keeps the chosen candidate in a new folder, once."""
        with self._page.lock:
            found, _ = self._page.chosen
            if self._fresh.get(found.folder) != "not saved yet":
                return
            try:
                said = f"saved in {self._refiner.save(found)}"
            except (InputError, OSError) as error:
                self._say(f"not saved: {error}")
                return
            self._fresh[found.folder] = said
            self._say(said)

    def _say(self, text: str) -> None:
        self._status.value = text[:600]
        self._status.visible = bool(text)
