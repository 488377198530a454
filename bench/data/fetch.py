"""Fetching the files of a data set: verified before use, placed in one step."""

from __future__ import annotations

import hashlib
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

from bench.data.cards import Card, PackagedFile, RemoteFile
from bench.errors import DataError

_TIMEOUT_S = 30


def packaged_file(packaged: PackagedFile) -> Path | None:
    """Path of a file that an installed package carries; the package is not imported."""
    spec = find_spec(packaged.package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / packaged.path
        if path.is_file():
            return path
    return None


def fetch(card: Card, folder: Path, offline: bool, refused: str = "") -> None:
    """Make sure that `folder` holds the files of a card, intact.

    Args:
        card: says what to fetch.
        folder: where the files belong; made if need be.
        offline: refuse to use the network.
        refused: why files that were found elsewhere cannot be used; for the message.

    Raises:
        DataError: a file is missing and cannot be fetched; says where to get it and where to put
            it.
    """
    for file in card.files:
        target = folder / file.name
        if target.is_file() and _intact(target, file):
            continue
        if offline:
            raise _by_hand(card, file, folder, ["working offline", refused])
        failures = []
        for url in file.urls:
            try:
                _fetch_one(url, file, target)
                break
            except (OSError, ValueError, zipfile.BadZipFile) as error:
                # Errors of the network libraries are OSErrors; only their first line is of use.
                failures.append(str(error).split("\n")[0][:200] or type(error).__name__)
        else:
            raise _by_hand(card, file, folder, [*failures, refused])


def download(url: str, target: Path) -> None:
    """Save what `url` serves as `target`.

    Raises:
        OSError: the network or the disk fails.
    """
    import pooch  # its import takes longer than reading a cached data set

    pooch.HTTPDownloader(chunk_size=2**16, timeout=_TIMEOUT_S)(url, str(target), None)


def _fetch_one(url: str, file: RemoteFile, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, so that moving it into place is one step.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetch-") as scratch:
        fresh = Path(scratch) / "download"
        download(url, fresh)
        if file.md5 is not None:
            found = hashlib.md5(fresh.read_bytes(), usedforsecurity=False).hexdigest()
            if found != file.md5:
                raise ValueError(f"{url} has MD5 {found}, expected {file.md5}")
        if file.member is not None:
            with zipfile.ZipFile(fresh) as archive:
                # Only this member is read, and to a name of ours, so no path can lead elsewhere.
                try:
                    content = archive.read(file.member)
                except KeyError:
                    raise ValueError(f"{url} has no {file.member} in it") from None
            fresh = Path(scratch) / "member"
            fresh.write_bytes(content)
        if not _intact(fresh, file):
            raise ValueError(f"{url} serves other content than git blob {file.git_blob}")
        fresh.replace(target)


def _intact(path: Path, file: RemoteFile) -> bool:
    """Whether a file is the one on the card; without a blob id, its pairs are checked later."""
    if file.git_blob is None:
        return True
    try:
        content = path.read_bytes()
    except OSError:
        return False
    header = b"blob %d\0" % len(content)
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest() == file.git_blob


def _by_hand(card: Card, file: RemoteFile, folder: Path, reasons: list[str]) -> DataError:
    reason = "; ".join(filter(None, reasons))
    what = f"{file.member} from {file.urls[0]}" if file.member else file.urls[0]
    return DataError(
        f"{card.name}: {file.name} is not here ({reason}); fetch {what} and save it as"
        f" {folder / file.name}, or set BENCH_DATA to a folder that has {card.name}/{file.name}"
    )
