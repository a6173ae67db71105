"""Tables and folders of pairs."""

import pathlib

import pytest

from hoijax.errors import InputError
from hoijax.jobs.pairs import read_pairs


def table(tmp_path, text, name="pairs.csv"):
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return read_pairs(path)


def test_a_table_names_files_from_its_own_folder_and_options_where_it_says_them(tmp_path):
    pairs, failures = table(tmp_path, "body,object,out name,contact,Object-Up\n"
                            'a.npz,m/chair.obj,first,"buttocks, left_hand: arm",z\nb.npz,m/chair.obj,,,\n')  # fmt: skip
    assert failures == {} and [pair.name for pair in pairs] == ["first", "b"]
    assert pairs[0].body == tmp_path / "a.npz" and pairs[0].object == tmp_path / "m/chair.obj"
    assert pairs[0].options == {"contact": "buttocks, left_hand: arm", "object_up": "z"} and pairs[1].options == {}
    assert pairs[0].folder == tmp_path


@pytest.mark.parametrize("mark", [";", "\t"])
def test_other_marks_and_a_byte_order_mark(tmp_path, mark):
    text = f"\ufeffbody{mark}object{mark}floor\r\n\r\na.npz{mark}c.glb{mark}0.5\r\n"
    pairs, _ = table(tmp_path, text)
    assert (pairs[0].name, pairs[0].options) == ("a", {"floor": "0.5"})


def test_a_body_with_several_objects_takes_both_names(tmp_path):
    pairs, _ = table(tmp_path, "body,object\na.npz,chair.obj\na.npz,sofa.glb\nb.npz,sofa.glb\n")
    assert [pair.name for pair in pairs] == ["a-chair", "a-sofa", "b"]


def test_bad_rows_are_named_and_the_others_stay(tmp_path):
    rows = [
        "a.npz,c.obj,x",
        ",c.obj,",
        "b.npz,,",
        "c.npz,c.obj,x",
        "d.npz,c.obj,../up",
        "e.npz,c.obj,e,more",
        "f.npz,c.obj,",
    ]
    pairs, failures = table(tmp_path, "\n".join(["body,object,name", *rows]))
    assert [pair.name for pair in pairs] == ["x", "f"]
    assert failures.keys() == {"row 3", "b", "row 5", "../up", "e"}
    assert "names no body" in failures["row 3"] and "names no object" in failures["b"]
    assert "another row has the name 'x'" in failures["row 5"] and "no name of a folder" in failures["../up"]
    assert "has 4 cells, the table 3 columns" in failures["e"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("body,objekt\na,b\n", r"no column 'objekt' \(did you mean object\?\); the columns are body, object, name"),
        ("body,name\na,b\n", "the column 'object' is missing"),
        ("body,object,body\na,b,c\n", "column 'body' is there twice"),
        ("\n \n", "is empty"),
        ("body,object\n", "it holds none"),
        ("body,object\n,\n", "it holds none"),
        ("body,object\n,b\n", "row 2 of pairs.csv names no body"),
    ],
)
def test_tables_that_are_none_are_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        table(tmp_path, text)


def test_a_folder_pairs_files_of_the_same_stem(tmp_path):
    for name in ("a.npz", "a.OBJ", "a.mtl", "b.npz", "b.ply.gz", "c.npz", "d.glb", "e.npz", "e.obj", "e.stl", ".x.npz"):
        (tmp_path / name).write_bytes(b"")
    pairs, failures = read_pairs(tmp_path)
    assert [(pair.name, pair.object.name) for pair in pairs] == [("a", "a.OBJ"), ("b", "b.ply.gz")]
    assert failures == {
        "c": "c.npz has no mesh of the same name beside it",
        "d": "d.glb has no body d.npz beside it",
        "e": "e.npz has several meshes beside it: e.obj, e.stl",
    }
    with pytest.raises(InputError, match="there is no table or folder of pairs"):
        read_pairs(pathlib.Path(tmp_path / "gone"))
