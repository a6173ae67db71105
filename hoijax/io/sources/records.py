"""From the tree of a file to people: for each of them one table of named arrays with a leading axis of frames.

Each function takes a tree and returns `{person: Record}`; the person is "" where the file is of one by nature.
"""

import itertools
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from hoijax.errors import InputError

Record = dict[str, np.ndarray]
"""Key to array; nested keys are joined with `/`."""

_DEEPEST = 4
_MOST_AXES = 8
_OF_THE_PICTURE = ("intrinsics", "cam2world")


def numbers(value: Any, axes: int = _MOST_AXES) -> np.ndarray | None:
    """An array of numbers of what is one, or a list of such; None of everything else, and of lists nested deeper."""
    if isinstance(value, np.ndarray):
        return value if value.dtype.kind in "fiub" else None
    if isinstance(value, bool | int | float | np.number):
        return np.asarray(value)
    if isinstance(value, list | tuple) and value and len(value) < 1_000_000 and axes:
        parts = [numbers(item, axes - 1) for item in value]
        if all(part is not None for part in parts) and len({part.shape for part in parts}) == 1:  # type: ignore[union-attr]
            return np.stack(parts)  # type: ignore[arg-type]
    return None


def find(tree: Any, path: str) -> Any:
    """The value at a path such as `people/*/smplx_cam`; `*` is the first entry; None where there is none."""
    for name in path.split("/"):
        if name == "*":
            values = (
                list(tree.values()) if isinstance(tree, Mapping) else tree if isinstance(tree, list | tuple) else []
            )
            if not len(values):
                return None
            tree = values[0]
        elif isinstance(tree, Mapping) and name in tree:
            tree = tree[name]
        else:
            return None
    return tree


def flat(tree: Any) -> dict[str, Record]:
    """A dictionary, nested ones with joined keys; a list of such is one person each."""
    if isinstance(tree, list | tuple):
        return {str(i): _flatten(item) for i, item in enumerate(tree) if isinstance(item, Mapping)}
    return {"": _flatten(tree)}


def _flatten(tree: Any, start: str = "", depth: int = 0) -> Record:
    out: Record = {}
    for key, value in tree.items() if isinstance(tree, Mapping) else ():
        name = f"{start}{key}"
        array = numbers(value)
        if array is not None:
            out[name] = array
        elif isinstance(value, Mapping) and depth < _DEEPEST:
            out |= _flatten(value, f"{name}/", depth + 1)
    return out


def timed(tree: Any) -> dict[str, Record]:
    """The same with the numbers of frames that `frame_times` says."""
    found = frames_of_times(tree.get("frame_times"))
    return {"": _flatten(tree) | ({} if found is None else {"frames": found[0]})}


def frames_of_times(times: Any) -> tuple[np.ndarray, float] | None:
    """Numbers of frames and frames a second of BEHAVE's `frame_times`, seconds such as `t0003.033`.

    Args:
      times: one a frame, texts or numbers; anything else is None.
    """
    words = [str(word).removeprefix("t") for word in np.asarray(times, object).reshape(-1)]
    if len(words) < 2 or not all(re.fullmatch(r"\d{1,6}(\.\d+)?", word) for word in words):
        return None
    seconds = np.array([float(word) for word in words])
    steps = np.diff(seconds)
    if (steps <= 0).any():
        return None
    # BEHAVE's video has 30 frames a second, of which its files have all or one each second; times are to a millisecond.
    video = steps.min() < 0.9 and (np.abs(30 * seconds - np.round(30 * seconds)) < 0.1).all()
    fps = 30.0 if video else max(1.0, float(np.round(1 / np.median(steps))))
    frames = np.round(seconds * fps).astype(np.int64)
    return None if (np.diff(frames) <= 0).any() else (frames, fps)


def inside(path: str):
    """The same for the dictionary, or each of the people, at a path; `*` stands for the people.

    Args:
      path: such as `smpl_params_incam` or `people/*/smplx_cam`.
    """

    def split(tree: Any) -> dict[str, Record]:
        before, star, after = path.partition("*")
        if not star:
            return {"": _flatten(find(tree, path))}
        people = find(tree, before.strip("/")) if before else tree
        pairs = people.items() if isinstance(people, Mapping) else enumerate(people)
        rest = after.strip("/")
        found = {str(key): (find(value, rest) if rest else value, value) for key, value in pairs}
        return {
            key: _numbered(value) | _flatten(inner)
            for key, (inner, value) in found.items()
            if isinstance(inner, Mapping)
        }

    return split


def _numbered(person: Any) -> Record:
    """The numbers of a person's frames, which may stand beside what is theirs."""
    frames = numbers(person.get("frames")) if isinstance(person, Mapping) else None
    return {} if frames is None else {"frames": frames}


def phalp(tree: Any) -> dict[str, Record]:
    """PHALP's tracks: `{frame: {smpl: [one a person], camera: [...], tid: [...]}}`, matched by `tid`.

    Frames in which a person is not seen are gaps in their `frames`, which count as the names of the frames do
    (`000012.jpg`), or else in the file's order.
    """
    tracks: dict[str, list[dict[str, np.ndarray]]] = {}
    for number, frame in _by_number(tree):
        if not isinstance(frame, Mapping):
            continue
        people, cameras = frame.get("smpl", []), frame.get("camera", [])
        names = frame.get("tid", range(len(people)))
        if not isinstance(people, Sequence) or not len(people) <= min(len(cameras), len(names)):
            raise InputError(
                f"a frame has {len(people)} people, {len(cameras)} cameras and {len(names)} tracks; wanted one of each "
                "for every person"
            )
        for person, camera, name in zip(people, cameras, names):
            row = {key: numbers(value) for key, value in person.items()} if isinstance(person, Mapping) else {}
            row |= {"camera": numbers(camera), "frames": np.asarray(number)}
            tracks.setdefault(str(name), []).append({k: v for k, v in row.items() if v is not None})
    return {name: _stack(rows, name) for name, rows in tracks.items()}


