"""JSON files of models, read with a limit."""

import json
from pathlib import Path
from typing import Any

from hekla.base.errors import ModelFileError, NotFoundError

LONGEST = 256 << 20  # bytes; the longest tokenizer.json published has 40 MB


def read_json(path: Path) -> dict[str, Any]:  # Any: JSON
    """Return a JSON object. Errors: NotFoundError; ModelFileError for what is no JSON object, or far too long."""
    try:
        size = path.stat().st_size
        if size > LONGEST:
            raise ModelFileError(f"expected at most {LONGEST} bytes, found {size}", where=str(path))
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise NotFoundError(f"cannot be read: {error.strerror}", where=str(path)) from None
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"no JSON ({type(error).__name__}: {error})", where=str(path)) from None
    if not isinstance(found, dict):
        raise ModelFileError(f"expected a JSON object, found {type(found).__name__}", where=str(path))
    return found
