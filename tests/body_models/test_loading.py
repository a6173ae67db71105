"""load recognises every layout from its contents, executes nothing, and says what is wrong with a file."""

import os
import pickle
import shutil
import sys
import zipfile

import numpy as np
import pytest

from hoijax.body_models import JOINT_NAMES, PARENTS, load, save
from hoijax.errors import InputError

SMALL = {"smpl": 250, "smplh": 530, "smplx": 560, "mano": 170}


@pytest.fixture(scope="module")
def small(made_up):
    """A body file's contents with few vertices: nothing but the speed depends on how many there are."""
    return lambda kind, **options: dict(made_up(kind, num_vertices=SMALL[kind], **options))


def check(model, raw, kind):
    assert (model.kind, model.parents) == (kind, PARENTS[kind])
    for name, want in (
        ("v_template", raw["v_template"]),
        ("shape_dirs", raw["shapedirs"]),
        ("pose_dirs", raw["posedirs"]),
        ("skin_weights", raw["weights"]),
        ("joint_template", raw["J_regressor"] @ raw["v_template"]),
        ("joint_shape_dirs", np.einsum("jv,vcs->jcs", raw["J_regressor"], raw["shapedirs"])),
    ):
        assert getattr(model, name).dtype == np.float32
        np.testing.assert_allclose(getattr(model, name), want, atol=1e-6, err_msg=name)
    np.testing.assert_array_equal(model.faces, raw["f"].astype(np.int64))


@pytest.mark.parametrize("kind", ["smpl", "smplh", "smplx", "mano"])
@pytest.mark.parametrize("layout", ["official pickle", "old pickle", "npz", "npz with objects"])
def test_layouts(small, official, tmp_path, kind, layout):
    raw, path = small(kind), tmp_path / "no_hint.bin"
    if "pickle" in layout:
        official(path, raw, spare_shapes=0 if kind == "smplx" else 3, protocol=2 if layout == "official pickle" else 0)
        assert "chumpy" not in sys.modules
    else:
        content = dict(raw)
        if layout == "npz with objects":
            import scipy.sparse

            content["J_regressor"] = np.array(scipy.sparse.csc_matrix(raw["J_regressor"]), dtype=object)
        with path.open("wb") as file:
            np.savez(file, **content)
    model = load(path, **({"side": "left"} if kind == "mano" else {}))
    check(model, raw, kind)
    if kind != "mano":
        assert model.joint_names == JOINT_NAMES[kind]
        assert model.flat_hand_mean == (kind == "smpl")
    assert model.num_expression == (100 if kind == "smplx" else 0)
    assert model.landmarks  # found from the geometry: these sizes have no table


def test_sizes_of_the_official_meshes_get_the_field_s_landmarks(made_up, tmp_path):
    np.savez(tmp_path / "model.npz", **made_up("mano"))
    model = load(tmp_path / "model.npz", side="right")
    assert dict(model.landmarks) == {
        "right_thumb": 744, "right_index": 320, "right_middle": 443, "right_ring": 554, "right_pinky": 671,
    }  # fmt: skip


def test_mano_knows_its_side(small, tmp_path):
    raw = small("mano")
    raw["v_template"] = np.abs(raw["v_template"])
    raw["J_regressor"] = np.eye(16, len(raw["v_template"]))
    raw["v_template"][0] = 0.0
    np.savez(tmp_path / "a.npz", **raw)
    np.savez(tmp_path / "b.npz", **raw | {"v_template": raw["v_template"] * [-1, 1, 1]})
    left, right = load(tmp_path / "a.npz"), load(tmp_path / "b.npz")
    assert left.joint_names[:2] == ("left_wrist", "left_index1")
    assert right.joint_names[:2] == ("right_wrist", "right_index1")
    np.savez(
        tmp_path / "c.npz", **raw | {"v_template": np.concatenate([raw["v_template"][:85], -raw["v_template"][:85]])}
    )
    with pytest.raises(InputError, match="left or right; say so with side="):
        load(tmp_path / "c.npz")


def test_saved_models_load_as_they_were(small, tmp_path):
    np.savez(tmp_path / "model.npz", **small("smplx"))
    model = load(tmp_path / "model.npz", num_betas=12, num_expression=5)
    save(tmp_path / "converted.npz", model)
    again = load(tmp_path / "converted.npz")
    assert (again.num_betas, again.num_expression) == (17, 5)
    for name in ("v_template", "shape_dirs", "pose_basis", "joint_shape_dirs", "skin_weights", "faces", "hand_mean"):
        np.testing.assert_array_equal(getattr(again, name), getattr(model, name))
    for name in ("parents", "joint_names", "kind", "landmarks", "flat_hand_mean", "hand_pca"):
        assert getattr(again, name) == getattr(model, name)


