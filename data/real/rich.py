"""RICH (Huang et al., CVPR 2022) as released: SMPL-X bodies in laser scans, cameras, and labels of contact.

Below the root lie `bodies/SPLIT/SEQUENCE/FRAME/SUBJECT.pkl`, `scan_calibration/CAPTURE/` with scans and
`calibration/CAM.xml`, `human_scene_contact/` or `hsc/` with the layout of `bodies/`, and `images/` or
`images_jpg_subset/`. Bodies and scans share the frame of the cameras' calibration, whose reference is the first camera.
"""

import pathlib
import xml.etree.ElementTree as ElementTree

import numpy as np

from hoijax.camera import Camera
from hoijax.data.real.schema import Dataset, DatasetItem, Defect, Index, SceneFrame, array, existing_root, smplx_fit
from hoijax.errors import InputError
from hoijax.io.pickles import read_pickle

WOMEN = frozenset({9, 10, 12, 13, 16, 17, 18, 19, 21})
"""Subjects whose body is SMPL-X's female one; all others have the male one."""
IMAGE_SIZE = (3008, 4112)
"""Of its images; the released ones are 4112 x 3008, but every file says its own."""
IMAGES = (("images", "bmp"), ("images", "png"), ("images_jpg_subset", "jpeg"))
"""Folders of images and what their names end in."""
_VERTICES, _VERTICES_SMPL = 10475, 6890


def scan_file(sequence: str) -> str:
    """The scan of a sequence, relative to the root: captures whose furniture was moved have several."""
    capture = sequence.split("_")[0]
    if capture == "LectureHall":
        name = "scan_chair_scene_camcoord" if "wiping" in sequence else "scan_yoga_scene_camcoord"
    else:
        name = "scan_table_camcoord" if capture == "Gym" and "cooking" in sequence else "scan_camcoord"
    return f"scan_calibration/{capture}/{name}.ply"


def scan(root: str | pathlib.Path) -> Index:
    """Every body whose scan is there.

    Args:
      root: the folder with `bodies/` and `scan_calibration/`.

    Returns:
      Items `<sequence>/<frame>/<subject>`; problems name sequences without a scan.

    Raises:
      InputError: this is not RICH.
    """
    root = existing_root(root, "RICH", "bodies")
    items, problems = [], []
    for folder in sorted((root / "bodies").glob("*/*")):
        if not folder.is_dir():
            continue
        split, sequence = folder.parent.name, folder.name
        if not (root / scan_file(sequence)).exists():
            problems.append(Defect(str(folder.relative_to(root)), f"no scan {scan_file(sequence)}"))
            continue
        for fit in sorted(folder.glob("*/*.pkl")):
            key = f"{sequence}/{fit.parent.name}/{fit.stem}"
            items.append(DatasetItem(key, split, (fit.relative_to(root).as_posix(),)))
    return Index("rich_scenes", root, tuple(items), tuple(problems))


def read(index: Index, item: DatasetItem) -> SceneFrame:
    """One body.

    Raises:
      InputError: a file is damaged, or the subject's name is no number.
    """
    fit = read_pickle(index.root / item.files[0])
    sequence, frame, subject = item.key.split("/")
    if not subject.isdigit():
        raise InputError(f"{item.files[0]}: a subject is a number, such as 005.pkl")
    picture = f"{sequence}/cam_00/{frame}_00"
    return SceneFrame(
        key=item.key,
        sequence=sequence,
        frame=frame,
        body_kind="smplx",
        gender="female" if int(subject) in WOMEN else "male",
        body=smplx_fit(fit),
        scene=scan_file(sequence),
        T_scene_camera=np.eye(4),
        image=_first(index.root, [f"{folder}/{item.split}/{picture}.{end}" for folder, end in IMAGES]),
    )


def cameras(root: str | pathlib.Path, sequence: str) -> list[Camera]:
    """The calibrated cameras of a sequence in order, without their lens distortion; world is the scan's frame.

    Raises:
      InputError: a file is damaged, or there is none.
    """
    folder = pathlib.Path(root) / "scan_calibration" / sequence.split("_")[0] / "calibration"
    calibrated = []
    for path in sorted(folder.glob("*.xml")):
        pose = np.eye(4, dtype=np.float32)
        pose[:3] = _matrix(path, "CameraMatrix", (3, 4))
        intrinsics = _matrix(path, "Intrinsics", (3, 3)).astype(np.float32)
        calibrated.append(Camera(intrinsics=intrinsics, T_camera_world=pose, image_size=IMAGE_SIZE))
    if not calibrated:
        raise InputError(f"no calibrated camera {folder}/*.xml")
    return calibrated


def scene_contact(index: Index, item: DatasetItem) -> tuple[np.ndarray, np.ndarray]:
    """What RICH's labels say of one body (`human_scene_contact/`).

    Returns:
      Contact (6890,) bool on SMPL's vertices, and the way (10475, 3) from each of SMPL-X's to the scan, metres.

    Raises:
      InputError: no label, or a damaged one.
    """
    own = item.files[0].removeprefix("bodies/")
    where = _first(index.root, [f"hsc/{own}", f"human_scene_contact/{own}"])
    if not (index.root / where).exists():
        raise InputError(f"no label {where}")
    label = read_pickle(index.root / where)
    contact = array(label.get("contact"), "contact", (_VERTICES_SMPL,)) > 0.5
    return contact, array(label.get("s2m_dist_id"), "s2m_dist_id", (_VERTICES, 3))


def _matrix(path: pathlib.Path, name: str, shape: tuple[int, int]) -> np.ndarray:
    try:
        text = ElementTree.parse(path).findtext(f"./{name}/data")
        values = None if text is None else np.array(text.split(), np.float64)
    except (OSError, ElementTree.ParseError, ValueError) as error:
        raise InputError(f"cannot read {path.name}: {error}") from error
    return array(values, name, (shape[0] * shape[1],), np.float64).reshape(shape)


def _first(root: pathlib.Path, names: list[str]) -> str:
    """The first that is there, else the last."""
    return next((name for name in names if (root / name).exists()), names[-1])


RICH_SCENES = Dataset(
    name="rich_scenes",
    title="RICH, SMPL-X bodies in laser scans",
    source="https://rich.is.tue.mpg.de",
    scan=scan,
    read=read,
    kind=SceneFrame,
)
