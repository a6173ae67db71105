"""Keypoints that other detectors wrote to files, as observations. Files are read as data, never executed.

| by | file | points |
|---|---|---|
| OpenPose | JSON, "people" with "pose_keypoints_2d" and "hand_left_keypoints_2d", "hand_right_keypoints_2d" | 25, 21 |
| COCO | JSON, a list of people with "keypoints" (results), or "annotations" with such people | 17 |
| COCO-WholeBody | the same with 133 points in one list, or with "foot_kpts", "lefthand_kpts", "righthand_kpts" | 133 |
| SAM 3D Body | npz, "pred_keypoints_2d" and if there "pred_keypoints_3d", "pred_cam_t", "focal_length" | MHR's 70 |

COCO's third number is 0, 1 or 2 in annotations (not labelled, hidden, visible) and a score in results; scores above one
(heat-map peaks) count as one. OpenPose's and COCO's missing points are zeros with score zero.
"""

import dataclasses
import json
import os
import pathlib
from typing import Any

import numpy as np

from hoijax.errors import InputError
from hoijax.io import read_json, read_npz
from hoijax.optim.fitting.intrinsics import Intrinsics, given_intrinsics
from hoijax.optim.fitting.layouts import BODY_25, COCO_BODY, COCO_WHOLEBODY, FEET, MHR_70
from hoijax.optim.fitting.observations import Observation, observe, with_hands

PathLike = str | os.PathLike[str]

LARGEST_JSON = 64 << 20
"""Largest JSON file that is read, bytes."""
LARGEST_NPZ = 256 << 20
"""Largest content of an npz file that is read, bytes."""
MOST_PEOPLE = 10_000
"""Most people that are read from one file."""
LEAST_SCORE = 0.1
"""Points with a lower score have not been seen."""
_SAM_STD = 0.03  # metres, of SAM 3D Body's points


@dataclasses.dataclass(frozen=True)
class FilePerson:
    """One person of a keypoint file."""

    observation: Observation
    score: float
    """Of the whole person; the mean of the points' scores where the file has none."""
    picture: str | None
    """The picture that the file says the person is in."""
    intrinsics: Intrinsics | None
    """Where the file has a focal length."""


def read_keypoints(
    path: PathLike, *, image_size: tuple[int, int] | None = None, picture: str | int | None = None
) -> list[FilePerson]:
    """The people in a keypoint file, whatever detector wrote it; best score first.

    Args:
      path: `.json` or `.npz`, see the module's table; told apart by their keys.
      image_size: (H, W) of the picture; points outside of it then count as not seen.
      picture: of a COCO file with many pictures: the `image_id` of the people wanted; None takes all.

    Returns:
      At least one person; all have the same points in the same order, unless a file mixes layouts.

    Raises:
      InputError: no such file, one too large or damaged, a layout that is none of the table's, nobody in it.
    """
    path = pathlib.Path(path)
    people = _read_sam(path, image_size) if path.suffix.lower() == ".npz" else _read_json(path, image_size, picture)
    if not people:
        raise InputError(f"{path} has nobody in it{'' if picture is None else f' for the picture {picture!r}'}")
    return sorted(people, key=lambda person: -person.score)


def _read_json(path: pathlib.Path, image_size: tuple[int, int] | None, picture: str | int | None) -> list[FilePerson]:
    value = read_json(path, kind=(dict, list), limit=LARGEST_JSON)
    if isinstance(value, dict) and isinstance(value.get("people"), list):
        entries, read = value["people"], _openpose_person
    else:
        entries = value.get("annotations") if isinstance(value, dict) else value
        read = _coco_person
        if not isinstance(entries, list) or not all(isinstance(e, dict) and "keypoints" in e for e in entries[:1]):
            found = ", ".join(list(value)[:8]) if isinstance(value, dict) else f"a list of {len(value)}"
            raise InputError(
                f"{path} has {found or 'no keys'}; wanted is OpenPose's 'people', or COCO's list of people with "
                "'keypoints' (or 'annotations')"
            )
    if len(entries) > MOST_PEOPLE:
        raise InputError(f"{path} has {len(entries)} people; at most {MOST_PEOPLE} are read, split the file")
    if picture is not None and read is _coco_person:
        entries = [e for e in entries if isinstance(e, dict) and str(e.get("image_id")) == str(picture)]
    people = []
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise InputError(f"{path}: person {number} is {type(entry).__name__}, wanted is an object with keypoints")
        if read is _coco_person and entry.get("num_keypoints") == 0:
            continue  # COCO's people whose points nobody labelled
        people.append(read(f"{path}: person {number}", entry, image_size))
    return people


