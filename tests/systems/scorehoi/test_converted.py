"""What `hoijax convert` makes of the authors' files can be run: random weights in their layout, their base_data too."""

import dataclasses
import json
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
import trimesh
from PIL import Image

from hoijax.cli import main
from hoijax.errors import InputError
from hoijax.experiments.benchmarks.made_up import made_up_tables
from hoijax.jobs import objects
from hoijax.nets import weights
from hoijax.nets.blocks.pointnext import PointNeXt, PointNeXtConfig
from hoijax.nets.scorehoi import ScoreHOIRegressor, make_denoiser, sizes_of
from hoijax.nets.scorehoi.checkpoints import WEIGHTS
from hoijax.systems.scorehoi.networks import load_networks

V, MIDDLE, K = 300, 100, 48
POINTNEXT = {"width": 2, "levels": 2}
BETAS = {"betas_min": -2.0 - 0.1 * np.arange(10), "betas_max": 2.5 + 0.1 * np.arange(10)}


@pytest.fixture(scope="module")
def small():
    """The authors' entries at a size that a test can write; layout, names and everything beside stay."""
    changed = {
        "scorehoi_regressor": {"size": "tiny", "pointnext": POINTNEXT},
        "scorehoi_denoiser": {"size": "tiny"},
        "pointnext_s": {"pointnext": POINTNEXT},
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, facts in changed.items():
            entry = WEIGHTS[name]
            patch.setitem(WEIGHTS, name, dataclasses.replace(entry, published=entry.published | facts))
        yield


@pytest.fixture(scope="module")
def nets(random_module):
    """Random networks."""
    regressor, denoiser = sizes_of("tiny", "released")
    nets = {
        "regressor": random_module(lambda rngs: ScoreHOIRegressor(regressor, rngs), 1),
        "denoiser": random_module(lambda rngs: make_denoiser(denoiser, rngs), 2),
        "pointnext": random_module(lambda rngs: PointNeXt(PointNeXtConfig(**POINTNEXT), rngs), 3),
    }
    # A person five metres away in the middle of the crop, as a trained network would say first.
    head = nets["regressor"].hand4whole.body_rotation_net.cam_out[0]
    head.kernel[...], head.bias[...] = jnp.zeros_like(head.kernel[...]), jnp.asarray([0.0, 0.0, -1.0], jnp.float32)
    return nets


@pytest.fixture(scope="module")
def matrices():
    """Selections on the way down, averages on the way up, in two steps each."""
    rng = np.random.default_rng(0)
    down = [np.zeros((MIDDLE, V)), np.zeros((K, MIDDLE))]
    for matrix in down:
        matrix[np.arange(len(matrix)), np.sort(rng.permutation(matrix.shape[1])[: len(matrix)])] = 1.0
    up = [rng.dirichlet(np.ones(n), size=m) for m, n in ((MIDDLE, K), (V, MIDDLE))]
    return down, up


@pytest.fixture(scope="module")
def authors(tmp_path_factory, nets, matrices):
    """Their files: checkpoints with all that they carry for nothing, base_data, a body, a picture."""
    folder = tmp_path_factory.mktemp("authors")
    spare = {
        "regressor": {
            "smplh_layer.v_template": np.zeros((V, 3), np.float32),
            "contactformer.CA_Transformer_human.0.linear.weight": np.zeros((16, 16), np.float32),
            "hand4whole.backbone.bn1.num_batches_tracked": np.zeros((), np.int64),
        },
        "denoiser": {},
        "pointnext": {"prediction.head.0.weight": np.zeros((40, 8), np.float32)},
    }
    for name, net in nets.items():
        state = weights.state_dict_of(net) | spare[name]
        weights.write_tensors(folder / f"{name}.safetensors", {f"module.{k}": v for k, v in state.items()})
    down, up = matrices
    base = folder / "base_data"
    (base / "body").mkdir(parents=True)
    (base / "betas_stats.pkl").write_bytes(pickle.dumps(BETAS))
    sparse = np.empty(2, object)
    sparse[:] = [scipy.sparse.csc_matrix(m) for m in down]
    np.savez(base / "body" / "smpl_downsampling.npz", A=sparse, U=sparse, D=sparse)
    np.savez(base / "body" / "smpl_upsampling.npz", U1=up[0], U2=up[1])
    raw = made_up_tables("smplh", num_shapes=10, num_vertices=V)
    np.savez(folder / "SMPLH_NEUTRAL.npz", **raw)
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 255, (90, 120, 3), np.uint8)).save(folder / "a.png")
    ids = np.zeros((90, 120), np.uint8)
    ids[10:80, 40:70], ids[50:75, 70:90] = 1, 2
    Image.fromarray(ids).save(folder / "ids.png")
    trimesh.creation.box((0.4, 0.3, 0.3)).export(folder / "box.obj")
    return folder


