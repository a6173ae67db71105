"""HOI3DGen's chain: from pictures to parts and a body, every stage a file; networks that draw."""

import dataclasses
import json

import jax
import numpy as np
import pytest
from flax import nnx

from hoijax.body_models import free_body
from hoijax.errors import InputError
from hoijax.experiments.hoi3dgen import pictures, small_sana
from hoijax.io import read_npz
from hoijax.nets import sana
from hoijax.nets.sana.small import SmallSana
from hoijax.optim.fitting.surface import SurfaceFitConfig
from hoijax.systems.hoi3dgen import chain
from hoijax.systems.hoi3dgen.image_to_mesh import VisualHull
from hoijax.systems.hoi3dgen.layout import (
    RunFolder,
    read_labels,
    read_masks,
    read_picture,
    write_masks,
    write_picture,
)
from hoijax.systems.hoi3dgen.text_to_image import DrawConfig, TextToImage, load_text_to_image

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


def test_pictures_and_cut_outs_of_another_program_are_taken(tmp_path, shown):
    folder = RunFolder(tmp_path)
    for i, picture in enumerate(shown[:2]):
        write_picture(folder.place("images", i), picture)
    with pytest.raises(InputError, match="pictures are missing, such as 0000.png"):
        chain.draw_views(folder, TEXT, None)
    filled = chain.draw_views(folder, TEXT, lambda texts, seed: 255 - shown)
    np.testing.assert_array_equal(filled, np.stack([*shown[:2], 255 - shown[2]]))
    write_picture(folder.place("retex", 1), shown[0])
    np.testing.assert_array_equal(chain.draw_views(folder, TEXT, nobody)[1], shown[0])


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
    for text in ("A person in a red shirt kicks a red ball.", "A person kicks a ball."):
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


def test_networks_that_cannot_draw_are_refused(networks, tmp_path):
    with pytest.raises(InputError, match="a multiple of 2"):
        dataclasses.replace(networks, config=DrawConfig(size=7))
    (tmp_path / "sana.safetensors").touch()
    with pytest.raises(InputError, match=r"has no autoencoder.safetensors, text_encoder.safetensors; wanted"):
        load_text_to_image(tmp_path)
    assert isinstance(networks, TextToImage)
