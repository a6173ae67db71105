"""Contact and affordance labels on images: DAMON, 3DIR/LEMON, PIAD, RICH (as InteractVLM packs it).

Body labels have 6890 entries (SMPL and SMPL-H share the topology) or 10475 (SMPL-X). Object labels are likelihoods on
2048 points of a cloud, one column per affordance; the columns' order is the dataset's own.
"""

import functools
import pathlib
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from hoijax.data.real.schema import ContactSample, Dataset, DatasetItem, Defect, Index, array, existing_root
from hoijax.errors import InputError
from hoijax.io import read_json
from hoijax.io.pickles import read_object_npz, read_pickle

SMPL_VERTICES = 6890

PIAD_AFFORDANCES = (
    "grasp", "contain", "lift", "open", "lay", "sit", "support", "wrapgrasp", "pour", "move", "display", "push",
    "listen", "wear", "press", "cut", "stab",
)  # fmt: skip
# The eleventh column is called "listen" in InteractVLM and "wear" in LEMON's own code.
LEMON_AFFORDANCES = (
    "grasp", "lift", "open", "lay", "sit", "support", "wrapgrasp", "pour", "move", "pull", "wear", "press", "cut",
    "stab", "ride", "play", "carry",
)  # fmt: skip

DAMON_FILES = {"train": "hot_dca_trainval.npz", "test": "hot_dca_test.npz"}


def scan_damon(root: str | pathlib.Path) -> Index:
    """Every image of DAMON's official files (`hot_dca_trainval.npz`, `hot_dca_test.npz`).

    Raises:
      InputError: neither file is there.
    """
    root = existing_root(root, "DAMON", *DAMON_FILES.values())
    items, problems = [], []
    for split, name in DAMON_FILES.items():
        if not (root / name).exists():
            problems.append(Defect(name, f"missing; the {split} split is left out"))
            continue
        try:
            data = read_object_npz(root / name)
            names, labels = data["imgname"], data["contact_label"]
        except (InputError, KeyError) as error:
            problems.append(Defect(name, f"damaged: {error}"))
            continue
        if len(names) != len(labels):
            problems.append(Defect(name, f"{len(names)} images and {len(labels)} labels"))
        keys = (f"{split}/{i:05d}" for i in range(min(len(names), len(labels))))
        items += [DatasetItem(key, split, (name,), i) for i, key in enumerate(keys)]
    return Index("damon", root, tuple(items), tuple(problems))


def read_damon(index: Index, item: DatasetItem) -> ContactSample:
    """The binary contact labels of one image, whatever it touches.

    Raises:
      InputError: the file is damaged.
    """
    data = read_object_npz(index.root / item.files[0])
    i = item.row
    body = {
        key: array(np.ravel(data[name][i]), name, (None,))
        for key, name in (("betas", "shape"), ("transl", "transl"))
        if name in data
    }
    if "pose" in data:
        pose = array(np.ravel(data["pose"][i]), "pose", (72,))
        body |= {"global_orient": pose[:3], "body_pose": pose[3:]}
    return ContactSample(
        key=item.key,
        image=str(data["imgname"][i]),
        object_name="",
        body_kind="smpl",
        body_contact=array(data["contact_label"][i], "contact_label", (SMPL_VERTICES,)) > 0.5,
        body=body or None,
    )


def damon_objects(index: Index, item: DatasetItem) -> dict[str, np.ndarray]:
    """The vertices that touch each kind of object in one image; "supporting" is the ground and other supports.

    Raises:
      InputError: the file is damaged.
    """
    table = read_object_npz(index.root / item.files[0])["contact_label_objectwise"][item.row]
    return {str(name): np.asarray(ids, np.int64) for name, ids in dict(table).items()}


def scan_lemon(root: str | pathlib.Path) -> Index:
    """Every image of 3DIR as LEMON packs it (`txt_scripts/{train,val}.txt`).

    Raises:
      InputError: this is not 3DIR/LEMON.
    """
    root = existing_root(root, "3DIR/LEMON", "txt_scripts")
    items, problems = [], []
    for split in ("train", "val"):
        listing = root / "txt_scripts" / f"{split}.txt"
        if not listing.exists():
            problems.append(Defect(f"txt_scripts/{split}.txt", "missing"))
            continue
        for image in listing.read_text().split():
            contact = _lemon_contact(image)
            if (root / contact).exists():
                items.append(DatasetItem(image, split, (contact,)))
            else:
                problems.append(Defect(contact, "missing body contact of an image listed"))
    return Index("lemon", root, tuple(items), tuple(problems))


