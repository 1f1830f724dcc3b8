"""Structured logs: one JSON object a line, or text for a person at a terminal."""

import json
import logging
import sys
import time
from typing import Literal

import orjson

_OWN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class JsonFormatter(logging.Formatter):
    """{"time", "level", "logger", "message"} and whatever `extra` carried: request_id, trace_id, model, status."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        seconds, fraction = divmod(record.created, 1)
        line: dict[str, object] = {
            "time": f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{int(fraction * 1e3):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in record.__dict__.items() if key not in _OWN}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(line, default=str).decode()
        except orjson.JSONEncodeError:  # half a surrogate pair in a file's name, a number beyond 64 bits
            return json.dumps(line, default=str)


def configure_logs(level: str, form: Literal["json", "text"]) -> None:
    """Send hekla's logs to standard error. Called once, by the command that owns the process."""
    handler = logging.StreamHandler(sys.stderr)
    text = logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")
    handler.setFormatter(JsonFormatter() if form == "json" else text)
    logger = logging.getLogger("hekla")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
