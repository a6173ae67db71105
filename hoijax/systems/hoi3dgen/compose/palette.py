"""Colours and materials by the words for them."""

import dataclasses

Color = tuple[float, float, float]
"""sRGB in [0, 1]."""

COLORS: dict[str, Color] = {
    "red": (0.78, 0.11, 0.12), "crimson": (0.65, 0.07, 0.17), "maroon": (0.42, 0.08, 0.12),
    "burgundy": (0.40, 0.07, 0.14), "pink": (0.93, 0.55, 0.66), "magenta": (0.80, 0.14, 0.52),
    "orange": (0.93, 0.48, 0.10), "peach": (0.96, 0.72, 0.58), "yellow": (0.95, 0.80, 0.16),
    "mustard": (0.78, 0.60, 0.13), "beige": (0.84, 0.77, 0.64), "cream": (0.95, 0.91, 0.80),
    "ivory": (0.94, 0.92, 0.84), "khaki": (0.62, 0.57, 0.40), "tan": (0.75, 0.59, 0.42),
    "brown": (0.42, 0.27, 0.16), "green": (0.16, 0.52, 0.22), "olive": (0.40, 0.42, 0.17),
    "lime": (0.60, 0.82, 0.18), "mint": (0.62, 0.87, 0.74), "teal": (0.05, 0.48, 0.48),
    "turquoise": (0.18, 0.70, 0.70), "cyan": (0.20, 0.76, 0.86), "blue": (0.13, 0.30, 0.72),
    "navy": (0.09, 0.12, 0.30), "indigo": (0.25, 0.17, 0.52), "violet": (0.50, 0.28, 0.70),
    "purple": (0.44, 0.18, 0.55), "lavender": (0.72, 0.65, 0.86), "black": (0.07, 0.07, 0.08),
    "white": (0.94, 0.94, 0.93), "grey": (0.50, 0.51, 0.52), "gray": (0.50, 0.51, 0.52),
    "charcoal": (0.22, 0.23, 0.25), "gold": (0.80, 0.62, 0.22), "golden": (0.80, 0.62, 0.22),
    "silver": (0.76, 0.77, 0.79), "bronze": (0.55, 0.38, 0.20), "copper": (0.72, 0.42, 0.26),
}  # fmt: skip
SHADES: dict[str, float] = {"dark": -0.45, "deep": -0.3, "light": 0.45, "pale": 0.55, "pastel": 0.5, "bright": 0.08}
"""What a word before a colour does: below 0 towards black, above towards white."""
PATTERNS = {"striped": "stripes", "checked": "checks", "checkered": "checks", "plaid": "checks", "dotted": "dots",
            "spotted": "dots"}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Material:
    """How a surface reflects (glTF's metallic-roughness model), and what it looks like close up."""

    name: str
    color: Color
    """Where the sentence names none."""
    metallic: float
    roughness: float
    grain: str = "plain"
    """"plain", "wood", "weave", "stone", "brushed"."""


MATERIALS: dict[str, Material] = {
    m.name: m
    for m in (
        Material("plastic", (0.62, 0.64, 0.66), 0.0, 0.45),
        Material("wood", (0.55, 0.37, 0.21), 0.0, 0.60, "wood"),
        Material("metal", (0.66, 0.67, 0.69), 1.0, 0.32, "brushed"),
        Material("chrome", (0.80, 0.81, 0.82), 1.0, 0.12, "brushed"),
        Material("leather", (0.36, 0.22, 0.14), 0.0, 0.50, "stone"),
        Material("fabric", (0.55, 0.56, 0.60), 0.0, 0.92, "weave"),
        Material("rubber", (0.10, 0.10, 0.11), 0.0, 0.85),
        Material("cardboard", (0.68, 0.52, 0.35), 0.0, 0.90, "weave"),
        Material("glass", (0.72, 0.83, 0.82), 0.0, 0.08),
        Material("ceramic", (0.90, 0.89, 0.86), 0.0, 0.25),
        Material("stone", (0.52, 0.51, 0.49), 0.0, 0.90, "stone"),
        Material("wicker", (0.70, 0.55, 0.34), 0.0, 0.85, "weave"),
        Material("foliage", (0.20, 0.42, 0.16), 0.0, 0.80, "stone"),
    )
}
MATERIAL_WORDS: dict[str, str] = {
    "wooden": "wood", "wood": "wood", "oak": "wood", "pine": "wood", "bamboo": "wood", "metal": "metal",
    "metallic": "metal", "steel": "metal", "iron": "metal", "aluminium": "metal", "aluminum": "metal", "tin": "metal",
    "brass": "metal", "chrome": "chrome", "plastic": "plastic", "leather": "leather", "fabric": "fabric",
    "cloth": "fabric", "cotton": "fabric", "denim": "fabric", "woollen": "fabric", "woolen": "fabric", "wool": "fabric",
    "velvet": "fabric", "canvas": "fabric", "plush": "fabric", "rubber": "rubber", "cardboard": "cardboard",
    "paper": "cardboard", "glass": "glass", "ceramic": "ceramic", "porcelain": "ceramic", "stone": "stone",
    "marble": "stone", "concrete": "stone", "wicker": "wicker", "rattan": "wicker",
}  # fmt: skip
MATERIAL_COLORS: dict[str, Color] = {
    "brass": (0.72, 0.56, 0.25), "iron": (0.35, 0.35, 0.36), "denim": (0.20, 0.29, 0.45), "marble": (0.86, 0.85, 0.83),
    "oak": (0.62, 0.45, 0.27), "pine": (0.76, 0.60, 0.38), "bamboo": (0.80, 0.68, 0.42),
}  # fmt: skip
"""Of words that say more than their material."""


def color_of(word: str, shade: str | None = None) -> Color | None:
    """The colour of a word, "dark-blue" and "navy" included; None: it is no colour.

    Args:
      word: in small letters.
      shade: of `SHADES`, a word before it.
    """
    first, _, rest = word.partition("-")
    if rest and first in SHADES and rest in COLORS:
        shade, word = first, rest
    if word not in COLORS:
        return None
    amount = SHADES[shade] if shade else 0.0
    goal = 0.02 if amount < 0 else 0.98
    return tuple(float(c + abs(amount) * (goal - c)) for c in COLORS[word])
