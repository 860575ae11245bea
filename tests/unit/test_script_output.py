"""What a run writes: shown as it was written, whole characters, in order, within its limit."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from knossos.scripting.output import FULL_CHARS, Cover, Output
from knossos.scripting.plan import FileRole

OUT, ERR = FileRole.STDOUT, FileRole.STDERR


class Screen:
    """Notes what is shown."""

    def __init__(self) -> None:
        self.pieces: list[tuple[str, str]] = []

    def __call__(self, stream: str, text: str) -> None:
        self.pieces.append((stream, text))

    def text(self, stream: str) -> str:
        return "".join(text for shown, text in self.pieces if shown == stream)


def test_pieces_of_both_streams_are_shown_in_the_order_in_which_they_came(tmp_path: Path) -> None:
    screen = Screen()
    with Output(tmp_path, 1000, screen) as output:
        for stream, data in ((OUT, b"a"), (OUT, b"b"), (ERR, b"c"), (OUT, b"d")):
            output.add(stream, data)
        output.finish()
    assert screen.pieces == [("stdout", "ab"), ("stderr", "c"), ("stdout", "d")]
    assert (tmp_path / "stdout").read_bytes() == b"abd"
    assert (tmp_path / "stderr").read_bytes() == b"c"


@given(st.text(max_size=200), st.integers(1, 7))
def test_no_character_is_cut_in_two(tmp_path_factory: object, text: str, size: int) -> None:
    folder, screen = tmp_path_factory.mktemp("output"), Screen()  # type: ignore[attr-defined]
    data = text.encode()
    with Output(folder, 10_000, screen) as output:
        for start in range(0, len(data), size):
            output.add(OUT, data[start : start + size])
            output.flush()
        output.finish()
    assert screen.text("stdout") == text


def test_what_is_no_text_is_replaced_where_it_is_shown_and_kept_as_it_is(tmp_path: Path) -> None:
    screen = Screen()
    with Output(tmp_path, 1000, screen) as output:
        output.add(OUT, b"a\xff\xfeb\xe2\x82")
        output.finish()
    assert screen.text("stdout") == "a��b�"
    assert (tmp_path / "stdout").read_bytes() == b"a\xff\xfeb\xe2\x82"


def test_beyond_the_limit_bytes_are_counted_and_dropped(tmp_path: Path) -> None:
    screen = Screen()
    with Output(tmp_path, 10, screen) as output:
        output.add(OUT, b"12345")
        output.add(ERR, b"678901234")
        output.add(OUT, b"x" * 100)
        output.finish()
    assert (screen.text("stdout"), screen.text("stderr")) == ("12345", "67890")
    assert output.dropped == 104
    assert (tmp_path / "stdout").stat().st_size + (tmp_path / "stderr").stat().st_size == 10


def test_much_is_shown_at_once_and_little_waits_for_more(tmp_path: Path) -> None:
    with Output(tmp_path, 10**6, Screen()) as output:
        assert output.seconds_left() is None
        output.flush()
        output.add(OUT, b"a little")
        assert 0 < (output.seconds_left() or 0) <= 0.05
        output.add(OUT, b"x" * FULL_CHARS)
        assert output.seconds_left() == 0.0


@given(st.lists(st.sampled_from([b"secret", b"sec", b"ret", b"x", b"s", b"secsecret"])), st.integers(1, 5))
def test_a_secret_is_covered_however_it_is_cut(pieces: list[bytes], size: int) -> None:
    data, cover = b"".join(pieces), Cover(b"secret")
    shown = b"".join(cover.feed(data[start : start + size]) for start in range(0, len(data), size)) + cover.close()
    assert shown == data.replace(b"secret", Cover.MASK)


def test_a_script_that_prints_its_token_does_not_show_it(tmp_path: Path) -> None:
    screen = Screen()
    with Output(tmp_path, 1000, screen) as output:
        output.hide("knossos-run-abc")
        for piece in (b"token: knossos-", b"run-abc", b" and knossos-run"):
            output.add(OUT, piece)
        output.finish()
    assert screen.text("stdout") == "token: *** and knossos-run"
    assert (tmp_path / "stdout").read_bytes() == b"token: *** and knossos-run"


def test_a_full_disk_drops_output_and_does_not_end_the_run(tmp_path: Path) -> None:
    (tmp_path / "stdout").symlink_to("/dev/full")
    screen = Screen()
    with Output(tmp_path, 1000, screen) as output:
        output.add(OUT, b"never")
        output.add(ERR, b"neither")
        output.finish()
    assert (output.dropped, output.failed) == (len(b"neverneither"), "No space left on device")
    assert screen.pieces == []


def test_a_secret_is_covered_in_what_the_channel_brings_as_well(tmp_path: Path) -> None:
    with Output(tmp_path, 1000, Screen()) as output:
        output.hide("secret-token")
        said = output.covered(b"info secret-") + output.covered(b"token!\nsec") + output.covered(b"")
    assert said == b"info ***!\nsec"
