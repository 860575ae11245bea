"""A sum that is put down and taken up is the one that hashlib makes of all."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from knossos.publishing.repository import resumable_sum
from knossos.publishing.repository.resumable_sum import KIND, Checkpoint, FileSum, ResumableSum, sum_of_file

BLOCK = 128
DATA = bytes(number * 7 % 251 for number in range(BLOCK * 12 + 5))


def sum_of(path: Path, data: bytes, checkpoint: Checkpoint | None = None) -> FileSum:
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return sum_of_file(descriptor, checkpoint)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("step", [BLOCK, 3 * BLOCK, 512])
def test_from_every_checkpoint_on_every_continuation_has_its_sum(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable_sum, "STEP_BYTES", step)
    whole = sum_of(tmp_path / "list", DATA)
    assert whole.hexdigest == hashlib.blake2b(DATA).hexdigest()
    assert [one.offset for one in whole.passed] == list(range(step, len(DATA), step))
    for checkpoint in whole.passed:
        at = checkpoint.offset
        for data in (DATA[:at], DATA[: at + 1], DATA[: at + BLOCK], DATA[:at] + b"!" * 300, DATA):
            found = sum_of(tmp_path / "list", data, checkpoint)
            assert found.hexdigest == hashlib.blake2b(data).hexdigest()
            assert found.start == at
            assert [one.offset for one in found.passed] == list(range(at + step, len(data) + 1, step))
    assert sum_of(tmp_path / "list", DATA, whole.passed[0]).passed == whole.passed[1:]


def test_states_of_real_steps_are_taken_up_in_another_process(tmp_path: Path) -> None:
    data = os.urandom(resumable_sum.STEP_BYTES * 2 + 77)
    (checkpoint, _) = sum_of(tmp_path / "list", data).passed
    program = (
        "import os, sys\n"
        "from knossos.publishing.repository.resumable_sum import KIND, Checkpoint, sum_of_file\n"
        "checkpoint = Checkpoint(int(sys.argv[2]), bytes.fromhex(sys.argv[3]))\n"
        "found = sum_of_file(os.open(sys.argv[1], os.O_RDONLY), checkpoint)\n"
        "print(KIND, found.start, found.hexdigest, sep='|')\n"
    )
    arguments = [str(tmp_path / "list"), str(checkpoint.offset), checkpoint.state.hex()]
    said = subprocess.run([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    expected = f"{KIND}|{resumable_sum.STEP_BYTES}|{hashlib.blake2b(data).hexdigest()}\n"
    assert said.stdout == expected


@pytest.mark.parametrize("what", ["a bit", "shorter", "empty", "of another place"])
def test_a_damaged_state_costs_time_and_no_more(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable_sum, "STEP_BYTES", BLOCK)
    offset, state = sum_of(tmp_path / "list", DATA).passed[4]
    damaged = {
        "a bit": Checkpoint(offset, bytes([state[0] ^ 1]) + state[1:]),
        "shorter": Checkpoint(offset, state[:-20]),
        "empty": Checkpoint(offset, b""),
        "of another place": Checkpoint(offset + BLOCK, state),
    }[what]
    found = sum_of(tmp_path / "list", DATA, damaged)
    assert (found.start, found.hexdigest) == (0, hashlib.blake2b(DATA).hexdigest())


def test_where_states_cannot_be_taken_up_all_is_hashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert KIND.startswith("PyNaCl ")
    monkeypatch.setattr(ResumableSum, "taken_up", classmethod(lambda cls, _: cls()))  # a state that is not heeded
    assert resumable_sum._kind() == ""
    monkeypatch.setattr(resumable_sum, "KIND", "")
    assert sum_of(tmp_path / "list", DATA) == FileSum(hashlib.blake2b(DATA).hexdigest(), 0, [])
