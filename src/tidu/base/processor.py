"""What kind of processor this is, as the system tells without anything being loaded for it."""

from __future__ import annotations

import functools
import platform

# Lines of /proc/cpuinfo that are the same at all times and on all processors of a kind.
_LASTING = (b"vendor_id", b"flags", b"Features", b"model name", b"CPU implementer", b"CPU part")


@functools.cache
def processor() -> bytes:
    """What the system says of the first processor: its maker, its name, its instructions."""
    try:
        with open("/proc/cpuinfo", "rb") as file:
            first = file.read(1 << 14).partition(b"\n\n")[0]
    except OSError:
        return platform.processor().encode()  # on Windows: family, model and maker
    return b"\n".join(line for line in first.split(b"\n") if line.startswith(_LASTING))
