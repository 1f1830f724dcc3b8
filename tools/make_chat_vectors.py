"""Fill in what transformers renders: the texts of `tests/llm/files/vectors/chats.json`.

    python -m venv ORACLE
    ORACLE/bin/pip install transformers jinja2
    ORACLE/bin/python tools/make_chat_vectors.py tests/llm/files/vectors/chats.json

The file holds `templates` by name, and `rows`: template, messages, tools, options, text. Add a row without a text and
run this again.
"""

import json
import sys
from pathlib import Path

from transformers.utils.chat_template_utils import (  # type: ignore[import-not-found]  # of the environment this runs in
    render_jinja_template,
)


def main() -> None:
    """Render every row."""
    path = Path(sys.argv[1])
    table = json.loads(path.read_text())
    for row in table["rows"]:
        texts, _ = render_jinja_template(
            conversations=[row["messages"]],
            tools=row["tools"] or None,
            chat_template=table["templates"][row["template"]],
            add_generation_prompt=True,
            bos_token="<s>",
            eos_token="</s>",
            **row["options"],
        )
        row["text"] = texts[0]
    path.write_text(json.dumps(table, ensure_ascii=False, indent=1) + "\n")


if __name__ == "__main__":
    main()
