"""ProciGen (Xie et al., CVPR 2024): synthetic interactions in BEHAVE's layout with 21 thousand object shapes.

Sequences are called `DateXX_Subxx_<object>_synzv2-NN`. Finger poses were dropped when the images were rendered.
"""

import pathlib

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.data.real.behave import CAMERAS
from hoijax.data.real.reading import read_template
from hoijax.data.real.schema import Dataset, DatasetItem, Defect, HOIFrame, Index, array, existing_root, smplh_body
from hoijax.geometry import Mesh
from hoijax.io.pickles import read_pickle


def scan(root: str | pathlib.Path) -> Index:
    """Every frame with both fits.

    Args:
      root: the folder of sequences.

    Returns:
      Items `<sequence>/<frame>`; problems name frames with one fit only and sequences without any.

    Raises:
      InputError: `root` is no folder.
    """
    root = existing_root(root, "ProciGen")
    items, problems = [], []
    for folder in sorted(p for p in root.iterdir() if p.is_dir() and (p / "info.json").exists()):
        obj, count = object_name(folder.name), 0
        for frame in sorted(p for p in folder.iterdir() if p.is_dir()):
            fits = (frame / "person/fit01/person_fit.pkl", frame / obj / "fit01" / f"{obj}_fit.pkl")
            missing = [p.name for p in fits if not p.exists()]
            if missing:
                problems.append(Defect(f"{folder.name}/{frame.name}", f"missing {' and '.join(missing)}"))
                continue
            count += 1
            files = tuple(str(p.relative_to(root)) for p in fits)
            items.append(DatasetItem(f"{folder.name}/{frame.name}", "train", files))
        if not count:
            problems.append(Defect(folder.name, "no frame with both fits"))
    if not items and not problems:
        problems.append(Defect(".", "no sequence folder with an info.json"))
    return Index("procigen", root, tuple(items), tuple(problems))


def read(index: Index, item: DatasetItem) -> HOIFrame:
    """The fits of one frame; the object's template is not centred: `p' = R p + t` holds in its canonical frame.

    Raises:
      InputError: a file is damaged.
    """
    person, obj = (read_pickle(index.root / name) for name in item.files)
    sequence, frame = item.key.split("/")
    rotation = array(obj.get("rot"), "rot", (3, 3), np.float64)
    return HOIFrame(
        key=item.key,
        sequence=sequence,
        frame=frame,
        gender="neutral",
        object_name=object_name(sequence),
        body_kind="smplh",
        flat_hands=True,
        body=smplh_body(
            array(person.get("pose"), "pose", (156,)),
            array(person.get("betas"), "betas", (10,)),
            array(person.get("trans"), "trans", (3,)),
        ),
        obj_rot=Rotation.from_matrix(rotation).as_rotvec().astype(np.float32),
        obj_trans=array(obj.get("trans"), "trans", (3,)),
        images={k: f"{sequence}/{frame}/{k}.color.jpg" for k in CAMERAS},
    )


def object_mesh(index: Index, item: DatasetItem) -> Mesh:
    """The object of a frame where it is: the simplified mesh that lies beside its fit, in the frame of the body.

    Raises:
      InputError: the mesh is missing or damaged.
    """
    fit = index.root / item.files[1]
    mesh = read_template(fit.with_suffix(".ply"))
    return Mesh(vertices=np.asarray(mesh.vertices, np.float32), faces=np.asarray(mesh.faces, np.int32))


def object_id(index: Index, item: DatasetItem) -> str:
    """Which shape the object of a frame is: `<synset>/<instance>` of ShapeNet, or what ABO and Objaverse call it.

    Raises:
      InputError: the fit is damaged.
    """
    fit = read_pickle(index.root / item.files[1])
    return "/".join(str(fit[key]) for key in ("synset_id", "ins_name") if key in fit)


def object_name(sequence: str) -> str:
    """Third field of a sequence's name."""
    parts = sequence.split("_")
    return parts[2] if len(parts) > 2 else ""


PROCIGEN = Dataset(
    name="procigen",
    title="ProciGen, synthetic SMPL-H interactions",
    source="https://github.com/xiexh20/ProciGen",
    scan=scan,
    read=read,
    kind=HOIFrame,
)
