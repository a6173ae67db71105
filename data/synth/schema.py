"""What a sample of SynthHOI holds, and its TFDS features: readable by TFDS alone, with or without TensorFlow."""

import functools
import io
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

VERSION = "1.0.0"
BITS: tuple[str, ...] = ("human_mask", "object_mask", "human_full_mask", "object_full_mask", "support_mask")
"""Bits of the stored label image."""
CLOUD = 4096
"""Points of a scene's clouds."""

_features = tfds.features
_TEXT = _features.Text()
_BODY = ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose", "betas", "transl")


def _floats(*shape: int | None) -> Any:
    return _features.Tensor(shape=shape, dtype=np.float32)


def _compressed_tensor(*shape: int | None, dtype: type = np.bool_) -> Any:
    return _features.Tensor(shape=shape, dtype=dtype, encoding="zlib")


def _common(size: int) -> dict[str, Any]:
    return {
        **{name: _TEXT for name in ("key", "action", "text")},
        "body": {name: _floats(None) for name in _BODY},
        "shape_seed": np.int64,
        "furniture": _features.Sequence(
            {"category": _TEXT, "seed": np.int64, "rotation": _floats(3), "translation": _floats(3)}
        ),
        "intrinsics": _floats(3, 3),
        "T_camera_world": _floats(4, 4),
        "image": _features.Image(shape=(size, size, 3), encoding_format="jpeg"),
        # 16-bit PNG, millimetres, 0 where nothing is: TFDS decodes no such image without OpenCV, so it stays bytes.
        "depth": _TEXT,
        "labels": _features.Image(shape=(size, size, 1), encoding_format="png"),
        "keypoints_3d": _floats(None, 3),
        "keypoints_2d": _floats(None, 2),
        "keypoints_visible": _compressed_tensor(None),
        "body_contact": _compressed_tensor(None),
        "body_floor_contact": _compressed_tensor(None),
        "max_penetration": np.float32,
    }


@functools.cache
def interaction_features(size: int) -> _features.FeaturesDict:
    """Features of an interaction with images of a side."""
    return _features.FeaturesDict({
        **_common(size),
        **{name: _TEXT for name in ("category", "contact_parts")},
        "object_seed": np.int64,
        "obj_rot": _floats(3),
        "obj_trans": _floats(3),
        "object_contact": _compressed_tensor(None),
        "object_floor_contact": _compressed_tensor(None),
        "object_points": _floats(None, 3),
        "object_points_contact": _compressed_tensor(None),
        "object_points_floor": _compressed_tensor(None),
    })  # fmt: skip


@functools.cache
def scene_features(size: int) -> _features.FeaturesDict:
    """Features of a human-scene sample with images of a side."""
    return _features.FeaturesDict({
        **_common(size),
        "depth_empty": _TEXT,
        "room": _floats(5),
        "points": _compressed_tensor(CLOUD, 3, dtype=np.float16),
        "points_empty": _compressed_tensor(CLOUD, 3, dtype=np.float16),
    })  # fmt: skip


def features(split: str, size: int) -> _features.FeaturesDict:
    """Features of a split's samples."""
    return scene_features(size) if split.startswith("scenes") else interaction_features(size)


def dataset_name(split: str) -> str:
    """The TFDS dataset that a split belongs to: interactions and scenes have different fields."""
    return "synth_scene" if split.startswith("scenes") else "synth_hoi"


def serialize(split: str, size: int, sample: dict[str, Any]) -> bytes:
    """The record of a sample whose images are encoded bytes."""
    return _serializer(split.startswith("scenes"), size)(sample)


@functools.cache
def _serializer(scene: bool, size: int):
    from tensorflow_datasets.core.example_serializer import ExampleSerializer

    form = scene_features(size) if scene else interaction_features(size)
    serializer = ExampleSerializer(form.get_serialized_info())

    def run(sample: dict[str, Any]) -> bytes:
        ready = sample | {name: io.BytesIO(sample[name]) for name in ("image", "labels")}
        # The order of a protocol buffer's map changes from process to process unless this is asked for.
        return serializer.get_tf_example(form.encode_example(ready)).SerializeToString(deterministic=True)

    return run


def jpeg(image: np.ndarray, quality: int = 90) -> bytes:
    """An (H, W, 3) uint8 image as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def png(image: np.ndarray) -> bytes:
    """An (H, W) uint8 or uint16 image as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def encode_depth(depth: np.ndarray) -> bytes:
    """Depth in metres, not finite where nothing is seen, as millimetres in 16 bits; beyond 65 m nothing is seen."""
    far = ~np.isfinite(depth) | (depth > 65.0)
    return png(np.where(far, 0, np.round(np.where(far, 0, depth) * 1000)).astype(np.uint16))


def decode_depth(data: bytes) -> np.ndarray:
    """Depth in metres, float32, 0 where nothing is seen."""
    return np.asarray(Image.open(io.BytesIO(data))).astype(np.float32) / 1000


def pack_labels(masks: dict[str, np.ndarray]) -> bytes:
    """Boolean masks, by the names of `BITS`, as one 8-bit PNG."""
    total = np.zeros(next(iter(masks.values())).shape, np.uint8)
    for bit, name in enumerate(BITS):
        if name in masks:
            total |= masks[name].astype(np.uint8) << bit
    return png(total)


def decode(example: dict[str, Any]) -> dict[str, Any]:
    """A sample as TFDS yields it, with text as `str`, masks apart, depth in metres, furniture as a list."""
    out: dict[str, Any] = {}
    for name, value in example.items():
        if name == "labels":
            out |= {mask: (value[..., 0] >> bit & 1).astype(bool) for bit, mask in enumerate(BITS)}
        elif name in ("depth", "depth_empty"):
            out[name] = decode_depth(value)
        elif name == "furniture":
            rows = [dict(zip(value, row)) for row in zip(*value.values())]
            out[name] = [row | {"category": row["category"].decode(), "seed": int(row["seed"])} for row in rows]
        elif isinstance(value, bytes):
            out[name] = value.decode()
        else:
            out[name] = value
    return out
