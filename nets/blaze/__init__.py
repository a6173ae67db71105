"""MediaPipe's networks for photographs, native in JAX: persons, hands, and boxes of chairs and cups.

Parameters are flat mappings of arrays (`load`), everything else is a pure function: jit, vmap, grad, any device. The
weights are Google's (Apache-2.0, NOTICE); neither MediaPipe nor TensorFlow is needed.

The networks are compiled by themselves, so that a picture of a new size costs no new compilation of them; inside of a
caller's jit that makes no difference.
"""

from hoijax.nets.blaze.boxes import ObjectBox, find_boxes
from hoijax.nets.blaze.detections import Detections, intersection_over_union
from hoijax.nets.blaze.detector import run_detector
from hoijax.nets.blaze.hands import Hand, find_hands
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
from hoijax.nets.blaze.tracking import Tracks, start_tracks, track_people
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
    "Hand",
    "ObjectBox",
    "Person",
    "RawHand",
    "RawLandmarks",
    "Region",
    "Tracks",
    "box_region",
    "crop",
    "detect_people",
    "find_boxes",
    "find_hands",
    "find_people",
    "intersection_over_union",
    "load",
    "person_mask",
    "read_landmarks",
    "run_box_network",
    "run_detector",
    "run_hand_network",
    "run_landmarker",
    "start_tracks",
    "track_people",
]