def read_lemon(index: Index, item: DatasetItem) -> ContactSample:
    """Body contact and, where it is there, SMPL-H parameters of one image.

    Raises:
      InputError: the file is damaged.
    """
    obj, affordance = pathlib.PurePosixPath(item.key).parts[-3:-1]
    labels = index.root / "smplh_param" / "human_label.json"
    table = _whole_file(labels) if labels.exists() else {}
    return ContactSample(
        key=item.key,
        image=item.key,
        object_name=obj,
        affordance=affordance,
        body_kind="smpl",
        body_contact=array(read_pickle(index.root / item.files[0]), "contact", (SMPL_VERTICES,)) > 0.5,
        body=_lemon_body(table[item.key]["smplh_param"]) if item.key in table else None,
    )


def _whole_file(path: pathlib.Path) -> Any:
    """What a file of labels of all images holds, kept while the file stays as it is."""
    stat = path.stat()
    return _kept_file(path, stat.st_mtime_ns, stat.st_size)


@functools.lru_cache(maxsize=2)
def _kept_file(path: pathlib.Path, changed: int, size: int) -> Any:
    return read_json(path) if path.suffix == ".json" else read_pickle(path)


def _lemon_contact(image: str) -> str:
    return "smplh_contact_pkl/" + str(
        pathlib.PurePosixPath(*pathlib.PurePosixPath(image).parts[1:]).with_suffix(".pkl")
    )


def _lemon_body(params: dict) -> dict[str, np.ndarray]:
    """Rotation matrices to the field's axis-angle keys."""
    body = {"betas": array(np.ravel(params["shape"]), "shape", (None,)), "transl": _flat(params["transl"], 3)}
    for name in ("global_orient", "body_pose", "left_hand_pose", "right_hand_pose"):
        matrices = np.asarray(params[name], np.float64).reshape(-1, 3, 3)
        body[name] = Rotation.from_matrix(matrices).as_rotvec().ravel().astype(np.float32)
    return body


def _flat(values, size: int) -> np.ndarray:
    return array(np.ravel(values), "transl", (size,))


def read_point_file(
    path: str | pathlib.Path, affordances: tuple[str, ...], affordance: str
) -> tuple[np.ndarray, np.ndarray]:
    """Points (2048, 3) and likelihoods (2048,) of one affordance from a point file.

    Rows are `x y z` and one number per affordance; PIAD puts an id and the object's name before them.

    Args:
      path: the text file.
      affordances: the columns' names, `PIAD_AFFORDANCES` or `LEMON_AFFORDANCES`.
      affordance: the one wanted.

    Raises:
      InputError: the affordance has no column, or a row has another length or no numbers.
    """
    if affordance not in affordances:
        raise InputError(f"no affordance {affordance!r}; the columns are {', '.join(affordances)}")
    width = 3 + len(affordances)
    try:
        rows = np.array([line.split()[-width:] for line in pathlib.Path(path).read_text().splitlines() if line.strip()])
        table = rows.astype(np.float32)
    except ValueError:
        raise InputError(f"{pathlib.Path(path).name}: wanted rows of {width} numbers") from None
    if table.ndim != 2 or table.shape[1] != width:
        raise InputError(f"{pathlib.Path(path).name}: rows have {table.shape[-1]} numbers, wanted {width}")
    return table[:, :3], table[:, 3 + affordances.index(affordance)]


