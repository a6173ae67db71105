"""Language models behind one method: a server, a recorded transcript, or anything with `reply` (docs/language.md)."""

from hoijax.language.answers import first_json, option_in
from hoijax.language.messages import LanguageError, LanguageModel, Message, encode_image
from hoijax.language.recording import Recorder, Replay
from hoijax.language.server import ServerModel
from hoijax.language.tokenizers import HuggingFaceTokenizer, SentencePieceTokenizer, Tokenizer, load_tokenizer
from hoijax.language.words import WordTokenizer

__all__ = [
    "HuggingFaceTokenizer",
    "LanguageError",
    "LanguageModel",
    "Message",
    "Recorder",
    "Replay",
    "SentencePieceTokenizer",
    "ServerModel",
    "Tokenizer",
    "WordTokenizer",
    "encode_image",
    "first_json",
    "load_tokenizer",
    "option_in",
]
