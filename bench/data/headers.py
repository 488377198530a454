"""Which column of a table is the user, which the item, which the rating: by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from bench.data.raw import shown
from bench.errors import DataError


def _words(text: str) -> list[str]:
    return text.split()


# Names without case, underscores, hyphens and blanks. What stands here is an id, never a name or a
# text: `reviewerName` is no candidate.
_USER = _words(
    """
    user userid uid userindex useridx reviewer reviewerid customer customerid custid visitor
    visitorid member memberid account accountid profile profileid client clientid buyer buyerid
    person personid reader readerid listener listenerid player playerid subscriber subscriberid
    authorid reviewuserid
    """
)
_ITEM = _words(
    """
    item itemid iid itemindex itemidx movie movieid film filmid product productid asin parentasin
    business businessid book bookid isbn track trackid song songid artist artistid album albumid
    article articleid news newsid game gameid app appid video videoid anime animeid restaurant
    restaurantid venue venueid location locationid place placeid poi poiid gmapid listing listingid
    recipe recipeid beer beerid hotel hotelid content contentid post postid course courseid stock
    stockcode sku skuid merchant merchantid show showid series seriesid job jobid ad adid
    """
)
# The first of these groups that a table has decides.
_RATING = (
    _words(
        "rating ratings score stars overall ratingvalue reviewscore reviewrating bookrating"
        " starrating ratingscore"
    ),
    _words(
        "label click clicked clicks isclick like liked islike feedback implicit interaction target"
        " purchased bought watched islistened"
    ),
    _words("quantity qty amount count plays playcount listens weight value hours watchratio"),
)
_TIME = _words("timestamp time date datetime unixreviewtime created createdat reviewtime")


@dataclass(frozen=True)
class Columns:
    """Columns of a table as a card states them; empty where it does not.

    Each is a name, or a number from 1 that counts the columns.
    """

    user: str = ""
    item: str = ""
    rating: str = ""

    @property
    def given(self) -> bool:
        """Whether the card states any."""
        return bool(self.user or self.item or self.rating)

    @property
    def counted(self) -> bool:
        """Whether user and item are given by the number of their column."""
        return self.user.isdigit() and self.item.isdigit()


@dataclass(frozen=True)
class Found:
    """Places of the columns, from 0.

    Attributes:
        user, item: of the two ids.
        rating: of the rating, if a threshold needs it.
        mark: of a rating or a label, where there is no threshold: to see whether it holds 0 and 1.
    """

    user: int
    item: int
    rating: int | None
    mark: int | None


def plain(name: str) -> str:
    """A name of a column without its type (RecBole's `user_id:token`), case and punctuation."""
    return re.sub(r"[\s_\-.]", "", name.split(":")[0]).lower()


def is_header(names: Sequence[str], columns: Columns) -> bool:
    """Whether a first line names columns; without such a name it is data, or cannot be told."""
    known = {*_USER, *_ITEM, *_TIME, *(name for group in _RATING for name in group)}
    given = (columns.user, columns.item, columns.rating)
    stated = {plain(name) for name in given if name and not name.isdigit()}
    return any(plain(name) in known or plain(name) in stated for name in names)


def is_count(name: str) -> bool:
    """Whether a column has amounts, such as quantities bought; negative ones are returns."""
    return plain(name) in _RATING[-1]


def is_rating(name: str) -> bool:
    """Whether a column has ratings, of which low ones may mean dislike."""
    return plain(name) in _RATING[0]


def has_both(names: Sequence[str]) -> bool:
    """Whether there is a column for the user and one for the item, by their usual names."""
    short = {plain(name) for name in names}
    return bool(short.intersection(_USER)) and bool(short.intersection(_ITEM))


def find_columns(
    where: str, names: Sequence[str], columns: Columns, rated: bool, separator: str = ""
) -> Found:
    """Find the columns of a table by name.

    Args:
        where: file and line, for messages.
        names: the header as it stands.
        columns: what the card states.
        rated: whether a threshold needs a rating.
        separator: between the columns, in words, for messages.

    Raises:
        DataError: a column is missing, or two could be meant.
    """
    finder = _Finder(where, names, separator)
    user = finder.one("user", columns.user, _USER)
    item = finder.one("item", columns.item, _ITEM)
    if user == item:
        raise DataError(
            f"{where}: user and item are both the column {shown(names[user])}; correct"
            " dataset.toml under [columns]"
        )
    group = next((g for g in _RATING if finder.candidates(g)), _RATING[0])
    if rated:
        return Found(user, item, finder.one("rating", columns.rating, group), None)
    marks = [at for at in finder.candidates(group) if at not in (user, item)]
    if columns.rating:
        marks = [finder.one("rating", columns.rating, group)]
    return Found(user, item, None, marks[0] if marks else None)


def by_place(where: str, width: int, columns: Columns, rated: bool) -> Found:
    """Columns of a table without a header: as the card counts them, else user, item, rating."""
    places = []
    for what, given, usual in (
        ("user", columns.user, 1),
        ("item", columns.item, 2),
        ("rating", columns.rating, 3),
    ):
        place = int(given) if given.isdigit() else usual
        if (given and not given.isdigit()) or not place >= 1:
            raise DataError(
                f"{where}: no column {given!r} for the {what}, since the first line"
                " is no header; put one above it, or count the columns in"
                f' dataset.toml under [columns], such as {what} = "{usual}"'
            )
        if place > width and (what != "rating" or given or rated):
            raise DataError(
                f"{where}: {width} column(s); a table without a header has the columns user,"
                f" item{', rating' if rated else '[, rating][, timestamp]'} in this order, or as"
                " dataset.toml counts them under [columns]"
            )
        places.append(place - 1)
    user, item, rating = places
    there = rating < width and rating not in (user, item)
    return Found(user, item, rating if rated else None, rating if there and not rated else None)


class _Finder:
    def __init__(self, where: str, names: Sequence[str], separator: str) -> None:
        self.where, self.names = where, names
        self.short = [plain(name) for name in names]
        self.separator = f", separated by {separator}" if separator else ""

    def candidates(self, usual: Sequence[str]) -> list[int]:
        return [at for at, name in enumerate(self.short) if name in usual]

    def one(self, what: str, given: str, usual: Sequence[str]) -> int:
        if given.isdigit() and 1 <= int(given) <= len(self.names):
            found = [int(given) - 1]
        elif given:
            exact = [at for at, name in enumerate(self.names) if name.split(":")[0] == given]
            found = exact or [at for at, name in enumerate(self.short) if name == plain(given)]
        else:
            found = self.candidates(usual)
        header = shown(", ".join(self.names), 120)
        if not found:
            example = given or {"user": "user_id", "item": "item_id"}.get(what, "rating")
            raise DataError(
                f"{self.where}: no column for the {what} in {header}{self.separator}; name it"
                f" {example}, or state its name in dataset.toml under [columns]"
            )
        if len(found) > 1:
            both = " or ".join(shown(self.names[at]) for at in found[:3])
            alike = len({self.names[at].split(":")[0] for at in found}) < len(found)
            name = found[0] + 1 if alike else self.names[found[0]]
            raise DataError(
                f"{self.where}: which column is the {what}, {both}? State it in dataset.toml under"
                f' [columns], such as {what} = "{name}"' + (", its number" if alike else "")
            )
        return found[0]