def convert(folder, name, *options, out=None):
    out = folder / f"converted_{name}.safetensors" if out is None else out
    entry = "pointnext_s" if name == "pointnext" else f"scorehoi_{name}"
    return main(["convert", entry, str(folder / f"{name}.safetensors"), "--out", str(out), *options])


@pytest.fixture(scope="module")
def converted(small, authors):
    """What the command makes of them: files of regressor and denoiser."""
    base = ["--base-data", str(authors / "base_data")]
    assert convert(authors, "regressor", *base, "--pointnext", str(authors / "pointnext.safetensors_")) == 2
    assert convert(authors, "pointnext") == 0
    pointnext = str(authors / "converted_pointnext.safetensors")
    assert convert(authors, "regressor", *base, "--pointnext", pointnext) == 0
    assert convert(authors, "denoiser", *base) == 0
    return [authors / f"converted_{name}.safetensors" for name in ("regressor", "denoiser")]


@pytest.fixture(scope="module")
def loaded(converted, authors):
    return load_networks(*converted, authors / "SMPLH_NEUTRAL.npz")


def test_the_networks_are_the_authors_with_all_that_they_need(loaded, nets, matrices):
    stored = weights.to_flat(nets["regressor"])
    for name, array in weights.to_flat(loaded.regressor).items():
        np.testing.assert_array_equal(array, stored[name])
    # The denoiser in its folded form: the same function.
    rng = np.random.default_rng(4)
    x, t = rng.normal(size=(3, 331)).astype(np.float32), np.array([1.0, 50.0, 600.0], np.float32)
    want, got = (jax.jit(lambda x, t, net=net: net(x, t))(x, t) for net in (nets["denoiser"], loaded.denoiser))
    assert loaded.denoiser.config.folded
    np.testing.assert_allclose(got, want, atol=1e-4, rtol=1e-4)
    # Its matrices, whose product the body has; hands about MANO's mean; betas by the authors' range.
    down, up = matrices
    np.testing.assert_allclose(loaded.body.up, up[1] @ up[0], atol=1e-6)
    picked = np.argmax(down[1] @ down[0], axis=1)
    np.testing.assert_array_equal(loaded.layout.ids, picked)
    np.testing.assert_allclose(loaded.body.model.v_template, np.asarray(loaded.model.v_template)[picked], atol=1e-6)
    assert not loaded.model.flat_hand_mean and loaded.model.kind == "smplh"
    np.testing.assert_allclose(loaded.body.betas.low, BETAS["betas_min"], rtol=1e-6)
    np.testing.assert_allclose(loaded.body.betas.high, BETAS["betas_max"], rtol=1e-6)
    assert loaded.focal == 2500.0 and loaded.layout.crop == 128


def test_an_object_is_described_by_its_points_and_pointnext(loaded, nets):
    points = np.random.default_rng(5).uniform(-0.5, 0.5, (64, 3)).astype(np.float32)
    numbers = loaded.describe(points)
    np.testing.assert_array_equal(numbers[:192], points.ravel())
    want = jax.jit(lambda x: nets["pointnext"](x))(points[None])[0]
    np.testing.assert_allclose(numbers[192:], want, atol=1e-5)
    assert np.abs(numbers[192:] - loaded.describe(2 * points)[192:]).max() > 1e-3


@pytest.mark.slow
def test_reconstruct_takes_them(converted, authors, tmp_path, monkeypatch):
    monkeypatch.setattr(objects, "SDF_RESOLUTION", 16)
    code = main([
        "reconstruct", "--method=scorehoi", f"--image={authors / 'a.png'}", f"--instances={authors / 'ids.png'}",
        f"--object={authors / 'box.obj'}", f"--regressor={converted[0]}", f"--denoiser={converted[1]}",
        f"--body-model={authors / 'SMPLH_NEUTRAL.npz'}", f"--out={tmp_path / 'out'}", "--setting=released",
        "--iterations=1", "--step=25", "--batch-size=1",
    ])  # fmt: skip
    assert code == 0
    with np.load(tmp_path / "out" / "reconstruction.npz") as file:
        arrays = dict(file)
    assert all(np.isfinite(value).all() for value in arrays.values())
    assert arrays["contact_body"].shape == (K,) and arrays["refined_vertices"].shape == (V, 3)
    record = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert set(record["stages"]) == {"estimate", "guided", "refined"}


