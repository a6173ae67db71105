"""Sources in their published layouts, conversations, the mixture of groups, crops."""

import json
import pickle

import numpy as np
import pytest
from PIL import Image

from hoijax.data.real.contact_sets import PIAD_AFFORDANCES
from hoijax.errors import InputError
from hoijax.experiments.interactvlm import data
from hoijax.experiments.interactvlm.sources import DataConfig, eval_sources, groups, person_crop


def picture(path, color=(10, 20, 30), mode="RGB"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (6, 4), color).convert(mode).save(path)


def damon(root, split="trainval", tables=None, names=("a.jpg", "sub/b.jpg")):
    root.mkdir(parents=True, exist_ok=True)
    tables = [{"chair": [1, 5], "supporting": [7]}, {"cup": np.array([6889])}] if tables is None else tables
    labels = np.zeros((len(names), 6890))
    np.savez(root / f"hot_dca_{split}.npz", imgname=np.array(names, object), contact_label=labels,
             contact_label_objectwise=np.array(tables, object))  # fmt: skip
    for name in names:
        picture(root / "pictures" / name)
    return root


def lemon(root):
    for k, obj in enumerate(("Chair", "Bed")):
        picture(root / f"Images/{obj}/sit/{obj}_sit_{k}.jpg")
        path = root / f"smplh_contact_pkl/{obj}/sit/{obj}_sit_{k}.pkl"
        path.parent.mkdir(parents=True)
        path.write_bytes(pickle.dumps(np.eye(1, 6890, 10 + k)[0]))
    (root / "txt_scripts").mkdir()
    (root / "txt_scripts/train.txt").write_text("Images/Chair/sit/Chair_sit_0.jpg\n")
    (root / "txt_scripts/val.txt").write_text("Images/Bed/sit/Bed_sit_1.jpg\n")
    return root


def piad(root):
    rng = np.random.default_rng(0)
    for split in ("Train", "Test"):
        image, cloud = f"{split}/Mug/grasp/{split}_Mug_grasp_1.jpg", f"{split}/Mug/{split}_Mug_3.txt"
        picture(root / image)
        table = rng.random((2048, 3 + len(PIAD_AFFORDANCES)))
        lines = [" ".join(["7", "Mug", *map(str, row)]) for row in np.round(table, 4)]
        (root / cloud).write_text("\n".join(lines))
        (root / f"Img_{split}.txt").write_text(image + "\n")
        (root / f"Point_{split}.txt").write_text(cloud + "\n")
    return root


def rich(root):
    picture(root / "images/x_0.png")
    (root / "img_list_train.pkl").write_bytes(pickle.dumps(["x_0.png"]))
    (root / "contact_vertices_train.pkl").write_bytes(pickle.dumps([[3, 4]]))
    return root


def test_damon_gives_an_example_for_each_object_of_each_image(tmp_path):
    root = damon(tmp_path / "damon")
    source = data.damon(root, "train", root / "pictures")
    assert [(e.label, e.group) for e in source] == [
        ("chair", "train/00000"), ("scene", "train/00000"), ("cup", "train/00001"),
    ]  # fmt: skip
    np.testing.assert_array_equal(np.flatnonzero(source[0].contact), [1, 5])
    assert source[2].contact[6889] == 1 and source[2].contact.sum() == 1 and source[2].contact.shape == (6890,)
    assert source[0].image.shape == (4, 6, 3) and abs(int(source[0].image[0, 0, 2]) - 30) < 6
    assert [e.label for e in data.damon(root, "train", root / "pictures", support=False)] == ["chair", "cup"]
    half = data.damon(root, "train", root / "pictures", fraction=0.5)
    assert len({e.group for e in half}) == 1
    with pytest.raises(InputError, match="there is no picture .*/a.jpg"):
        data.damon(root, "train")[0]
    with pytest.raises(InputError, match="hot_dca_test.npz: missing"):
        data.damon(root, "test")
    with pytest.raises(InputError, match=r"share above 0, at most 1, got 0\.0"):
        data.damon(root, "train", fraction=0.0)
    bad = damon(tmp_path / "bad", tables=[{"chair": [6890]}, {"cup": [0]}])
    with pytest.raises(InputError, match="train/00000, chair: vertices must be whole numbers from 0 to 6889"):
        data.damon(bad, "train", bad / "pictures")[0]
    np.savez(bad / "hot_dca_trainval.npz", imgname=np.array(["a.jpg"], object), contact_label=np.zeros((1, 6890)))
    with pytest.raises(InputError, match="no contact_label_objectwise"):
        data.damon(bad, "train")


