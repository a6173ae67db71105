"""Boxes of objects: the nine points of Objectron's networks in the picture's frame."""

from typing import Any

from flax import struct
from jaxtyping import Float

from hoijax.geometry.safe import ArrayLike
from hoijax.nets.blaze.layers import Params
from hoijax.nets.blaze.people import SAMPLES
from hoijax.nets.blaze.regions import Region, crops, to_picture
from hoijax.nets.blaze.regressors import CROP_SIZE, run_box_network


@struct.dataclass
class ObjectBox:
    """An object's box as a picture shows it; B boxes carry a leading axis."""

    points: Float[ArrayLike, "*B 9 2"] | Any
    """Centre, then the corners in the order of `names.BOX_CORNERS`, pixels of the whole picture. y is the box's up."""

    score: Float[ArrayLike, "*B"] | Any
    """Probability that the network's kind of object is in `region`."""

    region: Region
    """The square that the network saw."""


def find_boxes(params: Params, picture: Float[ArrayLike, "H W 3"], regions: Region) -> ObjectBox:
    """The object in each of B regions.

    Args:
      params: weights of `load("chair")` or `load("cup")`.
      picture: values in [0, 1].
      regions: upright squares about the objects (`regions.box_region`), with a leading axis.
    """
    points, score = run_box_network(params, crops(picture, regions, CROP_SIZE, "edge", SAMPLES))
    return ObjectBox(points=to_picture(points / CROP_SIZE, regions), score=score, region=regions)