def test_what_is_missing_is_said(small, converted, authors, tmp_path, capsys):
    bare = {name: tmp_path / f"{name}.safetensors" for name in ("regressor", "denoiser")}
    assert convert(authors, "denoiser", out=bare["denoiser"]) == 0
    whole = weights.open_tensors(converted[0])
    weights.write_tensors(bare["regressor"], weights.own_arrays(whole), whole.notes)
    body = authors / "SMPLH_NEUTRAL.npz"
    with pytest.raises(InputError, match="through PointNeXt, which is not in it: convert it again with --pointnext"):
        load_networks(bare["regressor"], converted[1], body)
    with pytest.raises(InputError, match="by which range its betas are normalised: .* --base-data"):
        load_networks(converted[0], bare["denoiser"], body)
    with pytest.raises(InputError, match="give --body-model, the file or folder of SMPL-H"):
        load_networks(*converted)
    with pytest.raises(InputError, match="not of stage 2"):
        load_networks(converted[0], converted[0], body)
    with pytest.raises(InputError, match="of sizes tiny and small"):
        load_networks(converted[0], weights.shipped_file("scorehoi_denoiser"), body)
    capsys.readouterr()
    base = authors / "base_data"
    for name, options, message in (
        ("regressor", [f"--base-data={authors / 'gone'}"], "no such folder"),
        ("regressor", [f"--pointnext={authors / 'denoiser.safetensors'}"], "PointNeXt"),
        ("denoiser", [f"--base-data={base / 'body'}"], "wanted one betas_stats.pkl below it, found none"),
        ("pointnext", [f"--base-data={base}"], "not pointnext_s"),
    ):
        assert convert(authors, name, *options, out=tmp_path / "x.safetensors") == 2
        assert message in capsys.readouterr().err and not (tmp_path / "x.safetensors").exists()
    checkpoint = authors / "denoiser.safetensors"
    assert convert(authors, "denoiser", out=checkpoint) == 2
    assert "is the checkpoint itself" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"betas_min": np.zeros(10)}, "wanted a table with betas_min and betas_max"),
        ([1], "wanted a table"),
        (BETAS | {"betas_min": np.zeros(9)}, "wanted 10 finite numbers"),
        (BETAS | {"betas_max": np.full(10, np.nan)}, "wanted 10 finite numbers"),
        (BETAS | {"betas_min": "low"}, "are no numbers"),
        (BETAS | {"betas_min": BETAS["betas_max"]}, "not below its largest"),
    ],
)
def test_false_ranges_of_betas_are_refused(tmp_path, content, message):
    from hoijax.nets.scorehoi.published import read_betas_range

    (tmp_path / "betas_stats.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=message):
        read_betas_range(tmp_path / "betas_stats.pkl")


def test_matrices_that_do_not_follow_each_other_are_refused(tmp_path, matrices):
    from hoijax.nets.scorehoi.published import read_resampling

    down, up = matrices
    (d, u) = (tmp_path / f"{name}.npz" for name in "du")

    def write(steps, back):
        table = np.empty(len(steps), object)
        table[:] = steps
        np.savez(d, D=table)
        np.savez(u, **back)

    write(down, {"U1": up[0], "U2": up[1]})
    found = read_resampling(d, u)
    np.testing.assert_allclose(found["down"], down[1] @ down[0])
    np.testing.assert_allclose(found["up"], up[1] @ up[0], atol=1e-6)
    for steps, back, message in (
        (down[::-1], {"U1": up[0], "U2": up[1]}, "do not follow"),
        (down[:1], {"U1": up[0], "U2": up[1]}, "do not follow"),
        (down, {"U1": up[0][:, :9], "U2": up[1]}, "is of shape"),
        (down, {"U2": up[1]}, "wanted upsampling matrices under U1 and U2"),
    ):
        write(steps, back)
        with pytest.raises(InputError, match=message):
            read_resampling(d, u)