def _openpose_person(where: str, entry: dict[str, Any], image_size: tuple[int, int] | None) -> FilePerson:
    body = _triples(where, entry, "pose_keypoints_2d")
    if len(body) != 25:
        raise InputError(
            f"{where}: pose_keypoints_2d has {len(body)} points; wanted is BODY_25, 25 points of x, y, score"
        )
    observation = observe(BODY_25, body[:, :2], _belief(body[:, 2]), image_size=image_size)
    hands = {}
    for side in ("left", "right"):
        key = f"hand_{side}_keypoints_2d"
        hand = _triples(where, entry, key) if entry.get(key) else np.zeros((21, 3))
        if len(hand) != 21:
            raise InputError(f"{where}: {key} has {len(hand)} points; wanted are 21 of x, y, score")
        hands[side] = _hand(hand)
    return FilePerson(with_hands(observation, hands, image_size=image_size), _score(entry, body), None, None)


def _coco_person(where: str, entry: dict[str, Any], image_size: tuple[int, int] | None) -> FilePerson:
    points = _triples(where, entry, "keypoints")
    labelled = "score" not in entry and np.isin(points[:, 2], (0, 1, 2)).all()
    if labelled:
        points = points * [1, 1, 0.5]
    image = entry.get("image_id")
    name = str(image) if isinstance(image, (str, int)) else None
    if len(points) == 133:
        body, hands = points[:91], {"left": _hand(points[91:112]), "right": _hand(points[112:])}
        observation = observe(COCO_WHOLEBODY[:91], body[:, :2], _belief(body[:, 2]), image_size=image_size)
        return FilePerson(with_hands(observation, hands, image_size=image_size), _score(entry, points), name, None)
    if len(points) != 17:
        raise InputError(f"{where}: keypoints has {len(points)} points; wanted are COCO's 17 or COCO-WholeBody's 133")
    names, parts, hands = COCO_BODY, [points], {}
    for key, count in (("foot_kpts", 6), ("lefthand_kpts", 21), ("righthand_kpts", 21)):
        if key not in entry:
            continue
        part = _triples(where, entry, key)
        if len(part) != count:
            raise InputError(f"{where}: {key} has {len(part)} points; wanted are {count} of x, y, v")
        part = part * [1, 1, 0.5] if labelled and np.isin(part[:, 2], (0, 1, 2)).all() else part
        if key == "foot_kpts":
            names, parts = (*COCO_BODY, *FEET), [points, part]
        else:
            hands[key.removesuffix("hand_kpts")] = _hand(part)
    body = np.concatenate(parts)
    observation = observe(names, body[:, :2], _belief(body[:, 2]), image_size=image_size)
    if hands:
        observation = with_hands(observation, hands, image_size=image_size)
    return FilePerson(observation, _score(entry, body), name, None)


def _read_sam(path: pathlib.Path, image_size: tuple[int, int] | None) -> list[FilePerson]:
    wanted = ("pred_keypoints_2d", "pred_keypoints_3d", "pred_cam_t", "focal_length")
    arrays = read_npz(path, keys=wanted, limit=LARGEST_NPZ, what="keypoint file")
    if "pred_keypoints_2d" not in arrays:
        raise InputError(f"{path} has no pred_keypoints_2d; wanted is SAM 3D Body's output of one person")
    pixels = _checked_shape(path, arrays, "pred_keypoints_2d", (70, 2))
    metric, intrinsics = None, None
    if "pred_keypoints_3d" in arrays:
        metric = _checked_shape(path, arrays, "pred_keypoints_3d", (70, 3))
    if "focal_length" in arrays:
        focal = float(_checked_shape(path, arrays, "focal_length", ()))
        if image_size is not None:
            intrinsics = given_intrinsics(focal, image_size)
    elif metric is not None and "pred_cam_t" in arrays:
        intrinsics = _camera_of(metric + _checked_shape(path, arrays, "pred_cam_t", (3,)), pixels)
    observation = observe(
        MHR_70, pixels, metric=metric, metric_std=_SAM_STD, metric_frame="camera", image_size=image_size
    )
    return [FilePerson(observation, 1.0, None, intrinsics)]


