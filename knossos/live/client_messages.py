"""What a client may say to us: ``[event, [argument, ...]]``, checked. A pure function; answers nothing."""

from __future__ import annotations

import json
from dataclasses import dataclass

#: Longest answer to a question, in characters.
LONGEST_ANSWER = 1000


@dataclass(frozen=True, slots=True)
class UserReady:
    """The client's page is up."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The user's answer to the open question."""

    text: str


@dataclass(frozen=True, slots=True)
class Cancel:
    """The user wants the job to end."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """Well-formed, but nothing that we know: a newer client may say it."""

    event: str


ClientMessage = UserReady | Answer | Cancel | Unknown


def parse_client_message(text: str) -> ClientMessage:
    """Read a message of a client.

    Raises:
        ValueError: it has not the form of one; the text says what was expected.
    """
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("expected JSON") from error
    match message:
        case ["captcha_response", [str(answer)]] if len(answer) <= LONGEST_ANSWER:
            return Answer(answer)
        case ["captcha_response", *_]:
            raise ValueError(f'expected ["captcha_response", ["<at most {LONGEST_ANSWER} letters>"]]')
        case ["user_ready", *_]:
            return UserReady()
        case ["cancel", *_]:
            return Cancel()
        case [str(event), *_]:
            return Unknown(event)
    raise ValueError('expected ["event", [argument, ...]]')