def test_shape_and_expression_are_cut_as_asked(small, tmp_path):
    raw = small("smplx")
    np.savez(tmp_path / "model.npz", **raw)
    model = load(tmp_path / "model.npz", num_betas=10, num_expression=4)
    np.testing.assert_allclose(model.shape_dirs, raw["shapedirs"][..., [*range(10), *range(300, 304)]], atol=1e-7)
    with pytest.raises(InputError, match="num_betas=301, but model.npz has 300"):
        load(tmp_path / "model.npz", num_betas=301)
    with pytest.raises(InputError, match="num_expression=101, but model.npz has 100"):
        load(tmp_path / "model.npz", num_expression=101)


def test_smplx_of_an_unknown_split_is_refused(small, tmp_path):
    np.savez(tmp_path / "model.npz", **small("smplx", num_shapes=57))
    with pytest.raises(InputError, match="57 shape directions; known are 400"):
        load(tmp_path / "model.npz")


def test_files_without_a_mean_hand_need_a_word(small, tmp_path):
    amass = {key: value for key, value in small("smplh", num_shapes=16).items() if not key.startswith("hands_")}
    np.savez(tmp_path / "model.npz", **amass)
    with pytest.raises(InputError, match=r"no mean hand pose .*AMASS.*flat_hand_mean=True.*mano\.is\.tue\.mpg\.de"):
        load(tmp_path / "model.npz")
    model = load(tmp_path / "model.npz", flat_hand_mean=True)
    assert model.num_betas == 16
    with pytest.raises(InputError, match="hand_pca=6, but model.npz has 0 hand components"):
        load(tmp_path / "model.npz", flat_hand_mean=True, hand_pca=6)


def test_hands_are_read_as_asked(small, tmp_path):
    raw = small("smplh")
    np.savez(tmp_path / "model.npz", **raw)
    model = load(tmp_path / "model.npz", flat_hand_mean=True, hand_pca=12)
    assert (model.flat_hand_mean, model.hand_pca) == (True, 12)
    np.testing.assert_allclose(model.hand_mean, np.stack([raw["hands_meanl"], raw["hands_meanr"]]), atol=1e-7)
    np.testing.assert_allclose(model.hand_components[1], raw["hands_componentsr"], atol=1e-7)


class Payload:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch {self.target}",)


def test_a_pickle_with_a_payload_is_refused_and_not_executed(small, tmp_path):
    target = tmp_path / "executed"
    for content in (Payload(target), small("smplh") | {"posedirs": Payload(target)}):
        (tmp_path / "SMPLH_MALE.pkl").write_bytes(pickle.dumps(content, 2))
        with pytest.raises(InputError, match=r"SMPLH_MALE\.pkl: the pickle asks for .*system, which is refused"):
            load(tmp_path / "SMPLH_MALE.pkl")
    hidden = np.empty(1, object)
    hidden[0] = Payload(target)
    np.savez(tmp_path / "SMPLH_MALE.npz", **small("smplh") | {"posedirs": hidden})
    with pytest.raises(InputError, match=r"SMPLH_MALE\.npz/posedirs: .*refused"):
        load(tmp_path / "SMPLH_MALE.npz")
    assert not target.exists()