def test_the_other_data_sets_layouts(tmp_path):
    three = data.lemon(lemon(tmp_path / "lemon"))
    assert len(three) == 1 and three[0].label == "Chair" and np.flatnonzero(three[0].contact) == [10]
    assert data.lemon(tmp_path / "lemon", "val")[0].contact[11] == 1
    points = data.piad(piad(tmp_path / "piad"), "test")[0]
    assert (points.label, points.affordance, points.surface) == ("mug", "grasp", "Test/Mug/Test_Mug_3.txt")
    row = (tmp_path / "piad/Test/Mug/Test_Mug_3.txt").read_text().splitlines()[5].split()[2:]
    np.testing.assert_allclose(points.mesh.vertices[5], np.float32(row[:3]))
    np.testing.assert_allclose(points.contact[5], np.float32(row[3 + PIAD_AFFORDANCES.index("grasp")]))
    scene = data.rich(rich(tmp_path / "rich"))[0]
    assert scene.label == "scene" and set(np.flatnonzero(scene.contact)) == {3, 4}
    (tmp_path / "lemon/smplh_contact_pkl/Chair/sit/Chair_sit_0.pkl").unlink()
    with pytest.raises(InputError, match="is not whole: .*missing body contact"):
        data.lemon(tmp_path / "lemon")
    (tmp_path / "piad/Test/Mug/Test_Mug_3.txt").unlink()
    with pytest.raises(InputError, match="no point file"):
        data.piad(tmp_path / "piad", "test")
    assert len(data.piad(tmp_path / "piad", "train")) == 1  # the other split's files do not matter
    (tmp_path / "rich/contact_vertices_train.pkl").write_bytes(pickle.dumps([[3], [4]]))
    with pytest.raises(InputError, match="2 labels for 1 images"):
        data.rich(tmp_path / "rich")


def test_settings_open_what_they_name(tmp_path):
    root = damon(tmp_path / "damon")
    damon(root, "test")
    given = DataConfig(damon=root, damon_images=root / "pictures", lemon=lemon(tmp_path / "lemon"),
                       rich=rich(tmp_path / "rich"), piad=piad(tmp_path / "piad"))  # fmt: skip
    found = {group.task: group for group in groups(given)}
    assert {task: (len(g.sources), g.weight) for task, g in found.items()} == {
        "human": (3, 9.0),
        "affordance": (1, 5.0),
    }
    scored = eval_sources(given, "test")
    assert {name: task for name, (task, _) in scored.items()} == {
        "DAMON": "human", "3DIR": "human", "PIAD": "affordance",
    }  # fmt: skip
    assert scored["3DIR"][1][0].label == "Bed" and scored["PIAD"][1][0].key.startswith("Test/")
    with pytest.raises(InputError, match="nothing to learn from"):
        groups(DataConfig())
    with pytest.raises(InputError, match="nothing to score"):
        eval_sources(DataConfig(), "test")
    with pytest.raises(InputError, match="folder of their pictures"):
        groups(DataConfig(vqa=(tmp_path / "x.json",)))


def test_pictures_of_any_kind_become_colours(tmp_path):
    for mode, name in (("L", "grey.png"), ("CMYK", "print.jpg"), ("P", "few.png")):
        picture(tmp_path / name, mode=mode)
        assert data.read_picture(tmp_path / name).shape == (4, 6, 3)
    turned = Image.new("RGB", (6, 4))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    assert data.read_picture(tmp_path / "turned.jpg").shape == (6, 4, 3)
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(InputError, match="cannot read the picture"):
        data.read_picture(tmp_path / "text.jpg")


