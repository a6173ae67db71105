"""One record of the annotation: what is known of a sample, its text, and what speaks against it."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from hoijax.errors import InputError
from hoijax.systems.hoi3dgen.annotation.actions import ACTIONS
from hoijax.systems.hoi3dgen.annotation.annotators import Annotator
from hoijax.systems.hoi3dgen.annotation.contact import (
    CONFIGURATIONS,
    PARTS,
    ContactRule,
    body_distances,
    contact_from_distances,
)
from hoijax.systems.hoi3dgen.annotation.filtering import FilterConfig, geometry_of, reasons_against
from hoijax.systems.hoi3dgen.annotation.sources import PosedSample

FIELDS: tuple[str, ...] = (
    "id", "seq", "frame", "gender", "smpl", "object", "appearance", "action", "contact", "geometry", "text", "flags",
    "provenance", "views",
)  # fmt: skip
"""Keys of a record, in their order."""
_POSE = ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose")


def annotate_sample(
    sample: PosedSample,
    annotator: Annotator,
    rule: ContactRule,
    config: FilterConfig | None = None,
    *,
    distance: Float[np.ndarray, "V"] | None = None,
) -> dict[str, Any]:
    """A sample's record, as it goes into a JSON line.

    Args:
      sample: body and object.
      annotator: who answers what geometry does not.
      rule: of contact.
      config: of the filter.
      distance: of every body vertex from the object, where `body_distances` has told it before.

    Returns:
      `FIELDS`; lengths in metres unless the name says `cm`, y up; `views` is empty until pictures are made.

    Raises:
      InputError: the sample cannot be used.
    """
    for name, values in (("body", sample.vertices), ("object", np.asarray(sample.object.vertices))):
        if not np.isfinite(values).all():
            raise InputError(f"{sample.key}: the {name} has vertices that are not finite")
    distance = body_distances(sample.vertices, sample.object) if distance is None else distance
    contact = contact_from_distances(distance, sample.model, rule)
    looks, looks_by = annotator.looks(sample)
    action, action_by = annotator.action(sample, contact)
    pose = np.concatenate([np.asarray(sample.body[key], np.float64).reshape(-1) for key in _POSE if key in sample.body])
    record: dict[str, Any] = {
        "id": sample.key, "seq": sample.sequence, "frame": sample.frame, "gender": sample.gender,
        "smpl": {
            "pose": _rounded(pose), "betas": _rounded(sample.body["betas"]), "trans": _rounded(sample.body["transl"]),
            "kind": sample.model.kind,
        },
        "object": {
            "source": sample.object_source, "uid": sample.object_uid, "R": _rounded(sample.obj_rot),
            "t": _rounded(sample.obj_trans),
        },
        "appearance": looks, "action": action,
        "contact": {
            "parts": list(contact.parts), "config": contact.config, "near": list(contact.near),
            "min_dist_cm": round(100 * contact.min_distance, 3),
        },
        "geometry": {name: round(value, 5) for name, value in geometry_of(sample).items()},
    }  # fmt: skip
    record["text"], text_by = annotator.text(record)
    record["flags"] = reasons_against(record, config)
    record["provenance"] = {"appearance": looks_by, "action": action_by, "text": text_by}
    record["views"] = []
    return record


def parse_record(line: str, where: str = "the record") -> dict[str, Any]:
    """A record from its JSON line.

    Raises:
      InputError: it is none; says what is missing.
    """
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON: {error}") from error
    if not isinstance(record, dict):
        raise InputError(f"{where} is no record of an annotation")
    missing = [name for name in FIELDS if name not in record]
    if missing:
        raise InputError(f"{where} is no record of an annotation: it lacks {', '.join(missing)}")
    _check(record, where)
    return record


def _check(record: Mapping[str, Any], where: str) -> None:
    contact, action = record["contact"], record["action"]
    if not isinstance(contact, dict) or contact.get("config") not in CONFIGURATIONS:
        raise InputError(f"{where}: contact.config is none of {', '.join(CONFIGURATIONS)}")
    if not isinstance(contact.get("parts"), list) or set(map(str, contact["parts"])) - set(PARTS):
        raise InputError(f"{where}: contact.parts is no list of parts of the body")
    if not isinstance(action, dict) or action.get("name") not in ACTIONS:
        raise InputError(f"{where}: action.name is none of {', '.join(ACTIONS)}")
    if not isinstance(record["text"], str) or not isinstance(record["flags"], list):
        raise InputError(f"{where}: wanted a text and a list of flags")


def _rounded(values: Any) -> list[Any]:
    """A micrometre, or a millionth of a radian, is more than anybody measures."""
    return np.round(np.asarray(values, np.float64), 6).tolist()