def _camera_of(points: np.ndarray, pixels: np.ndarray) -> Intrinsics | None:
    """Focal length and centre by least squares from points in the camera's frame and where they are seen."""
    usable = np.isfinite(points).all(axis=1) & np.isfinite(pixels).all(axis=1) & (points[:, 2] > 0.05)
    if usable.sum() < 6:
        return None
    slope, seen = points[usable, :2] / points[usable, 2:], pixels[usable]
    one, zero = np.ones(len(slope)), np.zeros(len(slope))
    rows = np.concatenate([np.stack([slope[:, 0], one, zero], 1), np.stack([slope[:, 1], zero, one], 1)])
    (focal, x, y), *_ = np.linalg.lstsq(rows, np.concatenate([seen[:, 0], seen[:, 1]]), rcond=None)
    if not 1 < focal < 1e6:
        return None
    return given_intrinsics(
        np.array([[focal, 0, x], [0, focal, y], [0, 0, 1]]), (max(1, int(2 * y)), max(1, int(2 * x)))
    )


def _triples(where: str, entry: dict[str, Any], key: str) -> np.ndarray:
    values = entry.get(key)
    if not isinstance(values, list) or not values or len(values) % 3 or len(values) > 3 * 1000:
        told = f"a list of {len(values)} numbers" if isinstance(values, list) else json.dumps(values)[:40]
        raise InputError(f"{where}: {key} is {told}; wanted are x, y, score of each point in one list")
    if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        raise InputError(f"{where}: {key} holds something else than numbers")
    points = np.asarray([float(v) if abs(v) < 1e9 else np.nan for v in values], np.float64).reshape(-1, 3)
    seen = points[points[:, 2] > 0, :2]
    if len(seen) > 2 and np.nanmax(np.abs(seen), initial=0.0) <= 1.0:
        raise InputError(f"{where}: {key} lies within 1 of the corner; wanted are pixels, not shares of the picture")
    return points


def _checked_shape(path: pathlib.Path, arrays: dict[str, np.ndarray], key: str, shape: tuple[int, ...]) -> np.ndarray:
    value = np.asarray(arrays[key], np.float64)
    value = value[0] if value.shape == (1, *shape) else value
    if value.shape != shape:
        raise InputError(f"{path}: {key} has the shape {value.shape}; wanted is {shape}, one person")
    if not np.isfinite(value).all():
        raise InputError(f"{path}: {key} holds numbers that are not finite")
    return value


def _belief(scores: np.ndarray) -> np.ndarray:
    clipped = np.clip(np.nan_to_num(scores), 0.0, 1.0)
    return np.where(clipped < LEAST_SCORE, 0.0, clipped)


def _hand(points: np.ndarray) -> tuple[np.ndarray, float]:
    """A hand's pixels, not a number where its own score is too low, and the mean score of the others."""
    belief = _belief(points[:, 2])
    seen = belief > 0
    pixels = np.where(seen[:, None], points[:, :2], np.nan)
    # A hand of which less than half is seen is a guess.
    return pixels, float(belief[seen].mean()) if seen.sum() * 2 > len(seen) else 0.0


def _score(entry: dict[str, Any], points: np.ndarray) -> float:
    score = entry.get("score")
    if isinstance(score, (int, float)) and not isinstance(score, bool) and np.isfinite(score):
        return float(score)
    return float(np.clip(np.nan_to_num(points[:, 2]), 0, 1).mean())
