"""Text of any usual encoding, turned into UTF-8 as it comes in."""

from __future__ import annotations

import codecs
from typing import Final

import numpy as np

from tensortrigger_backend.domain.errors import Fault, InvalidInput

_WESTERN = [f"iso8859-{part}" for part in (*range(1, 12), *range(13, 17))]
_WINDOWS = [f"cp{page}" for page in (437, 850, 852, 855, 858, 866, 874, 932, 949, 950, *range(1250, 1259))]
_EASTERN = ["shift_jis", "euc_jp", "iso2022_jp", "euc_kr", "gb2312", "gbk", "gb18030", "big5", "big5hkscs"]
_UNICODE = [f"utf-{bits}{order}" for bits in (16, 32) for order in ("", "-le", "-be")]

ENCODINGS = (
    "utf-8",
    "utf-8-sig",
    *_UNICODE,
    "ascii",
    *_WESTERN,
    *_WINDOWS,
    *_EASTERN,
    "koi8-r",
    "koi8-u",
    "mac-roman",
    "tis-620",
)
"""Text codecs of Python, by the names that it gives them."""

_LINE_FEED: Final = 0x0A


def known_encoding(name: str) -> str:
    """The encoding by its usual name: ``latin-1`` is ``iso8859-1``.

    Raises:
        InvalidInput: it is none of those that are read here.
    """
    try:
        found = codecs.lookup(name).name if name.isascii() and len(name) <= 40 else ""
    except LookupError:
        found = ""
    if found not in ENCODINGS:
        message = f"There is no encoding {name[:40]!r} here: say the one that the file was written in."
        raise InvalidInput.of(Fault(("encoding",), "encoding", message, ", ".join(ENCODINGS), name[:40]))
    return "utf-8" if found == "utf-8-sig" else found


class Transcoder:
    """Decodes text block by block and gives it back as UTF-8; UTF-8 itself passes as it is, where it is that."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._lines = 1

    def feed(self, data: bytes, last: bool = False) -> bytes:
        """The next block as UTF-8.

        Raises:
            InvalidInput: naming the line that holds what is no text of the encoding.
        """
        if self._encoding != "utf-8":
            # Half of a pair that stands for one character cannot be written as UTF-8.
            return self._decoded(data, last).encode("utf-8", "replace")
        # ASCII is seen to be that far more quickly than it is decoded, unless it cuts off a character begun before it.
        if data.isascii() and not self._decoder.getstate()[0]:
            self._lines += int(np.count_nonzero(np.frombuffer(data, np.uint8) == _LINE_FEED))
        else:
            self._decoded(data, last)
        return data

    def _decoded(self, data: bytes, last: bool) -> str:
        try:
            text = self._decoder.decode(data, last)
        except UnicodeDecodeError as error:
            good = error.object[: error.start].decode(self._encoding, "ignore")
            line = self._lines + good.count("\n")
            got = error.object[error.start : error.start + 4].hex(" ")
            message, remedy = f"Line {line} is not {self._encoding}: {error.reason} ({got}).", None
            if self._encoding == "utf-8":
                # Nobody may have said so: it is what text is taken for.
                remedy = (
                    "Say the encoding that it was written in, such as encoding=cp1252, latin-1 or utf-16."
                )
                message = f"Line {line} is not UTF-8: {error.reason} ({got}). {remedy}"
            fault = Fault(("input_data",), "encoding", message, self._encoding, got, remedy=remedy)
            raise InvalidInput.of(fault) from None
        except UnicodeError as error:
            message = f"Line {self._lines} is not {self._encoding}: {error}."
            raise InvalidInput.of(Fault(("input_data",), "encoding", message, self._encoding)) from None
        self._lines += text.count("\n")
        return text
