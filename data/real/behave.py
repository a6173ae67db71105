"""BEHAVE (Bhatnagar et al., CVPR 2022): SMPL-H and object fits of four-Kinect recordings.

World is the colour frame of Kinect 1: x right, y down, z forward, metres. The 1-fps fits (`person_fit.pkl`,
`<object>_fit.pkl`) are the release's ground truth; the 30-fps package went through extra processing and differs from
them, so it is a dataset of its own here (`behave_30fps`). Hand poses are absolute: zero is the straight hand.
"""

import pathlib

import numpy as np

from hoijax.camera import Camera
from hoijax.data.real.reading import read_template
from hoijax.data.real.schema import Dataset, DatasetItem, Defect, HOIFrame, Index, array, existing_root, smplh_body
from hoijax.errors import InputError
from hoijax.geometry import Mesh
from hoijax.io import read_json, read_npz
from hoijax.io.archives import PLAIN
from hoijax.io.pickles import read_pickle

OBJECTS = (
    "backpack", "basketball", "boxlarge", "boxlong", "boxmedium", "boxsmall", "boxtiny", "chairblack", "chairwood",
    "keyboard", "monitor", "plasticcontainer", "stool", "suitcase", "tablesmall", "tablesquare", "toolbox", "trashbin",
    "yogaball", "yogamat",
)  # fmt: skip

# Folder of a frame's object fit where it is named by the detector's class instead of the object.
DETECTOR_CLASS = {
    "chairwood": "chair", "chairblack": "chair", "basketball": "sports ball", "yogaball": "sports ball",
}  # fmt: skip

# Simplified mesh whose vertex mean is the template's origin.
SIMPLIFIED = {"chairblack": "_f2500.ply", "chairwood": "_f2500.ply", "tablesquare": "_f2000.ply"}
MONITOR = "monitor_closed_f1000.ply"

TEST_DATE = "Date03"
CAMERAS = ("k0", "k1", "k2", "k3")


def scan(root: str | pathlib.Path) -> Index:
    """Every frame that has both fits.

    Args:
      root: the folder with `sequences/`.

    Returns:
      Items `<sequence>/<frame>`; problems name sequences without fits and frames with only one of the two.

    Raises:
      InputError: this is not BEHAVE.
    """
    root = existing_root(root, "BEHAVE", "sequences")
    splits = _splits(root)
    items, problems = [], []
    for folder in sorted(p for p in (root / "sequences").iterdir() if p.is_dir()):
        sequence = f"sequences/{folder.name}"
        try:
            info = _info(folder)
        except InputError as error:
            problems.append(Defect(sequence, str(error)))
            continue
        frames = sorted(p for p in folder.iterdir() if p.is_dir() and p.name.startswith("t"))
        count = 0
        for frame in frames:
            person = frame / "person/fit02/person_fit.pkl"
            obj = object_fit(frame, info["cat"])
            missing = [name for name, path in (("person", person), (info["cat"], obj)) if not path.exists()]
            if missing:
                problems.append(Defect(f"{sequence}/{frame.name}", f"no fit of {' and '.join(missing)}"))
                continue
            count += 1
            files = tuple(str(p.relative_to(root)) for p in (person, obj))
            items.append(DatasetItem(f"{folder.name}/{frame.name}", splits(folder.name), files))
        if not count:
            problems.append(Defect(sequence, f"no frame with both fits among {len(frames)} frames"))
    return Index("behave", root, tuple(items), tuple(problems))


def object_fit(frame: pathlib.Path, name: str) -> pathlib.Path:
    """The object's fit in a frame's folder: under the detector's class where that is there, else under its name."""
    folder = DETECTOR_CLASS.get(name, name)
    if not (frame / folder).is_dir():
        folder = name
    return frame / folder / "fit01" / f"{folder}_fit.pkl"


def read(index: Index, item: DatasetItem) -> HOIFrame:
    """The fits of one frame.

    Raises:
      InputError: a file is damaged, or an array is missing or has another shape.
    """
    person, obj = (read_pickle(index.root / name) for name in item.files)
    sequence, frame = item.key.split("/")
    info = _info(index.root / "sequences" / sequence)
    return HOIFrame(
        key=item.key,
        sequence=sequence,
        frame=frame,
        gender=str(info["gender"]),
        object_name=str(info["cat"]),
        body_kind="smplh",
        flat_hands=True,
        body=_person(person),
        obj_rot=array(obj.get("angle"), "angle", (3,)),
        obj_trans=array(obj.get("trans"), "trans", (3,)),
        images={k: f"sequences/{sequence}/{frame}/{k}.color.jpg" for k in CAMERAS},
    )


def scan_30fps(root: str | pathlib.Path) -> Index:
    """Every frame of the 30-fps parameters: `smpl_fit_all.npz` and `object_fit_all.npz` in each sequence.

    Where the two differ in length, both are cut to the shorter one and the sequence is named as a problem.

    Raises:
      InputError: no sequence folder is there.
    """
    root = existing_root(root, "BEHAVE's 30-fps parameters")
    base = root / "sequences" if (root / "sequences").is_dir() else root
    splits = _splits(root)
    items, problems = [], []
    for folder in sorted(p for p in base.iterdir() if p.is_dir()):
        sequence = folder.relative_to(root).as_posix()
        files = tuple(f"{sequence}/{name}" for name in ("smpl_fit_all.npz", "object_fit_all.npz"))
        missing = [name for name in files if not (root / name).exists()]
        if missing:
            problems.append(Defect(sequence, f"missing {' and '.join(pathlib.Path(m).name for m in missing)}"))
            continue
        try:
            lengths = [len(read_npz(root / name, kinds=PLAIN)["frame_times"]) for name in files]
        except (InputError, KeyError, TypeError) as error:
            problems.append(
                Defect(sequence, str(error) if isinstance(error, InputError) else "damaged: no frame_times")
            )
            continue
        if lengths[0] != lengths[1]:
            problems.append(
                Defect(sequence, f"{lengths[0]} body and {lengths[1]} object frames: cut to {min(lengths)}")
            )
        items += [DatasetItem(f"{folder.name}/{i:05d}", splits(folder.name), files, i) for i in range(min(lengths))]
    return Index("behave_30fps", root, tuple(items), tuple(problems))


