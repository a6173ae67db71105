"""HOI3DGen's chain: from pictures to parts and a body, every stage a file; networks that draw."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from scipy.spatial import cKDTree

from hoijax.body_models import free_body
from hoijax.errors import InputError
from hoijax.experiments.hoi3dgen import pictures, small_sana
from hoijax.geometry import RigidPose
from hoijax.io import read_npz
from hoijax.jobs import generation, sana_generation
from hoijax.nets import sana, weights
from hoijax.nets.sana.small import SmallSana
from hoijax.optim.fitting.surface import SurfaceFitConfig
from hoijax.systems.hoi3dgen import chain
from hoijax.systems.hoi3dgen.image_to_mesh import HunyuanServer, VisualHull
from hoijax.systems.hoi3dgen.layout import (
    VIEW_TAGS,
    RunFolder,
    read_labels,
    read_masks,
    read_picture,
    write_masks,
    write_picture,
)
from hoijax.systems.hoi3dgen.template import LabelledSurface
from hoijax.systems.hoi3dgen.text_to_image import FILES, DrawConfig, TextToImage, load_text_to_image
from hoijax.viz.scene import NamedMesh

TEXT = "A person in a red shirt and yellow jeans carries a blue box with both hands."
CONFIG = chain.ChainConfig(
    views=4, size=96, fit=SurfaceFitConfig(yaws=2, lying=False, kept=(1, 1), steps=(2, 2))
)  # fmt: skip


@pytest.fixture(autouse=True)
def single_precision():
    with jax.enable_x64(False):
        yield


def nobody(*_, **__):
    raise AssertionError("a stage whose file is there was made again")


@pytest.fixture(scope="module")
def shown():
    with jax.enable_x64(False):
        scene = pictures.draw_scene("carry_two_hands", "box", (0, 0, 0))
        return pictures.paint(pictures.draw_layers([scene], 64)[0], pictures.palette("red", "yellow", "blue"))


@pytest.fixture(scope="module")
def made(tmp_path_factory, shown):
    folder, asked = RunFolder(tmp_path_factory.mktemp("chain")), []

    def draw(texts, seed):
        asked.append((texts, seed))
        return shown

    with jax.enable_x64(False):
        result = chain.run_chain(folder, TEXT, free_body("test"), draw=draw, lift=VisualHull(40), config=CONFIG)
    return folder, result, asked


def test_views_are_asked_for_once_and_lie_in_their_stage(made, shown):
    folder, _, asked = made
    assert asked == [([sana.view_text(TEXT, view) for view in sana.VIEWS], 0)]
    assert tuple(sana.VIEWS) == VIEW_TAGS and sana.VIEWS == {
        "front": 0.0, "left diagonal": -45.0, "right diagonal": 45.0,
    }  # fmt: skip
    assert folder.indices("images") == folder.indices("white_bg") == (0, 1, 2)
    np.testing.assert_array_equal(read_picture(folder.path("images", 2)), shown[2])
    cut = read_picture(folder.path("white_bg", 0))
    assert cut.shape == (128, 128, 4) and (cut[cut[..., 3] == 0][:, :3] == 255).all()
    seen = (shown[0].min(axis=-1) < 200).mean()
    assert (cut[..., 3] > 0).mean() == pytest.approx(seen, rel=0.25)


def test_the_box_is_the_object_and_is_before_the_person(made):
    folder, result, _ = made
    found = read_labels(folder.file("seg", 0, "labels.npz"))
    np.testing.assert_array_equal(found["labels"], result.segmentation.labels)
    thing, person = (found["vertices"][found["labels"] == k] for k in (1, 0))
    assert thing[:, 2].mean() > person[:, 2].mean() + 0.1  # the person faces +z
    assert np.ptp(person[:, 1]) > 2 * np.ptp(thing[:, 1])
    report = json.loads(folder.file("seg", 0, "report.json").read_text())
    assert report["closed"] == [part.closed for part in result.segmentation.parts]
    assert report["text"] == TEXT and 0.05 < report["object_share"] < 0.5
    assert report["chamfer_cm"] == pytest.approx(result.registered.distances.points) and report["chamfer_cm"] < 15
    body = read_npz(folder.file("seg", 0, "body.npz"))
    assert body["body_pose"].shape == (63,) and float(body["scale"]) == pytest.approx(
        float(result.registered.fit.scale)
    )
    masks, given = read_masks(folder.path("masks", 0), 4, (96, 96))
    assert given.all() and masks[0].any(axis=(1, 2)).all()
    assert masks[1].any(axis=(1, 2)).tolist() == [True, True, False, True]  # the back hides the box


def test_stages_that_are_there_are_not_made_again(made, tmp_path):
    folder, result, _ = made
    again = chain.run_chain(folder, TEXT, free_body("test"), draw=None, lift=None, config=CONFIG)
    np.testing.assert_array_equal(again.segmentation.labels, result.segmentation.labels)
    # Masks of another program: person and object changed.
    masks, _ = read_masks(folder.path("masks", 0), 4, (96, 96))
    write_masks(folder.path("masks", 0), masks[::-1])
    other = chain.run_chain(folder, TEXT, free_body("test"), draw=None, lift=None, config=CONFIG)
    assert np.mean(other.segmentation.labels == result.segmentation.labels) < 0.2
    write_masks(folder.path("masks", 0), masks)


def test_a_body_to_begin_with_is_taken(made, monkeypatch):
    folder, result, _ = made
    body, seen = folder.file("seg", 0, "body.npz"), []
    shutil.copy(body, folder.place("smpl", 0))
    arrays = read_npz(body)

    def spy(part, model, *, initial, **how):
        seen.append(initial)
        return result.registered

    monkeypatch.setattr(chain, "register", spy)
    chain.run_chain(folder, TEXT, free_body("test"), draw=None, config=CONFIG)
    folder.path("smpl", 0).unlink()
    chain.run_chain(folder, TEXT, free_body("test"), draw=None, config=CONFIG)
    np.testing.assert_allclose(seen[0].betas, arrays["betas"], atol=1e-6)
    np.testing.assert_allclose(seen[0].translation, arrays["transl"], atol=1e-6)
    assert seen[1] is None


def test_who_lifts_gets_cut_outs_cameras_and_seed(shown, tmp_path):
    folder, seen = RunFolder(tmp_path), []
    for i, picture in enumerate(shown):
        write_picture(folder.place("images", 3 + i), picture)
    mine = np.dstack([shown[1], np.full((64, 64), 255, np.uint8)]).repeat(2, axis=0).repeat(2, axis=1)
    write_picture(folder.place("white_bg", 4), mine)

    class Lift:
        def lift(self, pictures, cameras=None, *, seed=0):
            seen.append((pictures, cameras, seed))
            raise InputError("enough")

    with pytest.raises(InputError, match="enough"):
        chain.run_chain(
            folder, TEXT, free_body("test"), draw=None, lift=Lift(), config=chain.ChainConfig(seed=6), prompt=1
        )
    given, cameras, seed = seen[0]
    np.testing.assert_array_equal(given[1], mine)
    np.testing.assert_array_equal(given[0], chain.cut_out(shown[0]))
    assert seed == 6 and cameras.image_size == (128, 128)
    write_picture(folder.place("white_bg", 4), mine[:64, :64])
    with pytest.raises(InputError, match="several sizes"):
        chain.run_chain(folder, TEXT, free_body("test"), draw=None, lift=Lift(), prompt=1)


def test_pictures_and_cut_outs_of_another_program_are_taken(tmp_path, shown):
    folder = RunFolder(tmp_path)
    for i, picture in enumerate(shown[:2]):
        write_picture(folder.place("images", i), picture)
    with pytest.raises(InputError, match="pictures are missing, such as 0002.png"):
        chain.draw_views(folder, TEXT, None)
    filled = chain.draw_views(folder, TEXT, lambda texts, seed: 255 - shown)
    np.testing.assert_array_equal(filled, np.stack([*shown[:2], 255 - shown[2]]))
    write_picture(folder.place("retex", 1), shown[0])
    np.testing.assert_array_equal(chain.draw_views(folder, TEXT, nobody)[1], shown[0])
    folder.path("images", 1).unlink()
    assert not chain.missing_pictures(folder)
    np.testing.assert_array_equal(chain.draw_views(folder, TEXT, nobody)[1], shown[0])
    folder.path("images", 2).unlink()
    assert chain.missing_pictures(folder)
    write_picture(folder.place("white_bg", 2), chain.cut_out(shown[2]))
    assert chain.missing_pictures(folder)  # cut-outs of some views want pictures of all
    folder.place("mesh", 0).touch()
    assert not chain.missing_pictures(folder)


def test_cut_outs_leave_specks_out_and_refuse_white():
    picture = np.full((128, 128, 3), 255, np.uint8)
    with pytest.raises(InputError, match="white all over"):
        chain.cut_out(picture)
    picture[40:90, 40:90] = [200, 0, 0]
    picture[50:60, 50:60] = 255  # enclosed: it belongs
    picture[2:5, 2:5] = 0
    alpha = chain.cut_out(picture)[..., 3]
    assert alpha[55, 55] == 255 and alpha[3, 3] == 0 and (alpha > 0).sum() == 2500


def test_the_last_colour_is_the_objects():
    person, thing = chain.named_colors(TEXT)
    assert thing == [pictures.COLORS["blue"]]
    assert pictures.COLORS["red"] in person and pictures.COLORS["yellow"] in person
    for text in ("A person in a red shirt kicks a red ball.", "A person kicks a ball.",
                 "A woman in a red leather jacket carries a box."):  # fmt: skip
        with pytest.raises(InputError, match="a colour of the object that no garment has"):
            chain.named_colors(text)


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    with jax.enable_x64(False):
        encoder, tokenizer = small_sana.make_text_encoder()
        config = sana.AutoencoderDCConfig((4, 8), (0, 0), (0, 0), 2, latent_channels=4)
        sizes = dataclasses.replace(small_sana.SIZES, width=32, depth=1, cross_heads=2, hidden=32, latent_channels=4)
        whole = SmallSana(sizes, config, small_sana.TEXT_SIZES, nnx.Rngs(1))
        path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
        small_sana.write(path, whole.transformer, whole.autoencoder, encoder, tokenizer)
        return load_text_to_image(path, size=8, steps=2)


def test_networks_of_a_file_draw_by_text_view_and_seed(networks):
    assert networks.config == DrawConfig(8, 2, small_sana.STRENGTH, small_sana.SHIFT, small_sana.LENGTH)
    texts = [sana.view_text(TEXT, view) for view in sana.VIEWS]
    drawn = networks.draw(texts, seed=3)
    assert drawn.shape == (3, 8, 8, 3) and drawn.dtype == np.uint8 and drawn.std() > 5
    np.testing.assert_array_equal(networks.draw([texts[0]] * 3, seed=3)[0], networks.draw([texts[0]] * 3, seed=3)[2])
    assert (networks.draw(texts, seed=4) != drawn).mean() > 0.5
    assert (drawn[0] != drawn[1]).mean() > 0.1
    with pytest.raises(InputError, match="does not know 'lamp'"):
        networks.draw(["a red lamp"])


def test_what_stands_behind_the_end_of_a_text_changes_nothing(networks):
    told = networks.texts(["a red shirt", "a red shirt and blue jeans"])
    features, mask = np.array(told.features), np.asarray(told.mask).astype(bool)
    other = np.where(mask[..., None], features, features[:, ::-1] + 3)
    assert not mask.all() and (other != features).any()
    noise = np.random.default_rng(0).normal(size=(2, 4, 4, 4)).astype(np.float32)
    call = nnx.jit(lambda network, text: network(noise, np.float32([900, 40]), text, told.mask))
    answers = [np.asarray(call(networks.transformer, text)) for text in (features, other, features + 3)]
    np.testing.assert_allclose(answers[1], answers[0], atol=1e-5)
    assert np.abs(answers[2] - answers[0]).max() > 1e-3


@pytest.fixture(scope="module")
def folder_of_weights(networks, tmp_path_factory):
    """The same networks as a user's: a file each, a tokenizer of Hugging Face's with the same ids, settings."""
    library = pytest.importorskip("tokenizers")
    path = tmp_path_factory.mktemp("user")
    parts = (networks.transformer, networks.autoencoder, networks.text_encoder)
    for name, network in zip(FILES, parts):
        weights.save_network(path / name, network, {"config": dataclasses.asdict(network.config)})
    ids = {"<pad>": 0, "<bos>": 1} | {word: i + 2 for i, word in enumerate(networks.tokenizer.words)}
    tokenizer = library.Tokenizer(library.models.WordLevel(ids, unk_token="<pad>"))
    split = library.pre_tokenizers.Split(library.Regex(r"[a-z-]+|[^a-z\s]|\s"), "isolated")
    gone = library.pre_tokenizers.Split(library.Regex(r"\s"), "removed")
    tokenizer.pre_tokenizer = library.pre_tokenizers.Sequence([gone, split])
    tokenizer.post_processor = library.processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 1)])
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "draw.json").write_text(json.dumps(dataclasses.asdict(networks.config)))
    return path


def test_a_folder_of_a_users_networks_draws_what_they_draw(networks, folder_of_weights):
    loaded = load_text_to_image(folder_of_weights)
    assert loaded.config == networks.config and loaded.instruction == ""
    texts = [sana.view_text(TEXT, view) for view in sana.VIEWS]
    assert loaded.tokenizer.encode(texts[0].lower()) == networks.tokenizer.encode(texts[0])
    np.testing.assert_array_equal(loaded.draw(texts, seed=3), networks.draw(texts, seed=3))
    (folder_of_weights / "instruction.txt").write_text("a red ")
    guided = load_text_to_image(folder_of_weights, shift=3.0)
    assert guided.instruction == "a red " and guided.config == dataclasses.replace(networks.config, shift=3.0)
    (folder_of_weights / "instruction.txt").unlink()
    np.testing.assert_allclose(guided.draw(texts, seed=3).astype(int), by_hand(networks, texts), atol=1)


def by_hand(networks, texts):
    """Pictures behind an instruction, which the text of nothing has not, all from one noise."""

    @jax.jit
    def make():
        encode = lambda *words, **how: sana.encode_texts(  # noqa: E731
            networks.text_encoder, networks.tokenizer, *words, length=small_sana.LENGTH, **how
        )
        null = jax.tree.map(lambda x: jnp.repeat(jnp.asarray(x), 3, axis=0), encode([""]))
        noise = jnp.stack([jax.random.normal(jax.random.key(3), (4, 4, 4))] * 3)
        latents = sana.sample(
            networks.transformer, encode(texts, instruction="a red "), null, noise, steps=2, strength=2.0, shift=3.0
        )
        return networks.autoencoder.decode(latents)

    return pictures.from_network(np.asarray(make())).astype(int)


def test_the_backend_takes_a_users_networks_when_they_are_needed(folder_of_weights, tmp_path, shown, monkeypatch):
    request = generation.GenerationRequest(TEXT, tmp_path, "sana", weights=folder_of_weights, lod="test", seed=5)
    seen = []

    def spy(folder, text, model, **how):
        seen.append((folder.root, text, how))

    monkeypatch.setattr(sana_generation, "run_chain", spy)
    job, notes = generation.prepare_generation(request)
    assert notes == ()
    job.compute(job.items, lambda share, what: None)
    root, text, how = seen.pop()
    assert (root, text, how["lift"], how["config"].seed, how["config"].size) == (tmp_path / "run", TEXT, None, 5, 512)
    assert how["draw"].config.size == 8 and how["draw"].transformer.config.width == 32
    for i, picture in enumerate(shown):
        write_picture(RunFolder(tmp_path / "run").place("images" if i else "retex", i), picture)
    job, notes = generation.prepare_generation(dataclasses.replace(request, mesh_server="http://127.0.0.1:9"))
    assert notes == ("taken as they are there: run/images, run/retex; remove to make anew",)
    job.compute(job.items, lambda share, what: None)
    assert seen[-1][2]["draw"] is None and seen[-1][2]["lift"] == HunyuanServer("http://127.0.0.1:9", texture=True)


def test_networks_that_cannot_draw_are_refused(networks, folder_of_weights, tmp_path):
    with pytest.raises(InputError, match="a multiple of 2"):
        dataclasses.replace(networks, config=DrawConfig(size=7))
    with pytest.raises(InputError, match="there are no weights at nowhere; wanted sana.safetensors"):
        load_text_to_image("nowhere")
    (tmp_path / "sana.safetensors").touch()
    with pytest.raises(InputError, match=r"has no autoencoder.safetensors, text_encoder.safetensors; wanted"):
        load_text_to_image(tmp_path)
    for name in FILES:
        shutil.copy(folder_of_weights / name, tmp_path / name)
    with pytest.raises(InputError, match="neither tokenizer.json nor tokenizer.model"):
        load_text_to_image(tmp_path)
    shutil.copy(folder_of_weights / "tokenizer.json", tmp_path)
    (tmp_path / "draw.json").write_text('{"sise": 8}')
    with pytest.raises(InputError, match="draw.json has sise; wanted some of length, shift"):
        load_text_to_image(tmp_path)
    (tmp_path / "draw.json").unlink()
    other = nnx.clone(networks.autoencoder)
    facts = {"config": dataclasses.asdict(other.config) | {"latent_channels": 8}}
    wider = sana.AutoencoderDC(sana.AutoencoderDCConfig(**facts["config"]), nnx.Rngs(0))
    weights.save_network(tmp_path / FILES[1], wider, facts)
    with pytest.raises(InputError, match="sana.safetensors wants 4 channels of a latent, the file beside it has 8"):
        load_text_to_image(tmp_path)
    facts = {"config": dataclasses.asdict(networks.autoencoder.config)}
    weights.save_network(tmp_path / FILES[1], networks.autoencoder, facts)
    narrow = dataclasses.replace(networks.text_encoder.config, width=networks.text_encoder.config.width // 2)
    weights.save_network(tmp_path / FILES[2], sana.Gemma2(narrow, nnx.Rngs(0)), {"config": dataclasses.asdict(narrow)})
    with pytest.raises(InputError, match=f"wants {2 * narrow.width} channels of a text, the file beside it has"):
        load_text_to_image(tmp_path)
    assert isinstance(networks, TextToImage)


def test_registration_begins_with_the_body_of_the_front_picture(made, tmp_path):
    folder, result, _ = made
    model, asked = free_body("test"), []
    assert result.report["registered_from"] == "all round"

    def again(name, front):
        other = RunFolder(tmp_path / name)
        shutil.copytree(folder.root, other.root)
        return other, chain.run_chain(other, TEXT, model, draw=None, front=front, config=CONFIG)

    def front(picture, camera, model):
        asked.append((picture, camera))
        return result.registered.fit.params

    other, begun = again("front", front)
    assert begun.report["registered_from"] == "the front picture" and len(asked) == 1
    np.testing.assert_array_equal(asked[0][0], read_picture(folder.path("white_bg", 0)))
    assert asked[0][1].image_size == asked[0][0].shape[:2] and asked[0][1].intrinsics.shape == (3, 3)
    # What it began with is a stage as the others.
    pose = result.registered.fit.params.to_axis_angle(model)["body_pose"]
    np.testing.assert_allclose(read_npz(other.path("smpl", 0))["body_pose"], pose, atol=1e-5)
    kept = chain.run_chain(other, TEXT, model, draw=None, front=nobody, config=CONFIG)
    assert kept.report["registered_from"] == "run/smpl"
    other, without = again("nobody", lambda *_: None)
    assert without.report["registered_from"] == "all round" and not other.path("smpl", 0).exists()


def test_a_front_body_that_does_not_fit_is_not_believed(made, tmp_path, monkeypatch):
    folder, result, _ = made
    shutil.copytree(folder.root, tmp_path / "run")
    tried = []

    def register(part, model, *, initial=None, **_):
        tried.append(initial is not None)
        far = 9.0 if initial is not None else 4.0
        return dataclasses.replace(
            result.registered, distances=dataclasses.replace(result.registered.distances, points=far)
        )

    monkeypatch.setattr(chain, "register", register)
    params = result.registered.fit.params
    other = chain.run_chain(
        RunFolder(tmp_path / "run"), TEXT, free_body("test"), draw=None, front=lambda *_: params, config=CONFIG
    )
    assert tried == [True, False]
    assert other.report["registered_from"] == "all round" and other.report["chamfer_cm"] == 4.0


def test_what_a_backend_knows_of_its_surface_is_taken(made, tmp_path, shown, monkeypatch):
    _, result, _ = made
    mesh, labels, asked = result.segmentation.mesh, result.segmentation.labels, []
    surface = NamedMesh("surface", np.asarray(mesh.vertices), np.asarray(mesh.faces))

    class Known:
        def lift_parts(self, pictures, cameras=None, *, seed=0):
            asked.append((pictures.shape, cameras.image_size, seed))
            pose = RigidPose(np.eye(3, dtype=np.float32), np.zeros(3, np.float32), np.float32(1))
            return LabelledSurface(surface, np.asarray(labels), result.registered.fit.params, pose, 1.0, 1.0)

    other = RunFolder(tmp_path / "run")
    for i, picture in enumerate(shown):
        write_picture(other.place("images", i), picture)
    monkeypatch.setattr(chain, "named_colors", nobody)
    model = free_body("test")
    known = chain.run_chain(
        other, "A person carries a box.", model, draw=None, lift=Known(), front=nobody, config=CONFIG
    )
    assert asked == [((3, 128, 128, 4), (128, 128), 0)]
    near = cKDTree(np.asarray(known.segmentation.mesh.vertices)).query(np.asarray(mesh.vertices))[1]
    assert np.mean(np.asarray(known.segmentation.labels)[near] == labels) > 0.95
    pose = result.registered.fit.params.to_axis_angle(model)["body_pose"]
    np.testing.assert_allclose(read_npz(other.path("smpl", 0))["body_pose"], pose, atol=1e-5)
    assert known.report["registered_from"] == "run/smpl"
    # Masks and a body that are there already are kept.
    other.path("mesh", 0).unlink()
    masks, _ = read_masks(other.path("masks", 0), 4, (96, 96))
    write_masks(other.path("masks", 0), masks[::-1])
    before = other.path("smpl", 0).stat().st_mtime_ns
    again = chain.run_chain(other, "A person carries a box.", model, draw=None, lift=Known(), config=CONFIG)
    assert np.mean(again.segmentation.labels == known.segmentation.labels) < 0.2
    assert other.path("smpl", 0).stat().st_mtime_ns == before and len(asked) == 2
