"""A candidate as the page shows it: before and after, frame by frame, and where a person drags its object."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from hoijax.errors import InputError
from hoijax.viz.moments import MovingMesh
from hoijax.viz.read import read_scene
from hoijax.viz.results import Candidate, Found
from hoijax.viz.scene import NamedMesh, SceneMeshes

STATES = ("after", "before")
BODY_NAMES, OBJECT_NAMES = ("body", "human"), ("object",)


@dataclasses.dataclass(frozen=True)
class Shown:
    """What is seen of a candidate; y up.

    Raises:
      InputError: there is nothing, or the meshes and the times have unequal numbers of frames.
    """

    after: Sequence[MovingMesh]
    """The answer, T frames."""
    before: Sequence[MovingMesh] = ()
    """The estimate it came from, T frames; empty where it is not known."""
    times: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(1))
    """`(T,)` seconds, rising."""
    turn: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(3))
    """`(3, 3)` from the result's own coordinates to the page's, whose y is up."""
    notes: tuple[str, ...] = ()
    """What its reader should know: why there is no state before, which frames are shown."""

    def __post_init__(self):
        if not self.after:
            raise InputError("a candidate without a mesh cannot be shown")
        for mesh in (*self.after, *self.before):
            if mesh.count != len(self.times):
                raise InputError(f"{mesh.mesh.name} has {mesh.count} frames, and there are {len(self.times)} times")

    @property
    def count(self) -> int:
        """Frames, T."""
        return len(self.times)

    def scene(self, state: str, frame: int) -> list[NamedMesh]:
        """The meshes of one frame; of "after" where there is no state before."""
        return [mesh.at(frame) for mesh in (self.before if state == "before" and self.before else self.after)]


Load = Callable[[Found, Candidate], Shown]
"""Reads what a candidate looks like; an `InputError` says why it cannot be shown."""


def still(scene: SceneMeshes, turn: np.ndarray | None = None) -> list[MovingMesh]:
    """Meshes that do not move, as moving ones of one frame.

    Args:
      scene: the meshes.
      turn: `(3, 3)` applied to them; None: as they are.
    """
    moved = [mesh.vertices if turn is None else (mesh.vertices @ turn.T).astype(np.float32) for mesh in scene]
    return [MovingMesh(mesh, points=points[None]) for mesh, points in zip(scene, moved)]


def load_scene(found: Found, candidate: Candidate) -> Shown:
    """A candidate by its scene's file alone.

    Raises:
      InputError: there is no such file, or it cannot be read.
    """
    if candidate.scene is None:
        raise InputError(f"{found.name} has no {', '.join(candidate.missing) or 'scene'}")
    return Shown(still(read_scene(candidate.scene)))


def frame_at(times: np.ndarray, elapsed: float) -> int:
    """Which frame a film shows that began `elapsed` seconds ago and starts anew at its end.

    Args:
      times: `(T,)` seconds, rising; the last frame stays as long as the frames do on average.
      elapsed: seconds.
    """
    since = np.asarray(times, np.float64) - times[0]
    if len(since) < 2 or since[-1] <= 0:
        return 0
    length = since[-1] * len(since) / (len(since) - 1)
    return int(np.searchsorted(since, np.mod(elapsed, length), side="right")) - 1


def body_and_object(scene: SceneMeshes) -> tuple[list[int], list[int]]:
    """Numbers of the meshes that are the body's and the object's, by their names."""
    body = [k for k, mesh in enumerate(scene) if mesh.name.startswith(BODY_NAMES)]
    return body, [k for k, mesh in enumerate(scene) if mesh.name.startswith(OBJECT_NAMES)]


@dataclasses.dataclass(frozen=True)
class Drag:
    """Where a handle has been dragged that began, unturned, at a place on the object; the page's coordinates."""

    start: np.ndarray
    """`(3,)` metres."""
    rotation: np.ndarray
    """`(3, 3)`."""
    position: np.ndarray
    """`(3,)` metres."""

    @property
    def shift(self) -> np.ndarray:
        """`(3,)`: points x of the object go to `rotation x + shift`."""
        return self.position - self.rotation @ self.start

    @property
    def moved(self) -> bool:
        """Whether it is anywhere else."""
        return not (np.allclose(self.rotation, np.eye(3), atol=1e-6) and np.allclose(self.start, self.position))

    def pose(self, rotation: np.ndarray, translation: np.ndarray, turn: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The object's pose after the drag, in the coordinates of its result.

        Args:
          rotation: `(3, 3)` before.
          translation: `(3,)` before, metres.
          turn: `Shown.turn`.
        """
        own = turn.T @ self.rotation @ turn
        return own @ rotation, own @ translation + turn.T @ self.shift


def placed_beside(widths: Sequence[float], gap: float = 0.5) -> list[float]:
    """Where candidates stand side by side along x: the first at 0, then one after the other to the right.

    Args:
      widths: of each, metres.
      gap: between two, metres.
    """
    places, at = [], 0.0
    for k, width in enumerate(widths):
        at += 0.0 if k == 0 else 0.5 * (widths[k - 1] + width) + gap
        places.append(at)
    return places
