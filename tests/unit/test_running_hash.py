"""SHA-256 that is put down and taken up again gives what hashlib gives; and how a file is divided into parts."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knossos.errors import InvalidInput
from knossos.publishing.uploads.plan import PART_BYTES, Plan
from knossos.publishing.uploads.running_hash import AVAILABLE, RunningHash


def test_it_works_with_the_library_of_this_machine() -> None:
    assert AVAILABLE


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_a_hash_goes_on_from_its_saved_state_at_any_byte(pieces: list[bytes]) -> None:
    state = None
    for piece in pieces:
        running = RunningHash(state)
        running.update(piece)
        state = running.state()
    running = RunningHash(state)
    assert running.hexdigest() == hashlib.sha256(b"".join(pieces)).hexdigest()
    assert running.hexdigest() == running.hexdigest(), "asking for it changes nothing"


@pytest.mark.slow
def test_the_count_of_bytes_may_pass_what_fits_into_32_bits() -> None:
    """The state of 2**29 bytes is where the count of bits no longer fits into its lower word."""
    block, plain = bytes(1024 * 1024), hashlib.sha256()
    running = RunningHash()
    for _ in range(512):
        running.update(block)
        plain.update(block)
    running = RunningHash(running.state())
    running.update(b"end")
    plain.update(b"end")
    assert running.hexdigest() == plain.hexdigest()


@pytest.mark.parametrize("state", [b"", b"x" * 39, RunningHash().state() + b"x"])
def test_what_is_no_state_is_refused(state: bytes) -> None:
    with pytest.raises(ValueError, match="not the state"):
        RunningHash(state)


@pytest.mark.parametrize(
    ("size", "lengths"),
    [(1, [1]), (9, [9]), (10, [10]), (11, [10, 1]), (20, [10, 10]), (29, [10, 10, 9])],
)
def test_all_parts_but_the_last_are_of_one_length(size: int, lengths: list[int]) -> None:
    plan = Plan(size, 10)
    assert [plan.length(number) for number in range(plan.parts)] == lengths
    for number in (-1, plan.parts):
        with pytest.raises(InvalidInput):
            plan.length(number)


def test_parts_are_as_long_as_the_clients_make_them() -> None:
    assert Plan(2 * 10_485_760 + 1).parts == 3
    assert PART_BYTES % 64 == 0, "the state of the hash is smallest between blocks"
