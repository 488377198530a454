import hashlib
import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from support.data import TEST, TRAIN, alone_fixture, cards_fixture, write  # noqa: F401

from bench.data import fetch as fetch_module
from bench.data import load
from bench.errors import DataError

pytestmark = pytest.mark.usefixtures("alone")


def blob(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def card_of(train=TRAIN, test=TEST, base="https://example.invalid"):
    text = 'name = "toy"\n'
    for name, content in (("train.txt", train), ("test.txt", test)):
        text += f'[[files]]\nname = "{name}"\nurls = ["{base}/{name}", "{base}/mirror/{name}"]\n'
        text += f'git_blob = "{blob(content.encode())}"\n'
    return text


@pytest.fixture()
def web(monkeypatch):
    """A web of the test's own: address -> content or error; keeps what was asked for."""
    served, asked = {}, []

    def download(url, target):
        asked.append(url)
        content = served.get(url, OSError("host not found\nand a long trace"))
        if isinstance(content, Exception):
            raise content
        target.write_bytes(content)

    monkeypatch.setattr(fetch_module, "download", download)
    served["asked"] = asked
    return served


def serve(web, base="https://example.invalid", train=TRAIN, test=TEST):
    web[f"{base}/train.txt"] = train.encode()
    web[f"{base}/test.txt"] = test.encode()


def test_fetches_once_and_keeps_the_files(cards, web, tmp_path):
    write(cards, toy_toml=card_of())
    serve(web)
    data = load("toy")
    assert data.split == "toy-v10-s0"
    assert len(web["asked"]) == 2
    folder = tmp_path / "cache" / "downloads" / "toy"
    assert (folder / "train.txt").read_bytes() == TRAIN.encode()
    assert sorted(path.name for path in folder.iterdir()) == ["test.txt", "train.txt"]
    assert load("toy", offline=True).fingerprint == data.fingerprint
    assert len(web["asked"]) == 2


@pytest.mark.parametrize("wrong", [TRAIN[:-5].encode(), b"", b"<html>busy</html>"])
def test_what_is_not_the_file_is_never_used(cards, web, tmp_path, wrong):
    write(cards, toy_toml=card_of())
    serve(web)
    web["https://example.invalid/train.txt"] = wrong
    with pytest.raises(DataError, match="serves other content than git blob") as caught:
        load("toy")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "cache" / "downloads" / "toy" / "train.txt").exists()
    web["https://example.invalid/mirror/train.txt"] = TRAIN.encode()
    assert load("toy").train.nnz


def test_a_damaged_copy_is_fetched_again(cards, web, tmp_path):
    write(cards, toy_toml=card_of())
    serve(web)
    fingerprint = load("toy").fingerprint
    path = tmp_path / "cache" / "downloads" / "toy" / "train.txt"
    path.write_text(TRAIN[:-4])
    with pytest.raises(DataError, match="working offline"):
        load("toy", offline=True)
    assert load("toy").fingerprint == fingerprint
    assert path.read_text() == TRAIN


def test_no_network_says_what_to_fetch_and_where_to_put_it(cards, web, tmp_path):
    write(cards, toy_toml=card_of())
    for offline in (True, False):
        with pytest.raises(DataError) as caught:
            load("toy", offline=offline)
        message = str(caught.value)
        assert "https://example.invalid/train.txt" in message
        assert str(tmp_path / "cache" / "downloads" / "toy" / "train.txt") in message
        assert "BENCH_DATA" in message
        assert "\n" not in message
        assert ("host not found" in message) is not offline
    # What it says to do works.
    write(tmp_path / "cache" / "downloads" / "toy", train_txt=TRAIN, test_txt=TEST)
    assert load("toy", offline=True).users == 3


def test_why_files_at_hand_were_refused_is_told(cards, web, tmp_path):
    write(cards, toy_toml=card_of() + "[counts]\nusers = 3\n")
    write(tmp_path / "other", train_txt="0 0 1\n1 1 2\n", test_txt="0 2\n1 0\n")
    with pytest.raises(DataError, match="other: 2 users, but the card toy has 3"):
        load("toy", data_dir=tmp_path / "other")
    serve(web)
    assert load("toy", data_dir=tmp_path / "other").users == 3


def zipped(**members):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/").replace("_", "."), content)
    return stream.getvalue()


ROWS = "".join(f"{u}\t{i}\t{1 + (u + i) % 5}\t88\n" for u in range(1, 8) for i in range(1, 12))


def zip_card(content, member="toy/u.data"):
    return (
        'name = "toy"\n[[files]]\nname = "u.data"\nurls = ["https://example.invalid/toy.zip"]\n'
        f'md5 = "{hashlib.md5(content).hexdigest()}"\nmember = "{member}"\n'
    )


def test_only_the_named_member_of_an_archive_is_unpacked(cards, web, tmp_path):
    content = zipped(toy__u_data=ROWS, toy__README="hello", **{"..__..__escaped_txt": "x"})
    write(cards, toy_toml=zip_card(content))
    web["https://example.invalid/toy.zip"] = content
    assert load("toy").users == 7
    folder = tmp_path / "cache" / "downloads" / "toy"
    assert [path.name for path in folder.iterdir()] == ["u.data"]
    assert not list(tmp_path.rglob("escaped.txt"))


@pytest.mark.parametrize(
    ("content", "expected", "reason"),
    [
        (zipped(toy__u_data=ROWS)[:-30], None, "has MD5"),
        (zipped(other=ROWS), "itself", "has no toy/u.data in it"),
        (b"not a zip", "itself", "File is not a zip file"),
    ],
    ids=["cut", "other", "none"],  # an archive holds the time
)
def test_bad_archives(cards, web, tmp_path, content, expected, reason):
    write(cards, toy_toml=zip_card(content if expected else b"the right one"))
    web["https://example.invalid/toy.zip"] = content
    with pytest.raises(DataError) as caught:
        load("toy")
    assert reason in str(caught.value)
    assert "fetch toy/u.data from https://example.invalid/toy.zip" in str(caught.value)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        content = {"/train.txt": TRAIN, "/test.txt": TEST}.get(self.path)
        self.send_response(200 if content else 404)
        self.send_header("Content-Length", str(len(content or "")))
        self.end_headers()
        # The second file stops short of its length the first time it is asked for.
        short = self.path == "/test.txt" and not self.server.hurt
        self.server.hurt |= short
        self.wfile.write((content or "").encode()[: 5 if short else None])

    def log_message(self, *_):
        pass


def test_over_http(cards):
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.hurt = False
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        base = f"http://127.0.0.1:{server.server_port}"
        write(cards, toy_toml=card_of(base=base))
        with pytest.raises(DataError, match=r"test\.txt is not here \(.*; 404 "):
            load("toy")
        assert load("toy").users == 3
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_an_unwritable_cache_is_one_line(cards, web, tmp_path):
    write(cards, toy_toml=card_of())
    serve(web)
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(DataError, match=r"train\.txt is not here"):
        load("toy")
