"""Where the mannequin's clothes, hair and features are, as scalar fields on the mean T-posed surface.

Each field is positive inside its region and measured in metres, so that the surface can be cut along its zero line.
"""

import dataclasses

import numpy as np

from .skeleton import INDEX

REGIONS = ("skin", "hair", "brows", "eyes", "irises", "lips", "shirt", "trousers", "shoes")
REGION = {name: i for i, name in enumerate(REGIONS)}

# Hairline in the side view: (forward, up) from the eyeballs' front, metres on the mean head, from the nape over the
# sideburn and the temple to the forehead. The ear is taken out of it as an ellipse.
_HAIRLINE = np.array([
    (-0.30, -0.078), (-0.150, -0.078), (-0.130, -0.064), (-0.111, -0.034), (-0.090, -0.016), (-0.068, -0.012),
    (-0.056, -0.012), (-0.050, 0.022), (-0.032, 0.056), (-0.010, 0.069), (0.10, 0.070),
])  # fmt: skip
IRIS_RADIUS = 0.0046
_EAR_CENTRE, _EAR_RADII = (-0.0885, -0.018), (0.0245, 0.0345)


@dataclasses.dataclass(frozen=True)
class Border:
    """The border of one region: inside is `field` > 0 within `mask`."""

    region: str
    field: np.ndarray
    """(V,)."""
    mask: np.ndarray
    """(V,), bool."""
    gap: float
    """Metres between the two rows of vertices of the border."""


def _spline(x, points):
    return np.interp(x, *np.array(points).T)


def borders(body, joints, weights, eye_centre, eye):
    """Region borders of the mean body, in order of assignment (later ones win); hands and head start
    as skin, the rest as shirt.

    Args:
      body: (V, 3) mean T-posed surface, cavities closed.
      joints: (52, 3).
      weights: (V, 52) skinning weights.
      eye_centre: (3,) centre of the left eyeball.
      eye: (V,) mask of the eye patches.
    """
    x, y, z = np.abs(body[:, 0]), body[:, 1], body[:, 2]
    at = {name: joints[i] for name, i in INDEX.items()}
    arm = weights[:, [INDEX[f"{s}_{j}"] for s in ("left", "right") for j in ("shoulder", "elbow")]].sum(1) > 0.4
    head = weights[:, [INDEX["head"], INDEX["neck"]]].sum(1) > 0.3
    trunk = x < 0.3
    eyeball = eye_centre + np.array([0.0, 0.0, 0.012])  # front of the ball
    forward, up = z - eyeball[2], y - eyeball[1]
    face = head & (forward > -0.05)

    shoulder, elbow = at["left_shoulder"][0], at["left_elbow"][0]
    sleeve = shoulder + 0.62 * (elbow - shoulder) - x
    collar = np.linalg.norm(body - (at["neck"] + np.array([0.0, 0.020, 0.014])), axis=1) - 0.096
    hem = y - 0.035
    cuff = y - (body[:, 1].min() + 0.088)
    hair = up - _spline(forward, _HAIRLINE)
    ear = (np.hypot((forward - _EAR_CENTRE[0]) / _EAR_RADII[0], (up - _EAR_CENTRE[1]) / _EAR_RADII[1]) - 1) * 0.025
    hair = np.minimum(hair, ear)
    mouth = up + 0.0688
    half = np.where(mouth > 0, 0.0072, 0.0098) * np.sqrt(np.clip(1 - (x / 0.0238) ** 2, 0, 1))
    half -= np.where(mouth > 0, 0.0018 * np.exp(-((x / 0.004) ** 2)), 0.0)  # Cupid's bow
    lips = np.where(x < 0.0238, half - np.abs(mouth), 0.0238 - x)
    arch = _spline(x, [(0.010, 0.0150), (0.020, 0.0178), (0.036, 0.0208), (0.050, 0.0188), (0.060, 0.0120)])
    thick = _spline(
        x, [(0.009, 0.0), (0.012, 0.0030), (0.018, 0.0036), (0.036, 0.0032), (0.058, 0.0004), (0.06, -0.001)]
    )
    brows = thick - np.abs(up - arch)
    return [
        Border("skin", -sleeve, arm, 0.0025),
        Border("trousers", -hem, trunk, 0.0025),
        Border("shoes", -cuff, trunk, 0.0025),
        Border("skin", -collar, trunk & (y > at["spine3"][1]), 0.0025),
        Border("hair", hair, head, 0.0025),
        Border("lips", lips, face & (x < 0.045) & (np.abs(mouth) < 0.025), 0.0012),
        Border("brows", brows, face & (x > 0.004) & (np.abs(up - arch) < 0.02) & ~eye, 0.0012),
    ]


def draw_regions(surface, joints, eye_centre):
    """Cuts the surface along all borders and labels it.

    Returns:
      The cut `BodySurface`, labels (V,) into `REGIONS`, and the mask of vertices beside a garment border.
    """
    x, y = np.abs(surface.mean[:, 0]), surface.mean[:, 1]
    bare = (x > joints[INDEX["left_elbow"], 0]) | ((y > joints[INDEX["neck"], 1]) & (x < 0.1))
    labels = np.where(bare, REGION["skin"], REGION["shirt"]).astype(np.uint8)
    garment_border = np.zeros(len(labels), bool)
    for index in range(len(borders(surface.mean, joints, surface.weights, eye_centre, surface.eye))):
        border = borders(surface.mean, joints, surface.weights, eye_centre, surface.eye)[index]
        inside = (border.field > 0) & border.mask
        surface, side, parent = surface.cut(border.field, border.mask, border.gap)
        labels = np.concatenate([np.where(inside, REGION[border.region], labels), labels[parent]]).astype(np.uint8)
        labels[side > 0] = REGION[border.region]
        garment_border = np.concatenate([garment_border, np.zeros(len(parent), bool)])
        if border.gap > 0.002:
            garment_border |= side != 0
    labels[surface.eye] = REGION["eyes"]
    patch = surface.mean[surface.eye & (surface.mean[:, 0] > 0)]
    iris = 0.5 * (0.5 * (patch.min(0) + patch.max(0)) + eye_centre)  # between the opening's middle and the ball's
    away = np.hypot(np.abs(surface.mean[:, 0]) - iris[0], surface.mean[:, 1] - iris[1])
    labels[surface.eye & (away < IRIS_RADIUS)] = REGION["irises"]
    return surface, labels, garment_border
