"""What somebody can do about a failed task, by the failure's code: one table, in the visitor's words."""

from __future__ import annotations

_BY_CODE: dict[str, str] = {
    "cancelled": "Submit the description again if it should be packaged after all.",
    "expired": "It waited or ran for longer than this server allows. Submit it again.",
    "internal": "This is a mistake of the server, not of the description. Its operator finds the reason in the log.",
    "question_timeout": "Submit it again and keep the page open, so that you can answer the hoster's question.",
    "timeout": "It took longer than this server allows. Split the mod into smaller packages, or ask the operator.",
    "worker_lost": "The machine that packaged it went away several times. Submit it again.",
}

_BY_START: tuple[tuple[str, str], ...] = (
    ("archive_encrypted", "Pack the archive again without a password."),
    ("archive", "Check that the archive opens on your machine, upload it anew and submit the description again."),
    ("download", "Check that the links open in a browser without a login, correct them and submit again."),
    ("address", "The server reaches public addresses only. Use a link that everyone can open."),
    ("invalid", "Correct the description and submit it again."),
)

_ANYTHING = "The log below says what happened before. Correct the cause and submit it again."


def advice_for(code: str) -> str:
    if code in _BY_CODE:
        return _BY_CODE[code]
    return next((advice for start, advice in _BY_START if code.startswith(start)), _ANYTHING)
