"""Reading a text file in blocks of whole lines, out of its container, with its bytes checked."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from bench.data.names import is_hidden, kind_of
from bench.errors import DataError

_BLOCK = 16 << 20
_LONGEST_LINE = 64 << 20
_DAMAGED = (EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, gzip.BadGzipFile)
# First bytes of what is no text, and what to do about it.
_NO_TEXT = {
    b"\xff\xfe": "the text is UTF-16; save it as UTF-8",
    b"\xfe\xff": "the text is UTF-16; save it as UTF-8",
    b"\x28\xb5\x2f\xfd": "compressed with zstd, which is not read; unpack it, or compress it with"
    " gzip",
    b"7z\xbc\xaf": "a 7z archive, which is not read; unpack it and give the path of its table",
    b"Rar!": "a RAR archive, which is not read; unpack it and give the path of its table",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV",
    b"\x00\x05\x16\x07": "a hidden file of macOS, not data; give the file without `._`",
}


class Block(NamedTuple):
    """Some whole lines of a file.

    Attributes:
        line: number of the first line, from 1.
        data: UTF-8 without a byte order mark; each line ended by a line feed.
        lines: number of lines.
    """

    line: int
    data: bytes
    lines: int


def read_blocks(path: Path, size: int = _BLOCK) -> Iterator[Block]:
    """Read a text file, perhaps compressed (gzip, bzip2, xz, a zip archive with one table).

    Args:
        path: the file.
        size: bytes of a block, about.

    Raises:
        DataError: the file cannot be read, is empty, is not text, or is not UTF-8.
    """
    line, filled, rest = 1, False, b""
    with ExitStack() as stack:
        try:
            stream = _opened(path, stack)
            while True:
                # Enough at first for a byte order mark and its like.
                more = stream.read(size if line > 1 or rest else max(size, 16))
                if line == 1 and not rest:
                    _refuse_binary(path, more)
                    more = more.removeprefix(b"\xef\xbb\xbf")
                end = more.rfind(b"\n") + 1
                if more and not end:
                    rest += more
                    if len(rest) > _LONGEST_LINE:
                        # No line feed at all: line ends of old Macs, or no table.
                        raise DataError(
                            f"{path}, line {line}: a line of over {_LONGEST_LINE >> 20} MiB, so"
                            " this is not a table; fetch or export it again"
                        )
                    continue
                data = _checked(path, line, rest + more[:end] if more else rest)
                rest = more[end:]
                if data:
                    filled = filled or bool(data.strip())
                    lines = data.count(b"\n")
                    yield Block(line, data, lines)
                    line += lines
                if not more:
                    break
        except FileNotFoundError:
            raise DataError(f"{path}: no such file; check the path") from None
        except _DAMAGED as error:
            raise DataError(
                f"{path}: a compressed file or archive that is damaged ({error}); fetch it again"
            ) from None
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror or error})") from None
    if not filled:
        raise DataError(f"{path}: the file is empty; fetch or export it again")


def read_text(path: Path) -> bytes:
    """Read a text file whole; see `read_blocks`."""
    return b"".join(block.data for block in read_blocks(path))


def content_kind(path: Path) -> str:
    """`kind_of` a file or, for a zip archive, of the table in it.

    Raises:
        DataError: the archive is damaged or has no single table of text.
    """
    kind = kind_of(path) or ""
    if kind != ".zip":
        return kind
    try:
        with zipfile.ZipFile(path) as archive:
            member = table_of_zip(path, archive)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(
            f"{path}: a zip archive that cannot be read ({error}); fetch it again"
        ) from None
    if kind_of(PurePosixPath(member)) == ".parquet":
        raise DataError(f"{path}: {member} is a Parquet file; unpack it and give its path")
    return kind_of(PurePosixPath(member)) or ""


def lines_of(blocks: Iterator[Block]) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each line, without its line feed."""
    for block in blocks:
        lines = block.data.split(b"\n")
        yield from enumerate(lines[:-1], start=block.line)


def first_line_with(path: Path, label: str) -> str:
    """`, line N` for the first line with a label as a field of its own; empty if none is found."""
    if kind_of(path) == ".parquet":
        return ""
    wanted = label.encode()
    for number, line in lines_of(read_blocks(path)):
        if wanted in line and wanted in _fields(line):
            return f", line {number}"
    return ""


def _fields(line: bytes) -> set[bytes]:
    found = set()
    for mark in (b"\t", b"::", b";", b"|", b",", b" ", b":"):
        found |= {field.strip(b' "{}') for field in line.split(mark)}
    return found


def _opened(path: Path, stack: ExitStack) -> Any:
    stream = stack.enter_context(path.open("rb"))
    start = stream.read(6)
    stream.seek(0)
    if start[:2] == b"\x1f\x8b":
        return stack.enter_context(gzip.open(stream))
    if start[:3] == b"BZh":
        return stack.enter_context(bz2.open(stream))
    if start == b"\xfd7zXZ\x00":
        return stack.enter_context(lzma.open(stream))
    if start[:4] == b"PK\x03\x04":
        archive = stack.enter_context(zipfile.ZipFile(stream))
        return stack.enter_context(archive.open(table_of_zip(path, archive)))
    return stream


def table_of_zip(path: Path, archive: zipfile.ZipFile) -> str:
    """Name of the one table in a zip archive.

    Raises:
        DataError: there is none, or there are several, or it has a password.
    """
    members = [
        info
        for info in archive.infolist()
        if not info.is_dir()
        and kind_of(PurePosixPath(info.filename)) is not None
        and not any(is_hidden(part) for part in PurePosixPath(info.filename).parts)
    ]
    if any(
        info.filename in ("[Content_Types].xml", "xl/workbook.xml") for info in archive.filelist
    ):
        raise DataError(f"{path}: an Excel workbook, which is not read; save the sheet as CSV")
    if len(members) != 1:
        names = ", ".join(info.filename for info in members[:5])
        found = f"several tables ({names})" if members else "no table"
        raise DataError(
            f"{path}: {found} in the archive; unpack it and give the path of the table of"
            " interactions"
        )
    if members[0].flag_bits & 1:
        raise DataError(f"{path}: the archive has a password; unpack it and give its table's path")
    return members[0].filename


def _refuse_binary(path: Path, start: bytes) -> None:
    for mark, message in _NO_TEXT.items():
        if start.startswith(mark):
            raise DataError(f"{path}: {message}")


def _checked(path: Path, line: int, data: bytes) -> bytes:
    """The same lines with line feeds for line ends, the last one ended too."""
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n")
        alone = data.find(b"\r")
        if alone >= 0 and b"\n" in data:
            # Old Macs end lines so; beside other line ends it is part of a value, which it changes.
            raise DataError(
                f"{path}, line {line + data.count(bytes([10]), 0, alone)}: a carriage return"
                " within the line; remove it, or export the table as Parquet"
            )
        data = data.replace(b"\r", b"\n")
    if data and not data.endswith(b"\n"):
        data += b"\n"
    nul = data.find(b"\0")
    if nul >= 0:
        raise DataError(
            f"{path}, line {line + data.count(bytes([10]), 0, nul)}: a NUL byte, so this is not a"
            " text file; fetch or export it again"
        )
    if not data.isascii():
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            at = line + data.count(b"\n", 0, error.start)
            raise DataError(
                f"{path}, line {at}: byte 0x{data[error.start]:02x} is not UTF-8; save the file as"
                " UTF-8"
            ) from None
    return data