RAW = (
    r"a.jpg,chair-HVisual: a man\nHContact: hips\nInteraction: sits\nOVisual: red\nOContact: the seat",
    "b.jpg,cup-HVisual: x",
    r"c.jpg,tennis racket-HVisual: w\nHContact: hand\nInteraction: swings\nOVisual: long\nOContact: the grip",
)


def test_conversations(tmp_path):
    raw = tmp_path / "damon.txt"
    raw.write_text("\n".join(RAW))
    records = data.hoi_vqa(raw)
    assert [r["image"] for r in records] == ["a.jpg", "c.jpg"] and len(records[0]["conversations"]) == 10
    assert records[1]["conversations"][2] == {
        "from": "human",
        "value": "Which part of the body touches the tennis racket?",
    }
    assert records[0]["conversations"][3]["value"] == "hips"
    path = tmp_path / "all.json"
    data.write_vqa(records, path)
    picture(tmp_path / "pictures/a.jpg")
    example = data.vqa(path, tmp_path / "pictures")[0]
    assert len(example.turns) == 5 and example.turns[0] == ("What does the person look like?", "a man")
    found = groups(DataConfig(vqa=(path, raw), vqa_images=tmp_path / "pictures"))[0]
    assert found.task == "vqa" and [len(s) for s in found.sources] == [2, 2]
    assert found.sources[1][0].turns == example.turns
    broken = [{"id": 1, "image": "a.jpg", "conversations": [{"from": "gpt", "value": "x"}]}]
    path.write_text(json.dumps(broken))
    with pytest.raises(InputError, match="record 0: turns must be of human and gpt"):
        data.vqa(path, tmp_path)
    raw.write_text("nothing")
    with pytest.raises(InputError, match="holds no line of"):
        data.hoi_vqa(raw)


def test_groups_come_by_weight_and_sources_alike():
    def source(name, count):
        return data.Rows(range(count), lambda i: data.Example(f"{name}{i}", np.zeros((1, 1, 3), np.uint8)), name)

    first, second = source("a", 2), source("b", 50)
    mixture = data.Mixture([data.Group("human", (first, second), 3.0), data.Group("vqa", (source("c", 1),), 1.0)], 5)
    tasks = [mixture.group(step).task for step in range(400)]
    assert 0.68 < np.mean(np.array(tasks) == "human") < 0.82
    keys = [e.key for step in range(400) if tasks[step] == "human" for e in mixture.examples(step, 4)]
    assert 0.45 < np.mean([key[0] == "a" for key in keys]) < 0.55 and len(set(keys)) == 52
    # Two processes read what one would have read.
    step = tasks.index("human")
    parts = mixture.examples(step, 4, 0, 2) + mixture.examples(step, 4, 2, 2)
    assert [e.key for e in parts] == [e.key for e in mixture.examples(step, 4)]
    assert [e.key for e in data.Mixture(mixture.groups, 6).examples(step, 64)] != [
        e.key for e in mixture.examples(step, 64)
    ]
    for group in (("human", ()), ("human", (first,), 0.0)):
        with pytest.raises(InputError):
            data.Group(*group)
    with pytest.raises(InputError, match="holds no examples"):
        source("d", 0)


def test_crops_are_squares_about_the_person():
    image = np.arange(20 * 30 * 3, dtype=np.uint8).reshape(20, 30, 3)
    mask = np.zeros((20, 30), bool)
    mask[5:15, 10:14] = True  # ten rows high
    found = person_crop(image, mask, margin=1.0)
    np.testing.assert_array_equal(found, image[5:15, 7:17])
    wide = person_crop(image, mask, margin=4.0)
    assert wide.shape[0] == wide.shape[1] > 30 and (wide[0] == wide[1]).all()
    np.testing.assert_array_equal(person_crop(image, np.zeros_like(mask)), image)


def test_kept_sources_read_once():
    read = []
    kept = data.Kept(
        data.Rows(range(3), lambda i: read.append(i) or data.Example(str(i), np.zeros((1, 1), np.float32)), "x")
    )
    assert [kept[1].key, kept[-2].key, kept[1].key] == ["1"] * 3 and read == [1]
    with pytest.raises(IndexError):
        kept[3]