def _by_number(tree: Mapping[Any, Any]) -> list[tuple[int, Any]]:
    """Frames with their numbers, rising, however the file sorts them."""
    counted = list(zip(numbers_in(tree), tree.values()))
    last = [re.findall(r"\d+", pathlib.PurePath(str(name)).stem)[-1:] for name in tree]
    digits = [int(found[0]) for found in last if found and len(found[0]) < 10]
    if len(set(digits)) < len(counted):
        return counted
    return sorted(zip(digits, tree.values()), key=lambda pair: pair[0])


def numbers_in(names: Iterable[Any]) -> list[int]:
    """The numbers of frames by their names: the last digits of each, if they rise; else 0, 1, 2, ..."""
    names = list(names)
    found = [re.findall(r"\d+", pathlib.PurePath(str(name)).stem)[-1:] for name in names]
    values = [int(digits[0]) for digits in found if digits and len(digits[0]) < 10]
    rising = len(values) == len(names) and all(a < b for a, b in itertools.pairwise(values))
    return values if rising else list(range(len(names)))


def in_order(paths: Iterable[pathlib.Path]) -> list[pathlib.Path]:
    """Files by the last number in their names, where all have one, else by their names: 2.txt before 10.txt."""
    paths = sorted(paths)
    digits = [re.findall(r"\d+", path.stem)[-1:] for path in paths]
    if not all(digits):
        return paths
    return [path for _, path in sorted(zip((int(found[0]) for found in digits), paths))]


def _stack(rows: list[dict[str, np.ndarray]], name: str) -> Record:
    out = {}
    for key in rows[0]:
        parts = [row.get(key) for row in rows]
        shapes = {None if part is None else part.shape for part in parts}
        if len(shapes) != 1:
            raise InputError(f"'{key}' of person {name} has another shape in some frames: {sorted(map(str, shapes))}")
        out[key] = np.stack(parts)  # type: ignore[arg-type]
    return out


def by_image(tree: Any) -> dict[str, Record]:
    """NLF's lists: each key has one entry an image, each of them one row a person.

    People have no names there: where every image has one person the file is a sequence, otherwise each row is a person
    of its own, `image.row`.
    """
    lists = {key: value for key, value in tree.items() if isinstance(value, list | tuple)}
    if not lists:
        return _rows(_flatten(tree))
    images = {key: [numbers(item) for item in value] for key, value in lists.items()}
    images = {key: parts for key, parts in images.items() if all(part is not None and part.ndim for part in parts)}
    pose = images.get("pose", [])
    for key in ("trans", "betas"):
        other = images.get(key, pose)
        if [part.shape[:-1] for part in other] != [part.shape[:-1] for part in pose]:
            raise InputError(f"'pose' and '{key}' are not of the same people: they have other numbers of rows")
    if pose and all(part.ndim == 1 for part in pose):  # one person an image, without an axis
        return {"": {key: np.stack(parts) for key, parts in images.items() if len({p.shape for p in parts}) == 1}}
    if pose and all(len(part) == 1 for part in pose):
        return {"": {key: np.concatenate(parts) for key, parts in images.items()}}
    people = {}
    for i, part in enumerate(pose):
        for j in range(len(part)):
            name = f"{i}.{j}" if len(pose) > 1 else str(j)
            people[name] = {key: parts[i][j] for key, parts in images.items() if len(parts[i]) > j}
    return people


def each_row(tree: Any) -> dict[str, Record]:
    """Arrays whose leading axis is people of one image: Human3R's frames."""
    people = _rows(_flatten(tree))
    names = numbers(tree.get("smpl_id")) if isinstance(tree, Mapping) else None
    if names is None or names.size != len(people):
        return people
    return dict(zip([str(int(name)) for name in names.ravel()], people.values()))


def _rows(record: Record) -> dict[str, Record]:
    pose = next((record[key] for key in ("rotvec", "pose") if key in record), None)
    count = len(pose) if pose is not None and pose.ndim == (3 if "rotvec" in record else 2) else 0
    if not count:
        return {"": record}
    for key in ("transl", "shape"):
        if key in record and record[key].shape[:1] != (count,):
            raise InputError(f"'{key}' has the shape {record[key].shape}, wanted one row for each of {count} people")
    return {
        str(i): {
            key: value if key in _OF_THE_PICTURE or value.shape[:1] != (count,) else value[i]
            for key, value in record.items()
        }
        for i in range(count)
    }


def megapose(tree: Any) -> dict[str, Record]:
    """MegaPose's list of `{label, TWO: [[qx, qy, qz, qw], [x, y, z]]}`: one object each."""
    found: dict[str, Record] = {}
    for i, item in enumerate(tree):
        pose = item.get("TWO") if isinstance(item, Mapping) else None
        parts = [numbers(part) for part in pose] if isinstance(pose, list | tuple) and len(pose) == 2 else [None, None]
        if any(part is None for part in parts):
            raise InputError(f"its entry {i} has no TWO of a quaternion and a place")
        label = str(item.get("label", i))
        found[label if label not in found else f"{label}.{i}"] = {"TWO/0": parts[0], "TWO/1": parts[1]}  # type: ignore[dict-item]
    return found
