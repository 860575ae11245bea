"""The table of a job's life holds together."""

from __future__ import annotations

from knossos.jobs.states import MOVES, JobState, states_before


def test_every_state_is_in_the_table_and_nothing_leaves_an_ended_one() -> None:
    assert set(MOVES) == set(JobState)
    assert {state for state in JobState if state.finished} == {
        JobState.SUCCEEDED,
        JobState.FAILED,
        JobState.CANCELLED,
    }


def test_the_states_before_one_are_those_that_may_move_into_it() -> None:
    for state in JobState:
        for before in states_before(state):
            assert state in MOVES[before]
    assert states_before(JobState.RUNNING) == (JobState.QUEUED,)
