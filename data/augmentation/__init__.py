"""Augmentation as pure functions with keys: what happens to a picture happens to its 3D labels.

Functions take one sample; `vmap` them over samples and their keys (`sample_keys`), and `jit` the whole. A picture is
float, `(H, W, C)` in [0, 1].

Left-right flip is not offered. A mirrored picture shows a mirrored object, whose template nobody has, of a body whose
mirror image lies in no shape space exactly; and contact labels and texts would have to change sides with it. Nothing
that is offered here changes what is in the scene: it is seen by another camera, in another light, behind other things.
"""

from hoijax.data.augmentation.pixels import jitter_colors, occlude
from hoijax.data.augmentation.recipe import AugmentConfig, Augmented, augment, random_view, sample_keys
from hoijax.data.augmentation.view import (
    ViewChange,
    change_view,
    map_pixels,
    new_camera,
    rest_pelvis,
    taps_for,
    turn_body,
    turn_object,
    turn_points,
    warp_image,
    warp_labels,
)

__all__ = [
    "AugmentConfig",
    "Augmented",
    "ViewChange",
    "augment",
    "change_view",
    "jitter_colors",
    "map_pixels",
    "new_camera",
    "occlude",
    "random_view",
    "rest_pelvis",
    "sample_keys",
    "taps_for",
    "turn_body",
    "turn_object",
    "turn_points",
    "warp_image",
    "warp_labels",
]
