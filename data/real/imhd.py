"""IMHD2 (Zhao et al., CVPR 2024, "I'm HOI"): SMPL-H and object tracks at 30 fps; CC BY-NC-SA, form-gated.

Object templates are centred by their own vertex mean. Bodies are neutral AMASS SMPL-H with 16 betas.
"""

import pathlib
import re

import numpy as np

from hoijax.camera import Camera
from hoijax.data.real.reading import centred_mesh, read_template
from hoijax.data.real.schema import Dataset, DatasetItem, Defect, HOIFrame, Index, array, existing_root, smplh_body
from hoijax.geometry import Mesh
from hoijax.io import read_json
from hoijax.io.pickles import read_pickle

KEYS = {"smplPose": None, "smplHandPose": 90, "smplShape": 16, "smplTrans": 3, "objectRot": 3, "objectTrans": 3}
_NAME = re.compile(r"gt_(?P<part>.+)_(?P<start>\d+)_(?P<end>\d+)\.pkl")
# These recordings of a bat use the template of another folder.
_RENAMED = {("20230825", "bat"): "baseball", ("20230827", "bat"): "baseball"}


def scan(root: str | pathlib.Path) -> Index:
    """Every frame of every ground-truth file.

    Args:
      root: the folder with `ground_truth/` (or `data/ground_truth/`).

    Returns:
      Items `<date>/<segment>/<sequence>/<part>/<frame>`; problems name unreadable files and wrong frame counts.

    Raises:
      InputError: this is not IMHD.
    """
    root = existing_root(root, "IMHD", "ground_truth", "data/ground_truth")
    base = root / "ground_truth" if (root / "ground_truth").is_dir() else root / "data" / "ground_truth"
    items, problems = [], []
    for path in sorted(base.glob("*/*/*/gt_*.pkl")):
        where = path.relative_to(root).as_posix()
        name = _NAME.fullmatch(path.name)
        if name is None:
            problems.append(Defect(where, "wanted the name gt_<part>_<start>_<end>.pkl"))
            continue
        start, end = int(name["start"]), int(name["end"])
        try:
            lengths = {k: len(v) for k, v in _tracks(path).items()}
        except ValueError as error:
            problems.append(Defect(where, str(error)))
            continue
        count = min(lengths.values())
        if max(lengths.values()) != count:
            problems.append(Defect(where, f"arrays differ in length, cut to {count}: {lengths}"))
        elif count not in (end - start, end - start + 1):
            problems.append(Defect(where, f"{count} frames, its name says {start} to {end}"))
        sequence = "/".join(path.relative_to(base).parts[:3])
        keys = (f"{sequence}/{name['part']}/{start + i:06d}" for i in range(count))
        items += [DatasetItem(key, "train", (where,), i) for i, key in enumerate(keys)]
    return Index("imhd", root, tuple(items), tuple(problems))


def read(index: Index, item: DatasetItem) -> HOIFrame:
    """One frame.

    Raises:
      InputError: the file is damaged.
    """
    date, segment, sequence, part, frame = item.key.split("/")
    row = {name: values[item.row] for name, values in _tracks(index.root / item.files[0]).items()}
    pose = np.concatenate([row["smplPose"][:66], row["smplHandPose"]])
    return HOIFrame(
        key=item.key,
        sequence=f"{date}/{segment}/{sequence}/{part}",
        frame=frame,
        gender="neutral",
        object_name=_object_name(date, sequence),
        body_kind="smplh",
        flat_hands=True,
        body=smplh_body(pose, row["smplShape"], row["smplTrans"]),
        obj_rot=row["objectRot"],
        obj_trans=row["objectTrans"],
    )


def object_template(root: str | pathlib.Path, name: str) -> Mesh:
    """An object's simplified mesh, centred by its own vertex mean.

    Raises:
      InputError: the file is missing.
    """
    root = pathlib.Path(root)
    folder = next((p for p in (root, root / "data") if (p / "object_templates").is_dir()), root)
    path = folder / "object_templates" / name / f"{name}_simplified_transformed.obj"
    vertices, faces = centred_mesh(read_template(path))
    return Mesh(vertices=vertices, faces=faces)


def camera(folder: str | pathlib.Path, number: int, *, width: int = 3840, height: int = 2160) -> Camera:
    """A camera of one date; intrinsics are given at 3840 pixels width and scaled to `width`.

    Args:
      folder: `calibrations/<date>`, with `extrin.json` (world to camera) and `intrin.json`.
      number: zero-based camera number; 1 is the main view.
      width: of the images, pixels.
      height: of the images, pixels.

    Raises:
      InputError: a file is missing or damaged.
    """
    folder = pathlib.Path(folder)
    pose, colour = _of_camera(folder / "extrin.json", number), _of_camera(folder / "intrin.json", number)
    colour = colour.get("color", colour)
    T_camera_world = np.eye(4)
    T_camera_world[:3, :3] = array(pose.get("rotation"), "rotation", (9,), np.float64).reshape(3, 3)
    T_camera_world[:3, 3] = array(pose.get("translation"), "translation", (3,), np.float64)
    fx, fy, cx, cy = (float(array(colour.get(k), k, (), np.float64)) * width / 3840 for k in ("fx", "fy", "cx", "cy"))
    return Camera(
        intrinsics=np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float32),
        T_camera_world=T_camera_world.astype(np.float32),
        image_size=(height, width),
    )


def _of_camera(path: pathlib.Path, number: int) -> dict:
    """A camera's entry, or the file itself where it holds one camera."""
    data = read_json(path)
    return data.get(str(number), data)


def _object_name(date: str, sequence: str) -> str:
    name = re.sub(r"[_\d].*$", "", sequence)
    return _RENAMED.get((date, name), name)


def _tracks(path: pathlib.Path) -> dict[str, np.ndarray]:
    data = read_pickle(path)
    tracks = {name: array(data.get(name), name, (None, size)) for name, size in KEYS.items()}
    array(tracks["smplPose"][:1, 65:66], "smplPose's 66th column", (1, 1))
    return tracks


IMHD = Dataset(
    name="imhd",
    title="IMHD2, SMPL-H bodies (16 betas) and 10 objects",
    source="https://github.com/AfterJourney00/IMHD-Dataset",
    scan=scan,
    read=read,
    kind=HOIFrame,
)
