"""Faults in any block of a file have the number of their line in the file."""

import pytest
from support.data import write

from bench.data.blocks import read_blocks, read_text
from bench.errors import DataError

FAULTS = {b"8 \r9": "carriage return", b"8 \0": "NUL byte", b"8 \xe9": "0xe9 is not UTF-8"}


@pytest.mark.parametrize("fault", FAULTS, ids=FAULTS.get)
@pytest.mark.parametrize("before", [0, 3, 40])
def test_the_line_of_a_fault_counts_from_the_start_of_the_file(tmp_path, fault, before):
    path = write(tmp_path, a_txt=b"1 2\n" * before + fault + b"\n3 4\n") / "a.txt"
    with pytest.raises(DataError, match=rf"a\.txt, line {before + 1}: .*{FAULTS[fault]}"):
        list(read_blocks(path, size=16))


def test_empty_lines_at_the_end_do_not_make_a_file_empty(tmp_path):
    content = b"1 2\n" * 4 + b"\n" * 40
    path = write(tmp_path, a_txt=content) / "a.txt"
    blocks = list(read_blocks(path, size=16))
    assert not blocks[-1].data.strip()
    assert b"".join(block.data for block in blocks) == read_text(path) == content
