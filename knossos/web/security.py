"""Headers that every answer carries, and the check of the Host header.

The pages need nothing but this server and its WebSocket server, so the Content-Security-Policy allows nothing
else: no inline script or style, no foreign form target, and no frame but on a page that shows output of a script in one
(``g.shows_frames``). ``img-src data:`` is for the small icons
inside Bootstrap's style sheet.
"""

from __future__ import annotations

from flask import Blueprint, Flask, Response, abort, g, request

from knossos.web.addresses import is_plain_host, origin_of, websocket_base
from knossos.web.services import services

PLAIN_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not "no-referrer": with it browsers send "Origin: null" with the forms of our own pages.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def content_security_policy(websocket_origin: str, *, frames: bool = False) -> str:
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' data:",
            f"connect-src 'self' {websocket_origin}",
            "frame-src 'self'" if frames else "frame-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        )
    )


def install(app: Flask) -> None:
    app.before_request(_refuse_strange_hosts)
    app.after_request(_add_headers)


def _refuse_strange_hosts() -> None:
    if not is_plain_host(request.host):
        abort(400, "The Host header is not a host name.")


def _add_headers(response: Response) -> Response:
    for name, value in PLAIN_HEADERS.items():
        response.headers.setdefault(name, value)
    if "Content-Security-Policy" not in response.headers:
        host = request.host if is_plain_host(request.host) else "invalid"
        sockets = origin_of(websocket_base(services().settings, request.scheme, host))
        response.headers["Content-Security-Policy"] = content_security_policy(
            sockets, frames=bool(g.get("shows_frames"))
        )
    if request.path.startswith("/api/"):
        response.headers.setdefault("Cache-Control", "no-store")
    return response


def keep_private(blueprint: Blueprint) -> None:
    """Have the pages of a blueprint stay out of caches and of what search engines find."""
    blueprint.after_request(_keep_private)


def _keep_private(response: Response) -> Response:
    response.headers.setdefault("Cache-Control", "no-store")
    response.headers["X-Robots-Tag"] = "noindex"
    return response
