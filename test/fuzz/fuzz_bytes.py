"""Raw bytes, corrupted as disks, cables and programming errors do it."""

from __future__ import annotations

import re

from hypothesis import strategies as st


@st.composite
def corrupted(draw: st.DrawFn, data: bytes) -> bytes:
    """``data`` (not empty) with bytes flipped, cut off, spliced, or with a number in it changed."""
    how = draw(st.sampled_from(["flip", "flip", "head", "cut", "splice", "repeat", "length", "digit", "empty"]))
    out = bytearray(data)
    if how in ("flip", "head"):
        last = len(data) - 1 if how == "flip" else min(len(data) - 1, 600)
        for place in draw(st.lists(st.integers(0, last), min_size=1, max_size=6)):
            out[place] ^= 1 << draw(st.integers(0, 7))
    elif how == "cut":
        del out[draw(st.integers(0, len(data) - 1)) :]
    elif how == "splice":  # the start of one message before the end of another
        first, second = draw(st.integers(0, len(data))), draw(st.integers(0, len(data)))
        out = out[:first] + out[second:]
    elif how == "repeat":
        out += out[: draw(st.integers(1, len(data)))]
    elif how == "length":  # a length or a number that promises too much
        place = 4 * draw(st.integers(0, (len(data) - 1) // 4))
        out[place : place + 4] = draw(
            st.sampled_from([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\0\0\xc0\x7f"])
        )
    elif how == "digit":  # text stays text: a header that is well-formed, and lies
        digits = [found.start() for found in re.finditer(rb"\d", data[:4000])]
        for place in draw(st.lists(st.sampled_from(digits), min_size=1, max_size=3)) if digits else []:
            out[place] = draw(st.sampled_from(b"0129-e."))
    else:
        out.clear()
    return bytes(out)