def read_30fps(index: Index, item: DatasetItem) -> HOIFrame:
    """One row of the 30-fps parameters.

    Raises:
      InputError: a file is damaged, or an array is missing or has another shape.
    """
    person, obj = (read_npz(index.root / name, kinds=PLAIN) for name in item.files)
    sequence, i = item.key.split("/")[0], item.row
    rows = {name: person[name][i] if name in person else None for name in ("poses", "betas", "trans")}
    return HOIFrame(
        key=item.key,
        sequence=sequence,
        frame=str(person["frame_times"][i]),
        gender=str(person["gender"]) if "gender" in person else "neutral",
        object_name=sequence.split("_")[2] if sequence.count("_") >= 2 else "",
        body_kind="smplh",
        flat_hands=True,
        body=_person({"pose": rows["poses"], "betas": rows["betas"], "trans": rows["trans"]}),
        obj_rot=array(obj["angles"][i] if "angles" in obj else None, "angles", (3,)),
        obj_trans=array(obj["trans"][i] if "trans" in obj else None, "trans", (3,)),
    )


def object_template(root: str | pathlib.Path, name: str, *, full: bool = False) -> Mesh:
    """The object's mesh in the frame that its fits apply to: centred by the simplified mesh's vertex mean.

    `vertices @ R.T + trans` puts it into the world. Vertices keep the file's order.

    Args:
      root: the dataset's folder.
      name: one of `OBJECTS`.
      full: the textured scan `<name>.obj` instead of the simplified mesh, centred by the *same* point.

    Raises:
      InputError: the name or a file is unknown.
    """
    if name not in OBJECTS:
        raise InputError(f"BEHAVE has no object {name!r}; it has {', '.join(OBJECTS)}")
    folder = pathlib.Path(root) / "objects" / name
    simplified = read_template(folder / (MONITOR if name == "monitor" else name + SIMPLIFIED.get(name, "_f1000.ply")))
    mesh = read_template(folder / f"{name}.obj") if full else simplified
    centre = np.asarray(simplified.vertices).mean(axis=0)
    return Mesh(
        vertices=(np.asarray(mesh.vertices) - centre).astype(np.float32), faces=np.asarray(mesh.faces, np.int32)
    )


def camera(root: str | pathlib.Path, date: str, kinect: str) -> Camera:
    """A Kinect's colour camera, without its lens distortion.

    Args:
      root: the dataset's folder.
      date: "Date01" and so on.
      kinect: "k0" to "k3".

    Raises:
      InputError: a calibration file is missing or damaged.
    """
    calibs = pathlib.Path(root) / "calibs"
    pose = read_json(calibs / date / "config" / kinect / "config.json")
    colour = read_json(calibs / "intrinsics" / kinect / "calibration.json").get("color", {})
    rotation = array(pose.get("rotation"), "rotation", (9,), np.float64).reshape(3, 3)
    translation = array(pose.get("translation"), "translation", (3,), np.float64)
    missing = [k for k in ("fx", "fy", "cx", "cy", "width", "height") if k not in colour]
    if missing:
        raise InputError(f"{kinect}/calibration.json: 'color' lacks {', '.join(missing)}")
    T_camera_world = np.eye(4)
    # The file holds camera to world.
    T_camera_world[:3, :3], T_camera_world[:3, 3] = rotation.T, -rotation.T @ translation
    intrinsics = np.array([[colour["fx"], 0, colour["cx"]], [0, colour["fy"], colour["cy"]], [0, 0, 1]])
    return Camera(
        intrinsics=intrinsics.astype(np.float32),
        T_camera_world=T_camera_world.astype(np.float32),
        image_size=(int(colour["height"]), int(colour["width"])),
    )


def _person(fit: dict) -> dict[str, np.ndarray]:
    return smplh_body(
        array(fit.get("pose"), "pose", (156,)),
        array(fit.get("betas"), "betas", (10,)),
        array(fit.get("trans"), "trans", (3,)),
    )


def _splits(root: pathlib.Path):
    """Split of a sequence: `split.json` where it is there, else the published rule (all of Date03 is the test)."""
    path = root / "split.json"
    if path.exists():
        table = {name: split for split, names in read_json(path).items() for name in names}
        return lambda name: table.get(name, "train")
    return lambda name: "test" if name.startswith(TEST_DATE) else "train"


def _info(folder: pathlib.Path) -> dict:
    info = read_json(folder / "info.json")
    missing = [k for k in ("cat", "gender") if k not in info]
    if missing:
        raise InputError(f"info.json lacks {' and '.join(missing)}")
    return info


BEHAVE = Dataset(
    name="behave",
    title="BEHAVE, 1-fps fits of SMPL-H bodies and 20 objects",
    source="https://virtualhumans.mpi-inf.mpg.de/behave",
    scan=scan,
    read=read,
    kind=HOIFrame,
)
BEHAVE_30FPS = Dataset(
    name="behave_30fps",
    title="BEHAVE, the separate package of 30-fps parameters",
    source="https://virtualhumans.mpi-inf.mpg.de/behave",
    scan=scan_30fps,
    read=read_30fps,
    kind=HOIFrame,
)
