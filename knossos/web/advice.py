"""What somebody can do about a failed task, by the failure's code: one table, in the visitor's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PACK_AGAIN = "Check that the archive opens on your machine, upload it anew and submit the description again."
_OPERATOR = "This is a trouble of the server, not of the description: ask whoever runs it."

_BY_CODE: dict[str, str] = {
    "action_impossible": "Correct the mod's actions, and submit the description again.",
    "address_refused": "The server reaches public addresses only. Use a link that everyone can open.",
    "archive_damaged": "The file is incomplete or broken. Upload it anew and submit the description again.",
    "archive_encrypted": "Pack the archive again without a password.",
    "archive_incomplete": "Link to the first volume, and see that all volumes lie beside it.",
    "archive_is_web_page": "The link leads to a web page. Use the link that starts the download itself.",
    "archive_link_refused": "Pack the archive again without that link, or with a copy of the file in its place.",
    "archive_name_refused": "Rename that file to something every system can store, and pack the archive again.",
    "archive_names_collide": "Rename one of the two, and pack the archive again.",
    "archive_special_file": "Leave that entry out, and pack the archive again.",
    "archive_timeout": "The archive takes too long to read. Split it, or ask whoever runs this server.",
    "archive_too_big": "The archive is larger than this server allows. Split it, or ask whoever runs this server.",
    "archive_unsupported": "Pack the archive again as 7z or zip with the usual methods.",
    "cancelled": "Submit the description again if it should be packaged after all.",
    "database_unavailable": "Submit it again in a moment.",
    "disk_full": _OPERATOR,
    "download_failed": "Check that the links open in a browser without a login, correct them and submit again.",
    "expired": "It waited or ran for longer than this server allows. Submit it again.",
    "files_clash": "Leave one of the two files out, or resolve it with an action in the description.",
    "internal": "This is a mistake of the server, not of the description. Its operator finds the reason in the log.",
    "invalid_description": "Correct the description and submit it again.",
    "mirror_failed": _OPERATOR,
    "not_enough_space": _OPERATOR,
    "question_timeout": "Submit it again and keep the page open, so that you can answer the hoster's question.",
    "sevenzip_died": "Submit it again; where it fails again, ask whoever runs this server.",
    "timeout": "It took longer than this server allows. Split the mod into smaller packages, or ask the operator.",
    "worker_died": "Submit it again; where it fails again, ask whoever runs this server.",
    "worker_lost": "The machine that packaged it went away several times. Submit it again.",
}


#: Of a link: why it may well give the file another time.
_MAY_PASS = {"link_failed", "outgoing_failed", "unreachable", "too_slow", "broken_answer"}
_LATER = (
    "The servers of the links did not give the file this time. See whether the links open in a browser and submit again"
    " later; a second link, to another server, helps."
)
_LOOKS_LIKE_A_BOMB = "Look whether there are huge files of nothing but zeros in it, and pack it again without them."


def advice_for(code: str, details: Mapping[str, Any]) -> str:
    """The advice for a failure with this code and these details."""
    links = details.get("links")
    kinds = {str(link.get("code")) for link in links if isinstance(link, Mapping)} if isinstance(links, list) else set()
    if kinds == {"address_refused"}:
        return _BY_CODE["address_refused"]
    if kinds and kinds <= _MAY_PASS:
        return _LATER
    if details.get("limit") == "ratio":
        return _LOOKS_LIKE_A_BOMB
    if code in _BY_CODE:
        return _BY_CODE[code]
    if code.startswith("archive_"):
        return _PACK_AGAIN
    return "The log below says what happened before. Correct the cause and submit it again."
