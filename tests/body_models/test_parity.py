"""pose_body against the smplx package, on made-up files of true size in the layouts of the official ones."""

import functools
import pickle

import jax
import numpy as np
import pytest

from hoijax.body_models import BodyParams, keypoints, load, pose_body

torch = pytest.importorskip("torch", reason="extra [parity]")
smplx = pytest.importorskip("smplx", reason="extra [parity]")

BATCH = 3
POSE = jax.jit(pose_body)


@pytest.fixture(scope="module")
def files(made_up, official, tmp_path_factory):
    """For every layout: the file that smplx reads, and the same body as the site gives it out, for `load`."""
    folder = tmp_path_factory.mktemp("bodies")
    rng = np.random.default_rng(3)
    made = {}
    for kind, names in (("smpl", ["SMPL_NEUTRAL"]), ("smplh", ["SMPLH_MALE"]), ("mano", ["MANO_RIGHT", "MANO_LEFT"])):
        for name in names:
            plain, ours = folder / f"{name}.pkl", folder / f"{name}_official.pkl"
            plain.write_bytes(pickle.dumps(made_up(kind), 2))
            made[name] = plain, official(ours, made_up(kind), spare_shapes=5 if kind == "smpl" else 0)
    npz = folder / "SMPLH_FEMALE.npz"
    np.savez(npz, **made_up("smplh", num_shapes=16))
    made["SMPLH_FEMALE"] = npz, npz
    face = {
        "lmk_faces_idx": rng.integers(0, 20908, 51), "lmk_bary_coords": rng.dirichlet(np.ones(3), 51),
        "dynamic_lmk_faces_idx": rng.integers(0, 20908, (79, 17)),
        "dynamic_lmk_bary_coords": rng.dirichlet(np.ones(3), (79, 17)),
        "joint2num": np.array({"Pelvis": 0}, dtype=object),  # an object that smplx never needs and load never reads
    }  # fmt: skip
    npz = folder / "SMPLX_NEUTRAL.npz"
    np.savez(npz, **made_up("smplx"), **face)
    made["SMPLX_NEUTRAL"] = npz, npz
    pkl = folder / "SMPLX_MALE.pkl"
    pkl.write_bytes(pickle.dumps(made_up("smplx", num_shapes=20) | face, 2))
    made["SMPLX_MALE"] = pkl, pkl
    return made


@pytest.fixture(scope="module")
def models(files):
    """The models as `load` reads them, each file once."""

    @functools.cache
    def read(name):
        face = {"num_expression": 10} if name.startswith("SMPLX") else {}
        side = {"side": name[5:].lower()} if name.startswith("MANO") else {}
        return load(files[name][1], num_betas=10, **face, **side)

    return read


CASES = [
    ("SMPL_NEUTRAL", smplx.SMPL, {}),
    ("SMPLH_MALE", smplx.SMPLH, {"flat_hand_mean": False}),
    ("SMPLH_MALE", smplx.SMPLH, {"flat_hand_mean": True}),
    ("SMPLH_MALE", smplx.SMPLH, {"flat_hand_mean": False, "hand_pca": 6}),
    ("SMPLH_MALE", smplx.SMPLH, {"flat_hand_mean": True, "hand_pca": 12}),
    ("SMPLH_FEMALE", smplx.SMPLH, {"flat_hand_mean": False}),
    ("SMPLX_NEUTRAL", smplx.SMPLX, {"flat_hand_mean": False}),
    ("SMPLX_MALE", smplx.SMPLX, {"flat_hand_mean": True, "hand_pca": 12}),
    ("MANO_RIGHT", smplx.MANO, {"flat_hand_mean": False}),
    ("MANO_LEFT", smplx.MANO, {"flat_hand_mean": True, "hand_pca": 6}),
]


@pytest.mark.parametrize(("name", "rival", "options"), CASES)
def test_every_vertex_and_joint_agrees_with_smplx(files, models, name, rival, options):
    theirs, face = files[name][0], name.startswith("SMPLX")
    model = models(name).replace(**options)  # the same as load(..., **options), see test_loading.py
    body = rival(
        str(theirs), ext=theirs.suffix[1:], batch_size=BATCH, num_betas=10, use_pca=options.get("hand_pca") is not None,
        num_pca_comps=options.get("hand_pca", 6), flat_hand_mean=options.get("flat_hand_mean", False),
        **({"num_expression_coeffs": 10} if face else {}),
    )  # fmt: skip
    rng = np.random.default_rng(0)
    hand = options.get("hand_pca", 45)
    sizes = {"global_orient": 3, "betas": 10, "transl": 3} | {
        "SMPL_": {"body_pose": 69},
        "SMPLH": {"body_pose": 63, "left_hand_pose": hand, "right_hand_pose": hand},
        "MANO_": {"hand_pose": hand},
    }.get(name[:5], {})
    if name.startswith("SMPLX"):
        sizes |= {"body_pose": 63, "left_hand_pose": hand, "right_hand_pose": hand, "expression": 10}
        sizes |= dict.fromkeys(("jaw_pose", "leye_pose", "reye_pose"), 3)
    keys = {key: rng.normal(scale=0.5, size=(BATCH, n)).astype(np.float32) for key, n in sizes.items()}

    got = POSE(model, BodyParams.from_axis_angle(model, **keys))
    with torch.no_grad():
        want = body(**{key: torch.tensor(value) for key, value in keys.items()})
    assert got.vertices.dtype == np.float32
    np.testing.assert_allclose(got.vertices, want.vertices.numpy(), atol=1e-5, rtol=0)
    points = np.asarray(keypoints(model, got))
    joints = want.joints.numpy()[:, : points.shape[1]]  # smplx's further points are landmarks of the face
    np.testing.assert_allclose(points[:, : joints.shape[1]], joints, atol=1e-5, rtol=0)
    np.testing.assert_array_equal(model.faces, body.faces.astype(np.int64))
