"""MediaPipe's networks for photographs, native in JAX: persons, hands, and boxes of chairs and cups.

Parameters are flat mappings of arrays (`load`), everything else is a pure function: jit, vmap, grad, any device. The
weights are Google's (Apache-2.0, NOTICE); neither MediaPipe nor TensorFlow is needed.
"""

from hoijax.nets.blaze.detections import Detections, intersection_over_union
from hoijax.nets.blaze.detector import run_detector
from hoijax.nets.blaze.landmarker import RawLandmarks, run_landmarker
from hoijax.nets.blaze.names import (
    BOX_CORNERS,
    HAND_EDGES,
    HAND_NAMES,
    LANDMARK_EDGES,
    LANDMARK_NAMES,
    MIRRORED_LANDMARKS,
)
from hoijax.nets.blaze.people import Person, detect_people, find_people, person_mask, read_landmarks
from hoijax.nets.blaze.regions import Region, box_region, crop
from hoijax.nets.blaze.regressors import RawHand, run_box_network, run_hand_network
from hoijax.nets.blaze.weights import NETWORKS, load

__all__ = [
    "BOX_CORNERS",
    "HAND_EDGES",
    "HAND_NAMES",
    "LANDMARK_EDGES",
    "LANDMARK_NAMES",
    "MIRRORED_LANDMARKS",
    "NETWORKS",
    "Detections",
    "Person",
    "RawHand",
    "RawLandmarks",
    "Region",
    "box_region",
    "crop",
    "detect_people",
    "find_people",
    "intersection_over_union",
    "load",
    "person_mask",
    "read_landmarks",
    "run_box_network",
    "run_detector",
    "run_hand_network",
    "run_landmarker",
]
