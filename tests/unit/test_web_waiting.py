"""Seats for requests that wait."""

from __future__ import annotations

import socket
from contextlib import ExitStack

import pytest

from knossos.settings import ROOT
from knossos.web.waiting import SEATS, Seats, TooManyWait, client_of_request_is_there


def test_no_one_has_all_the_seats_and_some_threads_stay_free() -> None:
    seats = Seats(seats=3, of_one=2)
    with ExitStack() as stack:
        for owner in ("dora", "dora", "erik"):
            stack.enter_context(seats.taken(owner))
        for owner in ("dora", "erik", "olga"):
            with pytest.raises(TooManyWait), seats.taken(owner):
                pass
    with ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(seats.taken("dora"))
        with pytest.raises(TooManyWait), seats.taken("dora"):
            pass
        with seats.taken("erik"):
            pass


def test_a_seat_is_free_again_after_an_error() -> None:
    seats = Seats(seats=1, of_one=1)
    with pytest.raises(ZeroDivisionError), seats.taken("dora"):
        raise ZeroDivisionError
    with seats.taken("dora"):
        pass


def test_there_are_fewer_seats_than_threads() -> None:
    lines = (ROOT / "conf" / "app.ini").read_text().splitlines()
    threads = next(int(line.split("=")[1]) for line in lines if line.startswith("threads"))
    assert threads - SEATS >= 8


def test_a_client_that_has_closed_its_connection_is_gone() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(b"more of it")
            assert client_of_request_is_there(ours.fileno)
        assert not client_of_request_is_there(ours.fileno)
    assert client_of_request_is_there(), "where it cannot be looked at, it counts as there"
