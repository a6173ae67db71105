"""Directions as a command line names them, and the turn from one to another."""

import numpy as np

from hoijax.errors import InputError

AXES: dict[str, tuple[float, float, float]] = {
    "+x": (1.0, 0.0, 0.0),
    "-x": (-1.0, 0.0, 0.0),
    "+y": (0.0, 1.0, 0.0),
    "-y": (0.0, -1.0, 0.0),
    "+z": (0.0, 0.0, 1.0),
    "-z": (0.0, 0.0, -1.0),
}
"""Directions by their names."""

Direction = tuple[float, float, float]
"""A unit vector."""


def parse_direction(text: str, option: str) -> Direction:
    """The direction that an option names: an axis with or without its sign, or three numbers of any length but zero.

    Args:
      text: such as "+y", "z" or "0,0.1,-1".
      option: what messages call it, such as "--up".

    Raises:
      InputError: neither.
    """
    name = text.strip().lower()
    name = f"+{name}" if name in ("x", "y", "z") else name
    if name in AXES:
        return AXES[name]
    try:
        vector = np.array([float(number) for number in text.replace(",", " ").split()])
    except ValueError:
        vector = np.zeros(0)
    size = np.linalg.norm(vector) if vector.shape == (3,) else 0.0
    if not (np.isfinite(size) and size > 1e-9):
        raise InputError(f"{option} {text}: wanted an axis ({', '.join(AXES)}) or a direction as x,y,z")
    return tuple(float(x) for x in vector / size)


def direction_name(direction: Direction) -> str:
    """How a direction is called: its axis, or its numbers."""
    names = {value: name for name, value in AXES.items()}
    return names.get(tuple(direction)) or ",".join(f"{x:.4g}" for x in direction)


def turn_between(a: Direction, b: Direction) -> np.ndarray:
    """The rotation `(3, 3)` by the least angle that takes one unit vector to another, float64; half a turn is about x,
    or about y if they lie along x."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a @ b < -1 + 1e-9:
        axis = np.array([1.0, 0, 0]) if abs(a[0]) < 0.9 else np.array([0, 1.0, 0])
        axis -= (axis @ a) * a
        axis /= np.linalg.norm(axis)
        return 2 * np.outer(axis, axis) - np.eye(3)
    v = np.cross(a, b)
    k = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + k + k @ k / (1 + a @ b)
