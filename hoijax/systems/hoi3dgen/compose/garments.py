"""Clothes by name: which slot of the body they take, and how far they reach on it.

All is said on the free body in its rest pose, whose vertices are the same places on every person: a garment is a region
of the skin that is painted, so nothing hangs or folds, and a skirt clings to the legs.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Cut:
    """How far a garment reaches."""

    slot: str
    """"top", "bottom", "dress", "outer", "feet", "head", "hands", "neck", "waist", "front"."""
    sleeve: float = 0.0
    """To which distance from the middle arms are covered, metres in the rest pose; 0: no sleeves."""
    hem: float | None = None
    """Height down to which legs are covered, metres above the pelvis in the rest pose; None: none of them, or all."""
    open: bool = False
    """It is closed by a line down the front."""
    grain: str = "weave"
    color: tuple[float, float, float] = (0.40, 0.44, 0.52)
    """Where the sentence names none."""
    roughness: float = 0.92


LONG, SHORT = 0.645, 0.32
_KNEE, _THIGH, _SHIN, _ANKLE = -0.40, -0.24, -0.62, -0.80
GARMENTS: dict[str, Cut] = {}


def _add(names: str, cut: Cut) -> None:
    for name in names.split(","):
        GARMENTS[name.strip()] = cut


_add("shirt, blouse, sweater, jumper, pullover, cardigan, sweatshirt, turtleneck, top, long-sleeved shirt",
     Cut("top", LONG, color=(0.62, 0.66, 0.72)))  # fmt: skip
_add("t-shirt, tshirt, tee, polo, polo shirt, jersey, uniform shirt", Cut("top", SHORT, color=(0.75, 0.76, 0.78)))
_add("tank top, singlet, vest, waistcoat, crop top", Cut("top", 0.19, color=(0.55, 0.57, 0.60)))
_add("jacket, blazer, hoodie, windbreaker, anorak, bomber jacket, suit jacket, tracksuit top, fleece",
     Cut("outer", LONG, open=True, color=(0.26, 0.29, 0.34), roughness=0.8))  # fmt: skip
_add("coat, raincoat, trench coat, overcoat, parka, lab coat, bathrobe, robe, cloak",
     Cut("outer", LONG, _KNEE, open=True, color=(0.35, 0.31, 0.27), roughness=0.85))  # fmt: skip
_add("dress, gown, sundress, tunic", Cut("dress", 0.19, _KNEE, color=(0.55, 0.24, 0.34)))
_add(
    "jumpsuit, overalls, boiler suit, coveralls, dungarees, wetsuit",
    Cut("dress", LONG, _ANKLE, color=(0.28, 0.36, 0.50)),
)
_add("trousers, pants, slacks, chinos, leggings, sweatpants, joggers, tights",
     Cut("bottom", hem=_ANKLE, color=(0.24, 0.26, 0.31)))  # fmt: skip
_add("jeans, denims", Cut("bottom", hem=_ANKLE, color=(0.20, 0.29, 0.45)))
_add("shorts, swimming trunks, trunks, bermudas", Cut("bottom", hem=_THIGH, color=(0.36, 0.36, 0.34)))
_add("skirt, miniskirt, kilt", Cut("bottom", hem=_KNEE, color=(0.32, 0.28, 0.40)))
_add(
    "shoes, sneakers, trainers, loafers, heels, slippers, sandals, shoe",
    Cut("feet", grain="plain", color=(0.85, 0.84, 0.82), roughness=0.6),
)
_add(
    "boots, wellingtons, rubber boots, boot",
    Cut("feet", hem=_SHIN, grain="plain", color=(0.24, 0.16, 0.11), roughness=0.6),
)
_add("socks", Cut("feet", hem=-0.72, color=(0.85, 0.85, 0.84)))
_add(
    "hat, cap, beanie, baseball cap, helmet, hard hat, bonnet, headscarf, hood",
    Cut("head", color=(0.30, 0.30, 0.34), roughness=0.8),
)
_add("gloves, mittens, glove", Cut("hands", LONG, color=(0.30, 0.24, 0.18), roughness=0.8))
_add("scarf, bandana", Cut("neck", color=(0.60, 0.30, 0.26)))
_add("belt", Cut("waist", grain="plain", color=(0.22, 0.14, 0.09), roughness=0.5))
_add("apron", Cut("front", hem=_KNEE, color=(0.80, 0.78, 0.72)))
_add("tie, necktie", Cut("tie", color=(0.45, 0.10, 0.14), roughness=0.6))
_add(
    "suit, tuxedo, tracksuit, uniform, business suit",
    Cut("suit", LONG, _ANKLE, open=True, color=(0.17, 0.19, 0.24), roughness=0.85),
)
ORDER = ("bottom", "top", "dress", "suit", "waist", "tie", "outer", "neck", "front", "feet", "hands", "head")
"""Slots from the skin outward."""
