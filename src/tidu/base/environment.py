"""What users may set in the environment. What means nothing there is an error, so that nobody waits
in vain for what a misspelt word was to do.
"""

from __future__ import annotations

import os
import re

# What each variable may be set to, in words and as a pattern.
_ALLOWED = {
    "TIDU_AHEAD": ("0 or 1", "[01]"),
    "TIDU_BACKEND": ("numpy or null", "numpy|null"),
    "TIDU_CACHE_SIZE": ("a number of bytes", r"\d+"),
    "TIDU_LOG": ("kernels", "kernels"),
    "TIDU_NUM_THREADS": ("a positive number", r"0*[1-9]\d*"),
    "TIDU_TIER": ("0 or 1", "[01]"),
    "TIDU_VERIFY": ("0 or 1", "[01]"),
}


def setting(name: str) -> str:
    """What a variable is set to, or "" if it is not. Raises ValueError for what it may not be."""
    text = os.environ.get(name, "")
    allowed, pattern = _ALLOWED[name]
    if text and not re.fullmatch(pattern, text):
        raise ValueError(f"{name} must be {allowed}, got {text!r}")
    return text


# Some are asked for late, and by threads whose errors nobody sees.
for _name in _ALLOWED:
    setting(_name)
