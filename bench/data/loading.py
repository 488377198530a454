"""Loading a data set by the name of its card or by the path of its files."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from bench import paths
from bench.data.assemble import assemble
from bench.data.cache import cache_file, cache_root, read_cache, stamps, write_cache
from bench.data.cards import Card, SplitRule, find_card, list_cards, read_card
from bench.data.fetch import fetch, packaged_file
from bench.data.interactions import Interactions
from bench.data.labels import Labels
from bench.data.names import stem_of
from bench.data.sources import Source, from_file, from_folder
from bench.errors import DataError, did_you_mean

T = TypeVar("T")
_OWN_CARD = "dataset.toml"
LONGEST = 120
"""Most characters of the id of a split: that of `bench.records.schema.Name`."""
_PRINT = "-01234567"  # stands for what the id of own data ends in, a part of their fingerprint


def load(
    name_or_path: str | Path,
    *,
    data_dir: Path | None = None,
    cache_dir: Path | None = None,
    offline: bool = False,
    refit: bool = False,
) -> Interactions:
    """Load a data set: find or fetch its files, check them, repair them, split them.

    Args:
        name_or_path: name of a card (`gowalla`), or a folder or file of the user's own.
        data_dir: folder to look in before anything is fetched, `<data_dir>/<name>/train.txt` or
            `<data_dir>/train.txt`; the environment variable BENCH_DATA if absent.
        cache_dir: folder for fetched and parsed files; the environment variable BENCH_CACHE if
            absent, else the platform's place for caches.
        offline: never use the network.
        refit: merge validation into training.

    Returns:
        The data set; the same, bit for bit, on every machine.

    Raises:
        DataError: nothing of that name, or files that cannot be fetched or used; one line with
            file, line number, value and remedy.
    """
    root = cache_root(cache_dir)
    data = _opened(name_or_path, root, data_dir, offline, partial(_cached, root=root))
    return data.refit() if refit else data


def load_labels(
    name_or_path: str | Path, *, data_dir: Path | None = None
) -> tuple[Interactions, Labels, Labels]:
    """Load a data set with what its numbers of users and of items stand for in its files.

    The files are read again: caches have no labels. Arguments and errors are those of `load`.
    """
    return _opened(name_or_path, cache_root(None), data_dir, False, assemble)


def is_own(name_or_path: str) -> bool:
    """Whether that is a file or folder of the user's own, not the name of a card or of a split."""
    return find_card(name_or_path) is None and Path(name_or_path).exists()


def name_of(name_or_path: str) -> str:
    """What records call a data set: the name of a card, or the split of the user's own data.

    The split of own data has their fingerprint in it: files of one name may be other data. What is
    neither is returned as it is.

    Raises:
        DataError: as of `load`.
    """
    return load(name_or_path).split if is_own(name_or_path) else name_or_path


def _opened(
    name_or_path: str | Path,
    root: Path,
    data_dir: Path | None,
    offline: bool,
    read: Callable[[Source, Card, bool], T],
) -> T:
    """Find or fetch the files of a data set, and read them."""
    try:
        card = find_card(name_or_path) if isinstance(name_or_path, str) else None
        if card is None:
            return read(*_own(Path(name_or_path)), True)
        return _installed(card, root, _data_dir(data_dir), offline, read)
    except OSError as error:
        where = error.filename or name_or_path
        raise DataError(f"{where}: cannot be read ({error.strerror or error}); check it") from None


def _cached(source: Source, card: Card, local: bool, root: Path) -> Interactions:
    file = cache_file(root, source, card, local)
    data = read_cache(file, source)
    if data is None:
        taken = stamps(source)
        data, _, _ = assemble(source, card, local)
        write_cache(file, data, taken)
    return replace(data, files=(*map(str, source.parts.values()), str(file)))


def _own(path: Path) -> tuple[Source, Card]:
    """Files and card of the user's own data."""
    if path.is_dir():
        source, folder, name = from_folder(path), path, path.resolve().name
    elif path.is_file():
        source, folder, name = from_file(path), path.parent, stem_of(path)
    else:
        names = [card.name for card in list_cards()]
        raise DataError(
            f"there is no data set, file or folder {str(path)!r}; {did_you_mean(path.name, names)}"
        )
    if (folder / _OWN_CARD).is_file():
        card = read_card(folder / _OWN_CARD)
        _check_length(card, source, folder / _OWN_CARD, _PRINT)
        return source, card
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-")[: _room(SplitRule(), source, _PRINT)]
    return source, Card(name=name.strip("-") or "data")


def _room(rule: SplitRule, source: Source, end: str = "") -> int:
    """Most characters of a data set's name, so that the id of its split is not too long."""
    return LONGEST - len(f"-{rule.label(source.parts)}{end}")


def _check_length(card: Card, source: Source, path: Path, end: str = "") -> None:
    """Refuse a card whose name leaves no room for the rest of the split's id.

    Raises:
        DataError: with file, name and remedy.
    """
    room = _room(card.split, source, end)
    if len(card.name) > room:
        raise DataError(
            f"{path}: name: {card.name!r} has {len(card.name)} characters, but beside the rest of"
            f" the split's id {room} fit; shorten it"
        )


def _data_dir(given: Path | None) -> Path | None:
    named = str(given) if given is not None else os.environ.get("BENCH_DATA", "")
    if not named:
        return None
    folder = Path(named).expanduser()
    if not folder.is_dir():
        option = "--data-dir" if given is not None else "BENCH_DATA"
        raise DataError(f"{folder}: no such folder; correct {option}")
    return folder


def _installed(
    card: Card,
    root: Path,
    data_dir: Path | None,
    offline: bool,
    read: Callable[[Source, Card, bool], T],
) -> T:
    refused = ""

    def opened(source: Source) -> T:
        _check_length(card, source, paths.folder("cards") / f"{card.name}.toml")
        return read(source, card, False)

    if data_dir is not None:
        if (data_dir / card.name).is_dir():
            return opened(from_folder(data_dir / card.name))
        try:
            # The folder itself may be the data set; its content says whether it is this one.
            return opened(from_folder(data_dir))
        except DataError as error:
            if data_dir.resolve().name == card.name:
                raise
            refused = str(error)
    if card.packaged is not None:
        path = packaged_file(card.packaged)
        if path is not None:
            return opened(from_file(path))
    if not card.files:
        why = f" ({refused})" if refused else ""
        raise DataError(
            f"{card.name}: not published for download{why}; set BENCH_DATA or --data-dir to a"
            f" folder that has {card.name}/train.txt and {card.name}/test.txt"
        )
    folder = root / "downloads" / card.name
    fetch(card, folder, offline, refused)
    return opened(from_folder(folder))
