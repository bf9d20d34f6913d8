"""Packed files by their first bytes: gzip and xz are unpacked, archives and documents are refused with the fix."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from eelbert_tf.errors import InputError

PACKED_SUFFIXES = (".gz", ".xz")

# Bytes that are read, unpacked and checked at once.
BLOCK_BYTES = 2**15

# An xz file may ask for gigabytes; `xz -9` needs 65 MB to unpack.
_XZ_MEMORY = 2**28

UTF8_MARK = b"\xef\xbb\xbf"
UTF16 = "the file is UTF-16; save it as UTF-8, for example with: iconv -f {} -t UTF-8"
_REFUSED = {
    b"\xff\xfe\x00\x00": "the file is UTF-32; save it as UTF-8, for example with: iconv -f UTF-32 -t UTF-8",
    b"\x00\x00\xfe\xff": "the file is UTF-32; save it as UTF-8, for example with: iconv -f UTF-32 -t UTF-8",
    b"\xff\xfe": UTF16.format("UTF-16"),
    b"\xfe\xff": UTF16.format("UTF-16"),
    b"PK\x03\x04": "the file is a zip archive; unpack it and name the text file in it",
    b"PK\x05\x06": "the file is an empty zip archive; expected text",
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "the file is an .xls or .doc document; save it as CSV UTF-8, or as plain text",
    **{b"BZh%d1AY&SY" % n: "the file is packed with bzip2; unpack it with: bunzip2" for n in range(1, 10)},
    b"\x28\xb5\x2f\xfd": "the file is packed with Zstandard; unpack it with: unzstd",
    b"7z\xbc\xaf\x27\x1c": "the file is a 7z archive; unpack it and name the text file in it",
    b"%PDF-": "the file is a PDF document; save its text as plain text",
}
_GZIP, _XZ = b"\x1f\x8b", b"\xfd7zXZ\x00"
_OFFICE = "the file is an Office document (.xlsx, .ods or .docx); save it as CSV UTF-8, or as plain text"
_OFFICE_PARTS = (b"[Content_Types].xml", b"_rels/", b"docProps/", b"xl/", b"word/", b"mimetypeapplication/vnd.")


def unpacked(blocks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The bytes of a file, those of a gzip or xz file unpacked.

    Args:
        blocks: the file as it lies on the disk.
        name: what it is called; only errors, and a suffix that promises gzip or xz, depend on it.

    Raises:
        InputError: it is packed otherwise, damaged, cut off, or no text by its first bytes.
    """
    head, blocks = _peek(blocks)
    packed = next((suffix for suffix, magic in ((".gz", _GZIP), (".xz", _XZ)) if head.startswith(magic)), "")
    if packed:
        start = _gzip if packed == ".gz" else _xz
        head, blocks = _peek(_streams(blocks, start, name, packed))
        if head.startswith((_GZIP, _XZ)):
            raise InputError(f"{name}: is packed twice; unpack it once")
    elif name.lower().endswith(PACKED_SUFFIXES):
        kind = Path(name).suffix.lower()
        if not head:
            raise InputError(f"{name}: the compressed file is cut off; fetch it again")
        raise InputError(f"{name}: not a whole {kind} file; fetch it again, or rename it if it is plain text")
    for magic, reason in _REFUSED.items():
        if head.startswith(magic):
            office = magic[:2] == b"PK" and any(part in head for part in _OFFICE_PARTS)
            raise InputError(f"{name}: {_OFFICE if office else reason}")
    yield from blocks


def _peek(blocks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes, as many as tell what they are, and all blocks; waits for no more of a pipe than it has to."""
    magics = (*_REFUSED, _GZIP, _XZ, UTF8_MARK)
    head = next(blocks, b"")
    while any(len(head) < len(magic) and magic.startswith(head) for magic in magics) and (more := next(blocks, b"")):
        head += more

    def again() -> Iterator[bytes]:
        if head:
            yield head
        yield from blocks

    return head, again()


def _gzip() -> Any:
    return zlib.decompressobj(wbits=31)


def _xz() -> Any:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


def _streams(blocks: Iterator[bytes], start: Callable[[], Any], name: str, suffix: str) -> Iterator[bytes]:
    """What one or more packed streams, one behind the other, hold, in pieces of bounded size.

    Python's own readers take whatever follows a whole xz stream for padding, so that a damaged second one would be
    dropped without a word.

    Raises:
        InputError: a stream is cut off or damaged.
    """
    unpacker, begun = start(), False
    try:
        for block in blocks:
            data = block
            while data or (begun and getattr(unpacker, "needs_input", True) is False and not unpacker.eof):
                if unpacker.eof:
                    unpacker, begun = start(), False
                if not begun:
                    data = data.lstrip(b"\0")  # padding between streams, and behind the last
                    if not data:
                        break
                    begun = True
                piece = unpacker.decompress(data, BLOCK_BYTES)
                if piece:
                    yield piece
                data = unpacker.unused_data if unpacker.eof else getattr(unpacker, "unconsumed_tail", b"")
        if begun and not unpacker.eof:
            raise InputError(f"{name}: the compressed file is cut off; fetch it again")
    except lzma.LZMAError as error:
        if "emory usage limit" in str(error):
            raise InputError(f"{name}: needs more than 256 MB to unpack; unpack it first with: xz -d") from None
        raise _damaged(name, suffix, error) from None
    except zlib.error as error:
        raise _damaged(name, suffix, error) from None


def _damaged(name: str, suffix: str, error: Exception) -> InputError:
    return InputError(f"{name}: not a whole {suffix} file ({error}); fetch it again")
