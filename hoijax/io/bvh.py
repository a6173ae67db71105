"""Writing BVH: a skeleton's rest pose and its motion as text, which programs for animation read."""

import numpy as np

from hoijax.io.files import PathLike, write_text
from hoijax.io.motion import Motion, running_angles

UNITS: dict[str, float] = {"cm": 100.0, "m": 1.0}
"""Units of length to how many of them a metre has; a BVH does not say its own."""

_PLACE = "Xposition Yposition Zposition "
_TURN = "Zrotation Xrotation Yrotation"


def write_bvh(path: PathLike, motion: Motion, *, fps: float, unit: str = "cm") -> None:
    """Writes a skeleton and its motion, whole or not at all.

    The bones are those of the rest pose. The first joint has an offset of zero and six channels, where it is and how it
    is turned; every other joint has three. Angles are degrees in the order of the channels: R = Rz Rx Ry, of a joint
    relative to its parent. A joint without children ends in half its own bone once more.

    Args:
      path: the file to write.
      motion: metres, y up.
      fps: frames a second.
      unit: of length, of `UNITS`.
    """
    scale = UNITS[unit]
    offsets = motion.offsets() * scale
    lines, order = ["HIERARCHY"], []

    def joint(i: int, depth: int) -> None:
        tab, first = "  " * depth, motion.parents[i] < 0
        order.append(i)
        lines.append(f"{tab}{'ROOT' if first else 'JOINT'} {motion.names[i]}")
        lines.append(f"{tab}{{")
        lines.append(f"{tab}  OFFSET {_row(np.zeros(3) if first else offsets[i])}")
        lines.append(f"{tab}  CHANNELS {6 if first else 3} {_PLACE if first else ''}{_TURN}")
        children = [k for k, parent in enumerate(motion.parents) if parent == i]
        for child in children:
            joint(child, depth + 1)
        if not children:
            lines.extend((f"{tab}  End Site", f"{tab}  {{", f"{tab}    OFFSET {_row(offsets[i] / 2)}", f"{tab}  }}"))
        lines.append(f"{tab}}}")

    joint(0, 0)
    angles = running_angles(motion.rotations)[:, order].reshape(motion.count, -1)
    lines += ["MOTION", f"Frames: {motion.count}", f"Frame Time: {1.0 / fps:.9g}"]
    lines += [_row(row) for row in np.concatenate([motion.places * scale, angles], axis=1)]
    write_text(path, "\n".join(lines) + "\n")


def _row(numbers: np.ndarray) -> str:
    return " ".join(f"{x + 0.0:.6f}" for x in numbers)
