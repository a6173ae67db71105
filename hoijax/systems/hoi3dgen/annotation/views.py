"""Pictures of a sample: a ring of views around it, and the views that HOI3DGen trains on, relative to the person."""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

from hoijax.nets.sana import VIEWS
from hoijax.render import CameraRig, Studio
from hoijax.render.framing import frame_points
from hoijax.systems.hoi3dgen.annotation.sources import PosedSample
from hoijax.viz import NamedMesh, render_views

ELEVATION = math.radians(8.0)
"""Of the cameras."""
WHITE = Studio(
    background=((1.0, 1.0, 1.0), (1.0, 1.0, 1.0)), floor_shadow=0.0, samples=4, key_lights=1, sky_lights=4,
    shadow_size=256,
)  # fmt: skip
"""White behind and below, as the training pictures of HOI3DGen have it."""


def person_rig(sample: PosedSample, *, size: int = 512) -> CameraRig:
    """The cameras of `hoijax.nets.sana.VIEWS`, all of the sample in view."""
    return _rig(sample, list(VIEWS.values()), size)


def ring_rig(sample: PosedSample, *, count: int = 8, size: int = 512) -> CameraRig:
    """Views in equal steps around the sample, the first before the person; with four: front, left, back, right.

    Args:
      sample: what is seen.
      count: how many.
      size: side of the pictures, pixels.
    """
    return _rig(sample, [360.0 * i / count for i in range(count)], size)


def render_sample(
    sample: PosedSample,
    rig: CameraRig,
    *,
    shown: Sequence[str] = ("person", "object"),
    colors: dict[str, np.ndarray] | None = None,
) -> list[UInt8[np.ndarray, "H W 3"]]:
    """The pictures of a rig.

    Args:
      sample: body and object.
      rig: cameras in the sample's world.
      shown: of "person" and "object".
      colors: of "person" and "object", one or one per vertex, sRGB in [0, 1]; absent: those of the body's model, and a
        neutral one.
    """
    colors = colors or {}
    own = None if sample.model.colors is None else np.asarray(sample.model.colors)
    scene = []
    if "person" in shown:
        tint = colors.get("person", own)
        scene.append(NamedMesh("body", sample.vertices, np.asarray(sample.model.faces), tint))
    if "object" in shown:
        thing = sample.object
        scene.append(NamedMesh("object", np.asarray(thing.vertices), np.asarray(thing.faces), colors.get("object")))
    return list(render_views(scene, rig, studio=WHITE))


def _rig(sample: PosedSample, azimuths: Sequence[float], size: int) -> CameraRig:
    points = np.concatenate([sample.vertices, np.asarray(sample.object.vertices)]).astype(np.float32)
    front = math.atan2(sample.facing[0], sample.facing[2])
    azimuth = np.radians(np.asarray(azimuths, np.float32)) + np.float32(front)
    elevation = np.full(len(azimuths), ELEVATION, np.float32)
    return frame_points(points, azimuth=azimuth, elevation=elevation, image_size=(size, size))
