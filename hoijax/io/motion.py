"""A skeleton that moves, as files of animation keep it: angles and quaternions that run on from frame to frame."""

import dataclasses
import warnings

import numpy as np
from scipy.spatial.transform import Rotation


@dataclasses.dataclass(frozen=True)
class Motion:
    """T frames of J joints; metres."""

    names: tuple[str, ...]
    """Of the joints."""
    parents: tuple[int, ...]
    """Index of each joint's parent, -1 for the first; parents come first."""
    rest: np.ndarray
    """`(J, 3)` joints of the rest pose, whose bones point as the rotations say from the identity."""
    rotations: np.ndarray
    """`(T, J, 3, 3)` relative to the parent; of the first joint to the world."""
    places: np.ndarray
    """`(T, 3)` of the first joint in the world."""

    @property
    def count(self) -> int:
        """Frames, T."""
        return len(self.places)

    def offsets(self) -> np.ndarray:
        """`(J, 3)` from each joint's parent at rest; of the first joint its place at rest."""
        parents = np.asarray(self.parents)
        return self.rest - np.where(parents[:, None] < 0, 0.0, self.rest[parents])

    def rotate(self, turn: np.ndarray) -> "Motion":
        """The motion in a world that is turned.

        Args:
          turn: `(3, 3)`, from the old world's coordinates to the new one's.
        """
        rotations = self.rotations.copy()
        rotations[:, 0] = turn @ rotations[:, 0]
        return dataclasses.replace(self, rotations=rotations, places=self.places @ turn.T)

    def joints(self) -> tuple[np.ndarray, np.ndarray]:
        """Rotations `(T, J, 3, 3)` to the world and places `(T, J, 3)` of all joints."""
        world, place, offsets = np.empty_like(self.rotations), np.empty((self.count, len(self.rest), 3)), self.offsets()
        for i, parent in enumerate(self.parents):
            if parent < 0:
                world[:, i], place[:, i] = self.rotations[:, i], self.places
            else:
                world[:, i] = world[:, parent] @ self.rotations[:, i]
                place[:, i] = place[:, parent] + world[:, parent] @ offsets[i]
        return world, place


def running_quaternions(rotations: np.ndarray) -> np.ndarray:
    """Unit quaternions xyzw `(T, ..., 4)`, each of the sign that is nearer to the frame before.

    Args:
      rotations: `(T, ..., 3, 3)`.
    """
    quaternions = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_quat().reshape(*rotations.shape[:-2], 4)
    flips = np.where((quaternions[1:] * quaternions[:-1]).sum(axis=-1) < 0, -1.0, 1.0)
    quaternions[1:] *= np.cumprod(flips, axis=0)[..., None]
    return quaternions


def running_angles(rotations: np.ndarray) -> np.ndarray:
    """Angles z, x, y in degrees `(T, N, 3)` with R = Rz Rx Ry, each set the one nearest to the frame before.

    Args:
      rotations: `(T, N, 3, 3)`.
    """
    with warnings.catch_warnings():  # where z and y turn about one axis any split of them serves
        warnings.simplefilter("ignore")
        first = Rotation.from_matrix(rotations.reshape(-1, 3, 3)).as_euler("ZXY", degrees=True)
    first = first.reshape(*rotations.shape[:2], 3)
    second = first * [1, -1, 1] + 180.0
    angles = np.empty_like(first)
    near = np.zeros(first.shape[1:])
    for t in range(len(first)):
        one, two = (a + 360.0 * np.round((near - a) / 360.0) for a in (first[t], second[t]))
        farther = np.abs(two - near).sum(axis=-1) < np.abs(one - near).sum(axis=-1) - 1e-9
        near = angles[t] = np.where(farther[:, None], two, one)
    return angles
