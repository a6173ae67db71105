"""PROX (Hassan et al., ICCV 2019): SMPL-X bodies fitted in scanned rooms; colour images are stored mirrored."""

import pathlib

import numpy as np

from hoijax.data.real.schema import Dataset, DatasetItem, Defect, Index, SceneFrame, array, existing_root, smplx_fit
from hoijax.errors import InputError
from hoijax.io import read_json
from hoijax.io.pickles import read_pickle

# Subjects whose body is SMPL-X's female one; all others of the recordings have the male one.
WOMEN = frozenset({159, 162, 3403, 3452})
# Scenes that POSA and those after it test on, and the quantitative set's.
TEST_SCENES = frozenset({"MPH16", "MPH1Library", "N0SittingBooth", "N3OpenArea", "vicon"})
# Parts whose vertices make the field's contact set.
CONTACT_SEGMENTS = ("L_Leg", "R_Leg", "L_Hand", "R_Hand", "gluteus", "back", "thighs")


def scan(root: str | pathlib.Path) -> Index:
    """Every fitted frame (`fittings/<kind>/<recording>/results/<frame>/000.pkl`) whose scene is known.

    Args:
      root: the folder with `fittings/`, `cam2world/` and `scenes/`.

    Returns:
      Items `<recording>/<frame>`; problems name recordings without a scene mesh or a camera pose.

    Raises:
      InputError: this is not PROX.
    """
    root = existing_root(root, "PROX", "fittings")
    items, problems = [], []
    for results in sorted((root / "fittings").glob("**/results")):
        recording = results.parent.name
        scene = recording.split("_")[0]
        needed = {f"scenes/{scene}.ply": "scene mesh", f"cam2world/{scene}.json": "camera pose"}
        missing = [f"{what} {name}" for name, what in needed.items() if not (root / name).exists()]
        if missing:
            problems.append(Defect(str(results.relative_to(root)), f"no {' and no '.join(missing)}"))
            continue
        for folder in sorted(p for p in results.iterdir() if p.is_dir()):
            fit = folder / "000.pkl"
            where = fit.relative_to(root).as_posix()
            if fit.exists():
                split = "test" if scene in TEST_SCENES else "train"
                items.append(DatasetItem(f"{recording}/{folder.name}", split, (where,)))
            else:
                problems.append(Defect(where, "missing"))
    return Index("prox", root, tuple(items), tuple(problems))


def read(index: Index, item: DatasetItem) -> SceneFrame:
    """One fitted frame.

    Raises:
      InputError: a file is damaged.
    """
    fit = read_pickle(index.root / item.files[0])
    recording, frame = item.key.split("/")
    scene = recording.split("_")[0]
    body = smplx_fit(fit)
    pose = read_json(index.root / "cam2world" / f"{scene}.json", kind=list)
    return SceneFrame(
        key=item.key,
        sequence=recording,
        frame=frame,
        body_kind="smplx",
        gender=_gender(recording),
        body=body,
        scene=f"scenes/{scene}.ply",
        T_scene_camera=array(pose, "cam2world", (4, 4), np.float64),
        image=f"recordings/{recording}/Color/{frame}.jpg",
        mirrored=True,
    )


def contact_set(root: str | pathlib.Path) -> np.ndarray:
    """SMPL-X vertices of hands, legs, thighs, back and gluteus: where people touch scenes (`body_segments/*.json`).

    Raises:
      InputError: a segment file is missing.
    """
    ids = []
    for name in CONTACT_SEGMENTS:
        path = pathlib.Path(root) / "body_segments" / f"{name}.json"
        if not path.exists():
            raise InputError(f"no body segment {path}")
        ids.append(array(read_json(path).get("verts_ind"), "verts_ind", (None,), np.int64))
    return np.unique(np.concatenate(ids))


def _gender(recording: str) -> str:
    """Recordings are called SCENE_SUBJECT_NUMBER; the quantitative set's only subject is a man."""
    subject = recording.split("_")[1] if "_" in recording else ""
    return "female" if subject.isdigit() and int(subject) in WOMEN else "male"


PROX = Dataset(
    name="prox",
    title="PROX, SMPL-X bodies in scanned rooms",
    source="https://prox.is.tue.mpg.de",
    scan=scan,
    read=read,
    kind=SceneFrame,
)
