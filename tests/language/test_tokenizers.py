"""Tokenizers trained on a few sentences, in both formats, and what a language model's special tokens do."""

import json

import numpy as np
import pytest

from hoijax.errors import InputError
from hoijax.language import load_tokenizer

SENTENCES = [
    "the left hand and the right foot touch the chair",
    "which body parts touch the table",
    "he sits on it",
] * 9


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a `tokenizer.json`, and one with a `tokenizer.model`."""
    tokenizers, sentencepiece = pytest.importorskip("tokenizers"), pytest.importorskip("sentencepiece")
    root = tmp_path_factory.mktemp("tokenizers")
    (root / "hf").mkdir(), (root / "sp").mkdir()
    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    tokenizer.decoder = tokenizers.decoders.Metaspace()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=90, special_tokens=["<unk>", "<s>", "</s>"])
    tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing("<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.enable_truncation(4)
    tokenizer.save(str(root / "hf" / "tokenizer.json"))
    with open(root / "sp" / "tokenizer.model", "wb") as file:
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(SENTENCES), model_writer=file, vocab_size=60,
                                                 model_type="bpe", minloglevel=9)  # fmt: skip
    return root


@pytest.mark.parametrize("kind", ["hf", "sp"])
def test_ids_come_back_and_special_tokens_stay_whole(folder, kind):
    plain, tokenizer = (load_tokenizer(folder / kind, added) for added in ((), ("[SEG]", "<im_start>")))
    text = "the left foot touch it"
    ids = plain.encode(text)
    assert len(ids) > 5 and ids[0] == plain.id_of("<s>") == 1  # not cut to the file's four
    assert plain.decode(ids).strip() == text
    first = tokenizer.id_of("[SEG]")
    assert tokenizer.id_of("<im_start>") == first + 1 == max(max(ids), first) + 1
    found = tokenizer.encode("the hand [SEG] .")
    assert found.count(first) == 1 and found[: len(plain.encode("the hand"))] == plain.encode("the hand")
    assert "SEG" not in tokenizer.decode(found)
    with pytest.raises(InputError, match=r"no token '\[HSEG\]'"):
        tokenizer.id_of("[HSEG]")


def test_sentencepieces_are_those_of_its_library_and_of_llamas_old_tokenizer(folder):
    sentencepiece = pytest.importorskip("sentencepiece")
    model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "sp" / "tokenizer.model"))
    tokenizer = load_tokenizer(folder / "sp" / "tokenizer.model", ["[SEG]"])
    assert tokenizer.encode("he sits on it") == [1, *model.encode("he sits on it")]
    # What stands behind a special token begins like a text, and "</s>" in a text is the token.
    want = [1, *model.encode("he sits "), model.get_piece_size(), *model.encode(" on it"), 2]
    assert tokenizer.encode("he sits [SEG] on it</s>") == want
    assert tokenizer.id_of("</s>") == 2


def test_tokens_that_were_added_beside_the_file_come_first(folder, tmp_path):
    (tmp_path / "tokenizer.model").write_bytes((folder / "sp" / "tokenizer.model").read_bytes())
    size = load_tokenizer(tmp_path, ["x"]).id_of("x")
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<im_end>": size + 1, "[SEG]": size}))
    tokenizer = load_tokenizer(tmp_path, ["[OSEG]", "[SEG]"])
    np.testing.assert_array_equal([tokenizer.id_of(t) for t in ("[SEG]", "<im_end>", "[OSEG]")], size + np.arange(3))
    for numbers, said in (({"<a>": size + 1}, f"from {size} on"), ({"<a>": "1"}, "whole numbers")):
        (tmp_path / "added_tokens.json").write_text(json.dumps(numbers))
        with pytest.raises(InputError, match=said):
            load_tokenizer(tmp_path)
    (tmp_path / "added_tokens.json").write_text(json.dumps({"</s>": 2, "<a>": size}))
    assert [load_tokenizer(tmp_path).id_of(t) for t in ("</s>", "<a>")] == [2, size]


def test_what_is_no_tokenizer(tmp_path):
    with pytest.raises(InputError, match="neither tokenizer.json nor tokenizer.model"):
        load_tokenizer(tmp_path)
    for name in ("tokenizer.json", "tokenizer.model"):
        with pytest.raises(InputError):
            load_tokenizer(tmp_path / name)
        (tmp_path / name).write_text("{")
        with pytest.raises(InputError, match="cannot read a tokenizer"):
            load_tokenizer(tmp_path / name)
    with pytest.raises(InputError, match=r"got .*vocab.txt"):
        load_tokenizer(tmp_path / "vocab.txt")
