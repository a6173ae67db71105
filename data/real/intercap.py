"""InterCap (Huang et al., IJCV 2024): SMPL-X and object fits of six-Kinect recordings; camera 1 is the world."""

import pathlib

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.camera import Camera
from hoijax.data.real.reading import read_template
from hoijax.data.real.schema import Dataset, DatasetItem, Defect, HOIFrame, Index, array, existing_root
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.io import read_json
from hoijax.io.pickles import read_pickle

OBJECTS = {
    "01": "suitcase", "02": "skateboard", "03": "soccerball", "04": "umbrella", "05": "racket", "06": "toolbox",
    "07": "chair", "08": "fantabottle", "09": "cup", "10": "stool",
}  # fmt: skip
MALE = ("01", "02", "04", "05", "10")
TEST_SUBJECTS = ("09", "10")
IMAGE_SIZE = (1080, 1920)
KEYS = {
    "global_orient": 3, "body_pose": 63, "left_hand_pose": 12, "right_hand_pose": 12, "betas": 10, "transl": 3,
    "ob_pose": 3, "ob_trans": 3,
}  # fmt: skip


def scan(root: str | pathlib.Path) -> Index:
    """Every frame of every segment that has a result.

    Args:
      root: the folder with `Res/`.

    Returns:
      Items `<subject>/<object>/<segment>/<frame>`; problems name segments without a usable `res.pkl`. Subjects 09 and
      10 are the test split that the field uses.

    Raises:
      InputError: this is not InterCap.
    """
    root = existing_root(root, "InterCap", "Res")
    items, problems = [], []
    for folder in sorted((root / "Res").glob("*/*/Seg_*")):
        where = folder.relative_to(root).as_posix()
        subject, obj, segment = folder.relative_to(root / "Res").parts
        try:
            lengths = {k: len(v) for k, v in _results(folder / "res.pkl").items()}
        except InputError as error:
            problems.append(Defect(where, str(error)))
            continue
        count = min(lengths.values())
        if max(lengths.values()) != count:
            problems.append(Defect(where, f"arrays differ in length, cut to {count}: {lengths}"))
        split = "test" if subject in TEST_SUBJECTS else "train"
        keys = (f"{subject}/{obj}/{segment}/{i:05d}" for i in range(count))
        items += [DatasetItem(key, split, (f"{where}/res.pkl",), i) for i, key in enumerate(keys)]
    if not items and not problems:
        problems.append(Defect("Res", "no segment folder <subject>/<object>/Seg_<k>"))
    return Index("intercap", root, tuple(items), tuple(problems))


def read(index: Index, item: DatasetItem) -> HOIFrame:
    """One frame of a segment.

    Raises:
      InputError: the file is damaged.
    """
    subject, obj, segment, frame = item.key.split("/")
    row = {name: values[item.row] for name, values in _results(index.root / item.files[0]).items()}
    images = f"RGBD_Images/{subject}/{obj}/{segment}/Frames_Cam{{}}/color/{frame}.jpg"
    return HOIFrame(
        key=item.key,
        sequence=f"{subject}/{obj}/{segment}",
        frame=frame,
        gender="male" if subject in MALE else "female",
        object_name=OBJECTS.get(obj, obj),
        body_kind="smplx",
        flat_hands=False,
        body={name: row[name] for name in list(KEYS)[:6]},
        obj_rot=row["ob_pose"],
        obj_trans=row["ob_trans"],
        images={f"cam{k}": images.format(k) for k in range(1, 7)},
    )


def object_template(index: Index, item: DatasetItem) -> Mesh:
    """The object's template, recovered from a segment's first posed mesh: `v = R^T (v_world - t)`.

    Raises:
      InputError: the mesh `Mesh/00000_second_obj.ply` of the segment is missing.
    """
    folder = index.root / pathlib.Path(item.files[0]).parent
    results = _results(folder / "res.pkl")
    mesh = read_template(folder / "Mesh" / "00000_second_obj.ply")
    rotation = Rotation.from_rotvec(results["ob_pose"][0].astype(np.float64)).as_matrix()
    vertices = (np.asarray(mesh.vertices) - results["ob_trans"][0]) @ rotation
    return Mesh(vertices=vertices.astype(np.float32), faces=np.asarray(mesh.faces, np.int32))


def calibration_set(subject: str, obj: str) -> str:
    """Which of the three calibrations holds for a subject and an object: "first", "second" or "third".

    Raises:
      InputError: subject 04 with objects 05 to 07, which the released rule leaves open; verify by reprojection.
    """
    s, m = int(subject), int(obj)
    if (s in (1, 2, 3) and m <= 7) or (s == 4 and m <= 4):
        return "first"
    if s in (8, 9, 10) or (s in (1, 2, 4, 5, 6, 7) and m >= 8):
        return "second"
    if (s == 3 and m >= 8) or (s in (5, 6, 7) and m <= 7):
        return "third"
    raise InputError(f"InterCap's rule names no calibration for subject {subject} with object {obj}")


def camera(folder: str | pathlib.Path, number: int) -> Camera:
    """A colour camera of one calibration set, without its lens distortion.

    Args:
      folder: the set's folder, with `Color.json` (camera 1), `Color_2.json` and so on.
      number: 1 to 6.

    Raises:
      InputError: the file is missing or damaged.
    """
    path = pathlib.Path(folder) / ("Color.json" if number == 1 else f"Color_{number}.json")
    data = read_json(path)
    f, c = (array(data.get(k), k, (2,), np.float64) for k in ("f", "c"))
    T_camera_world = np.eye(4)
    T_camera_world[:3, :3] = Rotation.from_rotvec(_vector(data, "R")).as_matrix()
    T_camera_world[:3, 3] = _vector(data, "T")
    return Camera(
        intrinsics=np.array([[f[0], 0, c[0]], [0, f[1], c[1]], [0, 0, 1]], np.float32),
        T_camera_world=T_camera_world.astype(np.float32),
        image_size=IMAGE_SIZE,
    )


def _vector(data: dict, key: str) -> np.ndarray:
    values = data.get(key)
    return array(None if values is None else np.ravel(values), key, (3,), np.float64)


def _results(path: pathlib.Path) -> dict[str, np.ndarray]:
    if not path.exists():
        raise InputError(f"no {path.name}")
    data = read_pickle(path)
    return {name: array(data.get(name), name, (None, size)) for name, size in KEYS.items()}


INTERCAP = Dataset(
    name="intercap",
    title="InterCap, SMPL-X bodies and 10 objects",
    source="https://intercap.is.tue.mpg.de",
    scan=scan,
    read=read,
    kind=HOIFrame,
)