def test_a_file_of_the_wrong_kind_is_named(small, tmp_path):
    np.savez(tmp_path / "body.npz", **small("smpl"))
    with pytest.raises(
        InputError, match=r"body\.npz is SMPL \(24 joints\), wanted is SMPL-H; .*mano\.is\.tue\.mpg\.de"
    ):
        load(tmp_path / "body.npz", kind="smplh")
    raw = small("smpl")
    flame = raw | {"weights": np.full((250, 5), 0.2)}
    np.savez(tmp_path / "flame.npz", **flame)
    with pytest.raises(InputError, match=r"5 joints \(5 is FLAME, a head alone\)"):
        load(tmp_path / "flame.npz")
    np.savez(tmp_path / "pose.npz", poses=np.zeros((4, 156)), betas=np.zeros(16), trans=np.zeros((4, 3)))
    with pytest.raises(InputError, match="parameters of a body .*not a body model"):
        load(tmp_path / "pose.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match=r"no body model; it has a, wanted are v_template"):
        load(tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"posedirs": None}, "a body file without posedirs; it has"),
        ({"posedirs": np.zeros((250, 3, 9))}, r"looks like SMPL, but posedirs has the shape \(250, 3, 9\) instead of"),
        ({"J_regressor": np.zeros((24, 100))}, r"J_regressor has the shape \(24, 100\) instead of \(24, 250\)"),
        ({"f": np.full((4, 3), 250)}, "faces name the vertex 250, there are 250"),
        ({"weights": np.zeros((250, 24))}, "do not sum to one"),
        ({"v_template": np.full((250, 3), np.nan)}, "v_template holds 750 numbers that are not finite"),
        ({"v_template": np.full((250, 3), "a")}, "v_template holds no numbers"),
        ({"kintree_table": np.stack([np.arange(-1, 23), np.arange(24)])}, "joined otherwise: parents"),
    ],
)
def test_damaged_contents_are_named(small, tmp_path, change, message):
    raw = {key: value for key, value in (small("smpl") | change).items() if value is not None}
    np.savez(tmp_path / "SMPL.npz", **raw)
    with pytest.raises(InputError, match=r"SMPL\.npz: .*" + message):
        load(tmp_path / "SMPL.npz")


def test_damaged_files_are_named(small, tmp_path):
    np.savez(tmp_path / "whole.npz", **small("mano"))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:-5000])
    (tmp_path / "cut.pkl").write_bytes(pickle.dumps(small("mano"), 2)[:-5000])
    (tmp_path / "page.pkl").write_text("<!DOCTYPE html><title>Sign in</title>")
    (tmp_path / "pointer.npz").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (tmp_path / "list.pkl").write_bytes(pickle.dumps([1, 2], 2))
    (tmp_path / "empty.pkl").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "archive.npz", "w") as archive:
        archive.writestr("readme.txt", "a download, not yet unpacked")
    for name, message in (
        ("cut.npz", "damaged or no .npz"),
        ("cut.pkl", "damaged or no pickle"),
        ("page.pkl", "is a web page: the download wanted a login"),
        ("pointer.npz", "pointer of Git LFS"),
        ("list.pkl", "holds a list, not the keys"),
        ("empty.pkl", "damaged or no pickle"),
        ("archive.npz", "no body model"),
        ("nothing.npz", "cannot read .*people download them themselves .*free_body"),
    ):
        with pytest.raises(InputError, match=f"{name}.*{message}|{message}"):
            load(tmp_path / name)


def test_folders(small, tmp_path):
    np.savez(tmp_path / "one.npz", **small("smplh"))
    for place in (
        "amass/female/model.npz", "amass/male/model.npz", "amass/dmpls/male/model.npz", "smplh/SMPLH_MALE.npz",
        "smplx/SMPLX_NEUTRAL.npz", "smpl/basicModel_f_lbs_10_207_0_v1.0.0.npz", "mano/MANO_LEFT.npz",
        "mano/MANO_RIGHT.npz",
    ):  # fmt: skip
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        if "dmpls" not in place:
            shutil.copy(tmp_path / "one.npz", tmp_path / place)
    (tmp_path / "one.npz").unlink()
    assert load(tmp_path / "amass", gender="female").kind == "smplh"
    assert load(tmp_path / "smplh").kind == "smplh"
    with pytest.raises(
        InputError, match=r"2 body files \(female/model\.npz, male/model\.npz\); choose by kind=, gender="
    ):
        load(tmp_path / "amass")
    with pytest.raises(InputError, match="no body file for kind=smplx, gender=male in"):
        load(tmp_path, kind="smplx", gender="male")
    with pytest.raises(InputError, match=r"basicModel_f.*is SMPL-H"):  # it is what it holds, whatever its name
        load(tmp_path, kind="smpl", gender="female")
    with pytest.raises(InputError, match="MANO_LEFT.*is SMPL-H"):
        load(tmp_path, kind="mano", side="left")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "smplz"}, "kind 'smplz'; there are smpl, smplh"),
        ({"side": "both"}, "side 'both'"),
        ({"gender": "male"}, "is a file; gender chooses among the files of a folder"),
    ],
)
def test_wrong_options_are_named(small, tmp_path, options, message):
    np.savez(tmp_path / "one.npz", **small("smpl"))
    with pytest.raises(InputError, match=message):
        load(tmp_path / "one.npz", **options)
