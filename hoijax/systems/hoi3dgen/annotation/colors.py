"""Colours by name, and those of a person's clothes and an object in a picture."""

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

COLORS: dict[str, tuple[int, int, int]] = {
    "black": (25, 25, 28), "dark grey": (75, 75, 78), "grey": (135, 135, 135), "light grey": (190, 190, 190),
    "white": (240, 240, 238), "red": (185, 35, 40), "orange": (225, 125, 35), "yellow": (225, 205, 60),
    "green": (60, 140, 60), "dark green": (35, 75, 45), "teal": (40, 135, 135), "light blue": (130, 180, 220),
    "blue": (50, 90, 190), "dark blue": (30, 40, 90), "purple": (115, 60, 150), "pink": (225, 140, 175),
    "brown": (110, 70, 40), "beige": (205, 180, 145),
}  # fmt: skip
"""Names and sRGB of 0 to 255."""
LEAST = 6
"""Pixels from which a region has a colour."""


def color_name(color: Float[np.ndarray, "3"]) -> str:
    """The nearest of `COLORS` in CIELAB to an sRGB colour in [0, 1]."""
    table = _lab(np.array(list(COLORS.values()), float) / 255)
    return list(COLORS)[int(np.argmin(np.sum((table - _lab(np.asarray(color, float))) ** 2, axis=1)))]


def masked_color(image: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"]) -> Float[np.ndarray, "3"] | None:
    """Median colour of the pixels of a mask, sRGB in [0, 1]; None: fewer than `LEAST`."""
    if mask.sum() < LEAST:
        return None
    return np.median(image[mask], axis=0) / 255.0


def region_colors(
    image: UInt8[np.ndarray, "H W 3"],
    pixels: Float[np.ndarray, "V 2"],
    seen: Bool[np.ndarray, "V"],
    regions: Int[np.ndarray, "V"],
    names: tuple[str, ...],
) -> dict[str, np.ndarray]:
    """Median colour of the pixels at which the vertices of each region are seen.

    Args:
      image: the picture.
      pixels: where vertices are in it, x and y.
      seen: which vertices are seen.
      regions: of every vertex, an index into `names`, or -1.
      names: of the regions.

    Returns:
      sRGB in [0, 1] by name, of regions with at least `LEAST` vertices in sight.
    """
    height, width = image.shape[:2]
    column, row = np.floor(np.where(np.isfinite(pixels), pixels, -1)).astype(int).T
    inside = seen & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    found = {}
    for index, name in enumerate(names):
        chosen = inside & (regions == index)
        if chosen.sum() >= LEAST:
            found[name] = np.median(image[row[chosen], column[chosen]], axis=0) / 255.0
    return found


def _lab(color: np.ndarray) -> np.ndarray:
    """CIELAB (D65) of sRGB in [0, 1]."""
    linear = np.where(color <= 0.04045, color / 12.92, ((color + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = linear @ matrix.T / np.array([0.9505, 1.0, 1.089])
    f = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)
