"""Structured logs in which no number, name or token stands in the clear.

WARNING: nothing is lost, somebody may want to look. ERROR: something is lost, or a person is needed.
Nothing is logged per event above DEBUG.
"""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import structlog

_SECRET_KEYS = re.compile(r"secret|password|token|authorization|number|caller|callee|contact_name|_key$", re.IGNORECASE)
# Six to fifteen digits alone; a uniqueid (1782900000.58) and a namespaced id (main:1782900000.58) are no numbers.
_NUMBER = re.compile(r"(?<![\w:-])(?<!\d\.)\+?\d{6,15}(?![\w:-]|\.\d)")


def mask(text: str) -> str:
    """A text with every telephone-like number reduced to its last two digits."""
    return _NUMBER.sub(lambda m: "***" + m.group()[-2:], text)


def printable(text: str) -> str:
    """Text from outside as a terminal may show it: no character that moves the cursor, hides or turns what follows."""
    return "".join(c if c.isprintable() or c in "\n\u00a0" else "\ufffd" for c in text)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    """A structlog processor: values of telling keys are dropped, numbers in texts are masked."""
    for key, value in event.items():
        if _SECRET_KEYS.search(key):
            event[key] = "***"
        elif isinstance(value, str):
            event[key] = mask(value)
        elif isinstance(value, BaseException):
            event[key] = f"{type(value).__name__}: {mask(str(value))}"
    return event


def configure(level: str = "info", form: str = "auto", out: TextIO | None = None) -> None:
    """Set up logging for this process; `form` is json, text or auto (text on a terminal)."""
    stream = out or sys.stderr
    text = form == "text" or (form == "auto" and stream.isatty())
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            redact,
            structlog.dev.ConsoleRenderer() if text else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
