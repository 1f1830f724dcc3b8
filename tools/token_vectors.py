"""Write how llama.cpp tokenises a list of texts: the vectors that tests/llm/files compares with.

    python tools/token_vectors.py MODEL.gguf TEXTS.json OUT.json

Runs where `xllamacpp` is installed (an environment of its own; Hekla does not need it).
"""

import json
import sys
import urllib.request
from pathlib import Path


def main() -> None:
    """Ask a llama.cpp server on a free port."""
    import xllamacpp  # type: ignore[import-not-found]  # not installed where types are checked

    model, texts, out = sys.argv[1:]
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.n_ctx = 256
    params.warmup = False
    params.port = 0
    server = xllamacpp.Server(params)

    def tokens(text: str, is_special: bool) -> list[int]:
        body = json.dumps({"content": text, "add_special": is_special, "parse_special": is_special}).encode()
        request = urllib.request.Request(
            f"{server.listening_address}/tokenize", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request) as answer:
            found: list[int] = json.load(answer)["tokens"]
        return found

    rows = [
        {"text": text, "plain": tokens(text, False), "special": tokens(text, True)}
        for text in json.loads(Path(texts).read_text())
    ]
    Path(out).write_text("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
