"""What the small SANA of hoijax knows: its views' cameras, its colours."""

import math

import numpy as np

from hoijax.camera import Camera
from hoijax.nets.sana import VIEWS

COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.78, 0.10, 0.10), "orange": (0.93, 0.48, 0.08), "yellow": (0.93, 0.82, 0.16), "green": (0.13, 0.55, 0.20),
    "blue": (0.13, 0.28, 0.78), "purple": (0.48, 0.18, 0.62), "pink": (0.93, 0.52, 0.72), "brown": (0.42, 0.25, 0.12),
    "black": (0.09, 0.09, 0.10), "grey": (0.52, 0.52, 0.53),
}  # fmt: skip
"""Colours of garments by name, sRGB in [0, 1]."""
THING_COLORS = ("red", "orange", "yellow", "green", "blue", "purple")
"""Names of colours of objects: no person's skin, hair or shoes look like them."""
PERSON_TONES = ((0.93, 0.76, 0.64), (0.82, 0.64, 0.54), (0.62, 0.43, 0.32), (0.40, 0.27, 0.20), (0.12, 0.09, 0.07))
"""Skin, hair and shoes of the pictures' people."""
LENGTH = 32
"""Places of a text."""
DISTANCE, FIELD = 2.0, 40.0
"""Of the cameras from the origin; their angle of view, degrees."""


def view_cameras(size: int) -> Camera:
    """The cameras of the views, in the order of `VIEWS`: level, around the origin, azimuth 0 on +z, 90 on +x.

    Args:
      size: of a picture's side, pixels.
    """
    focal = size / 2 / math.tan(math.radians(FIELD) / 2)
    intrinsics = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]], np.float32)
    transforms = []
    for azimuth in VIEWS.values():
        a = math.radians(azimuth)
        rotation = [[math.cos(a), 0, -math.sin(a)], [0, -1, 0], [-math.sin(a), 0, -math.cos(a)]]
        transforms.append(np.block([[np.array(rotation), np.array([[0], [0], [DISTANCE]])], [np.eye(4)[3:]]]))
    count = len(VIEWS)
    return Camera(np.broadcast_to(intrinsics, (count, 3, 3)), np.float32(transforms), (size, size))