def scan_piad(root: str | pathlib.Path) -> Index:
    """Image and point-cloud pairs of PIAD, seen setting (`Img_{Train,Test}.txt`, `Point_{Train,Test}.txt`).

    Test pairs image i with line i of the points; training pairs by object, the first cloud of the same object here.

    Raises:
      InputError: this is not PIAD.
    """
    root = existing_root(root, "PIAD", "Img_Train.txt", "Img_Test.txt")
    items, problems = [], []
    for split in ("Train", "Test"):
        names = {kind: root / f"{kind}_{split}.txt" for kind in ("Img", "Point")}
        missing = [p.name for p in names.values() if not p.exists()]
        if missing:
            problems.append(Defect(" and ".join(missing), f"missing; the {split.lower()} split is left out"))
            continue
        images, clouds = (p.read_text().split() for p in names.values())
        if split == "Test" and len(images) != len(clouds):
            problems.append(Defect("Point_Test.txt", f"{len(clouds)} lines for {len(images)} images"))
        by_object = {_piad_object(c): c for c in reversed(clouds)}
        for i, image in enumerate(images):
            cloud = clouds[i] if split == "Test" and i < len(clouds) else by_object.get(_piad_object(image))
            if cloud is None or not (root / cloud).exists():
                problems.append(Defect(image, f"no point file ({cloud})"))
            else:
                items.append(DatasetItem(image, split.lower(), (cloud,)))
    return Index("piad", root, tuple(items), tuple(problems))


def read_piad(index: Index, item: DatasetItem) -> ContactSample:
    """Points and likelihoods of the affordance that the image shows.

    Raises:
      InputError: the point file is damaged.
    """
    affordance = pathlib.PurePosixPath(item.key).stem.split("_")[-2].lower()
    points, scores = read_point_file(index.root / item.files[0], PIAD_AFFORDANCES, affordance)
    return ContactSample(
        key=item.key,
        image=item.key,
        object_name=_piad_object(item.key),
        affordance=affordance,
        object_points=points,
        object_scores=scores,
    )


def _piad_object(path: str) -> str:
    """Files are `<Split>/<Object>/<affordance>/<Split>_<Object>_<affordance>_<k>` or `..._<Object>_<k>`."""
    return pathlib.PurePosixPath(path).stem.split("_")[1]


def scan_rich(root: str | pathlib.Path) -> Index:
    """RICH as InteractVLM packs it (`img_list_train.pkl`, `contact_vertices_train.pkl`).

    Raises:
      InputError: this is not that package.
    """
    root = existing_root(root, "RICH (InteractVLM's package)", "img_list_train.pkl")
    try:
        images = list(read_pickle(root / "img_list_train.pkl"))
        labels = read_pickle(root / "contact_vertices_train.pkl")
    except (InputError, OSError) as error:
        return Index("rich", root, (), (Defect("contact_vertices_train.pkl", str(error)),))
    problems = []
    if len(images) != len(labels):
        problems.append(Defect("contact_vertices_train.pkl", f"{len(labels)} labels for {len(images)} images"))
    count = min(len(images), len(labels))
    items = [DatasetItem(str(images[i]), "train", ("contact_vertices_train.pkl",), i) for i in range(count)]
    return Index("rich", root, tuple(items), tuple(problems))


def read_rich(index: Index, item: DatasetItem) -> ContactSample:
    """Contact of the body with the scene.

    Raises:
      InputError: the file is damaged.
    """
    labels = _whole_file(index.root / item.files[0])
    row = labels[item.row] if not isinstance(labels, dict) else labels[item.key]
    row = np.asarray(row)
    if row.shape != (SMPL_VERTICES,):  # a list of vertex ids
        mask = np.zeros(SMPL_VERTICES, bool)
        mask[row.astype(np.int64)] = True
        row = mask
    return ContactSample(
        key=item.key,
        image=f"images/{item.key}",
        object_name="scene",
        body_kind="smpl",
        body_contact=array(row, "contact", (SMPL_VERTICES,)) > 0.5,
    )


DAMON = Dataset(
    name="damon",
    title="DAMON, body contact on in-the-wild images",
    source="https://deco.is.tue.mpg.de",
    scan=scan_damon,
    read=read_damon,
    kind=ContactSample,
)
LEMON = Dataset(
    name="lemon",
    title="3DIR / LEMON, body contact and object affordance",
    source="https://github.com/yyvhang/lemon_3d",
    scan=scan_lemon,
    read=read_lemon,
    kind=ContactSample,
)
PIAD = Dataset(
    name="piad",
    title="PIAD, object affordance from images",
    source="https://github.com/yyvhang/IAGNet",
    scan=scan_piad,
    read=read_piad,
    kind=ContactSample,
)
RICH = Dataset(
    name="rich",
    title="RICH, body-scene contact",
    source="https://rich.is.tue.mpg.de",
    scan=scan_rich,
    read=read_rich,
    kind=ContactSample,
)
