"""The layers of each network in the order of its tflite file: the whole of the converter's knowledge."""

_DETECTOR_SIDES = {5: "up.1.side", 11: "up.0.side"}
"""Blocks whose input is read by a decoder: the file lists the side's layers right after the block's expansion."""
_LANDMARK_SIDES = {1: "mask.side", 3: "up.2", 5: "up.1", 11: "up.0"}


def _pair(name: str) -> list[str]:
    return [f"{name}.depthwise", f"{name}.project"]


def _trunk(sides: dict[int, str]) -> list[str]:
    names = ["stem", *_pair("blocks.0")]
    for i in range(1, 16):
        names.append(f"blocks.{i}.expand")
        if i in sides:
            names += _pair(sides[i])
        names += _pair(f"blocks.{i}") if i < 15 else [f"blocks.{i}.depthwise"]
    return names


def _detector() -> list[str]:
    names = _trunk(_DETECTOR_SIDES)
    for level in ("up.0", "up.1"):
        names += [f"{level}.deep", *_pair(f"{level}.0"), *_pair(f"{level}.1")]
    for i in range(3):
        names += [*_pair(f"heads.{i}.score"), *_pair(f"heads.{i}.box")]
    return names


def _landmarks() -> list[str]:
    names = [*_trunk(_LANDMARK_SIDES), *_pair("up.start"), *_pair("mask.start")]
    names += [name for i in (0, 1) for j in (0, 1) for name in _pair(f"mask.{i}.{j}")]
    names += ["mask.out", "heat", *_pair("down.start")]
    for level, count in (("down.0", 4), ("down.1", 5)):
        names += _pair(f"{level}.shrink")
        names += [name for i in range(count) for name in _pair(f"{level}.{i}")]
    return [*names, "points", "metric", "score"]


LAYERS = {
    "detector": _detector(),
    "landmarks": _landmarks(),
    "hand": [*_trunk({}), "right", "score", "points", "metric"],
    "chair": [*_trunk({}), "points", "score"],
    "cup": [*_trunk({}), "points", "score"],
}
