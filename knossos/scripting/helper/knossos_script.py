# -*- coding: utf-8 -*-
"""For scripts that a Knossos server runs: what they were given, and how they talk to the page that watches them.

    import knossos_script as page

    arguments = page.parse_arguments()
    page.progress(0.3, "reading the table")
    link = page.share("plot.png", title="The plot")

One file for every Python from 2.7 on; it needs `six`, which lies beside it, and nothing else. It is on the path of
each script that the server runs. By hand, without a server, everything works as well: what would go to the page is
printed to stderr, and shared files go to the folder ``shared``. A page, or a server, that is gone never ends a script.
"""

import argparse
import base64
import errno
import json
import logging
import mimetypes
import os
import re
import select
import shutil
import stat
import sys
import threading
import uuid
from xml.sax.saxutils import escape

import six
from six.moves.urllib.parse import quote, urlencode

__all__ = [
    "HtmlLog",
    "call",
    "debug",
    "error",
    "form",
    "html_log",
    "info",
    "parse_arguments",
    "progress",
    "send_mail",
    "server_url",
    "share",
    "shared_file",
    "token",
    "warning",
]

#: Longest line of the channel in bytes, with its end.
MAX_LINE_BYTES = 1024 * 1024
#: A longer text of one line of the log, or of one step, is cut: characters.
MAX_TEXT_CHARS = 64 * 1024
#: Longest name of a shared file in bytes; room is left for a number.
MAX_NAME_BYTES = 200
#: Exit code of a script that was called in a wrong way.
EXIT_USAGE = 2


# What the script was given


def token():
    """The session token of the user who called the script ("" where it was run without one)."""
    found = _split(sys.argv[1:])[0].get("auth-token", "")
    return "" if found is True else found


def parse_arguments(argv=None, parser=None):
    """Read the script's arguments: ``--auth-token=<token> --NAME=value ... <positional> ...``.

    With an ``argparse`` parser of your own: what it answers; ``--auth-token`` need not be in it. Without one: an object
    with ``auth_token``, ``options`` (a dict of NAME to value; True for a bare ``--NAME``) and ``positional`` (a list).

    :param argv: the arguments without the script's name; default: those of this process.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if parser is not None:
        try:
            parser.add_argument("--auth-token", default="", help=argparse.SUPPRESS)
        except argparse.ArgumentError:
            pass  # it has one
        return parser.parse_args(argv)
    options, positional = _split(argv)
    return argparse.Namespace(auth_token=options.pop("auth-token", ""), options=options, positional=positional)


def form(path=None):
    """The values of the form in the page, a dict; files by their name.

    It is read from the first positional argument (``.upload_files/form.json``). Where there is none, or it is no JSON
    object, the script ends with an error in the log and exit code 2.
    """
    if path is None:
        positional = _split(sys.argv[1:])[1]
        if not positional:
            _wrong_call("This script expects a file with a form (form.json) as its first argument.")
        path = positional[0]
    try:
        with open(path, "rb") as file:
            values = json.loads(file.read().decode("utf-8"))
    except (IOError, OSError) as problem:
        _wrong_call("The form %s cannot be read: %s" % (path, problem.strerror))
    except ValueError as problem:
        _wrong_call("The form %s is no JSON: %s" % (path, problem))
    if not isinstance(values, dict):
        _wrong_call("The form %s is no JSON object." % (path,))
    return values


def _split(argv):
    """-> (named arguments, positional arguments). After the first positional one all are."""
    options = {}
    for number, argument in enumerate(argv):
        if argument == "--":
            return options, argv[number + 1 :]
        if not argument.startswith("--"):
            return options, argv[number:]
        name, equals, value = argument[2:].partition("=")
        options[name] = value if equals else True
    return options, []


def _wrong_call(text):
    error(text)
    sys.exit(EXIT_USAGE)


# What the page shows


def progress(fraction, text=""):
    """Say how far the script is, from 0 to 1, and what it is at."""
    fraction = float(fraction)
    if fraction != fraction:
        raise ValueError("fraction: expected a number from 0 to 1")
    fraction = min(1.0, max(0.0, fraction))
    text = _short(text)
    _say({"progress": fraction, "text": text}, u"%3d %% %s" % (int(fraction * 100), text))


def debug(text):
    """A detail, for the job's log."""
    _log("debug", text)


def info(text):
    """What is being done, for the job's log."""
    _log("info", text)


def warning(text):
    """What the user should look at, for the job's log."""
    _log("warning", text)


def error(text):
    """What went wrong, for the job's log. The script goes on; end it with ``sys.exit``."""
    _log("error", text)


def _log(level, text):
    text = _short(text)
    _say({"log": level, "text": text}, u"%s: %s" % (level.upper(), text))


class HtmlLog(logging.Handler):
    """Writes each record as a block of escaped HTML, for scripts whose output is shown as a page with Bootstrap.

        logging.getLogger().addHandler(page.html_log())
    """

    def __init__(self, stream=None, level=logging.NOTSET):
        logging.Handler.__init__(self, level)
        self._stream = stream

    def emit(self, record):
        try:
            stream = sys.stdout if self._stream is None else self._stream
            kind = "info"
            if record.levelno >= logging.WARNING:
                kind = "warning" if record.levelno < logging.ERROR else "danger"
            html = escape(_text(self.format(record)), {u'"': u"&quot;"}).replace(u"\n", u"<br>\n")
            block = u'<div class="alert alert-%s">%s</div>\n' % (kind, html)
            # ASCII, so that no encoding of a terminal or a pipe matters.
            stream.write(block.encode("ascii", "xmlcharrefreplace").decode("ascii"))
            stream.flush()
        except Exception:
            self.handleError(record)


def html_log(stream=None):
    """A ``logging`` handler that writes HTML to ``stream`` (default: stdout). See `HtmlLog`."""
    return HtmlLog(stream)


# Files for the user


def share(path, name=None, title=None, move=False):
    """Give a file to the user, and answer its link on this server (``/Shared/...``).

    :param path: the file; it is copied, or moved with ``move=True``.
    :param name: what it shall be called; default: as it is. A name that is taken by another file gets a number; the
        same name given again by this script (or, without a name, the same file) takes the place of the earlier one.
    :param title: what the page calls the link.
    """
    source = _bytes(path)
    open(source, "rb").close()  # or it says why not
    folder = _shared_folder()
    given = _reserve(*((os.path.basename(source), os.path.abspath(source)) if name is None else (_bytes(name),) * 2))
    # Never half a file under the name that others read.
    hidden = os.path.join(folder, b"." + uuid.uuid4().hex.encode("ascii"))
    try:
        (shutil.move if move and not os.path.islink(source) else shutil.copyfile)(source, hidden)
        os.rename(hidden, os.path.join(folder, given))
    finally:
        if os.path.exists(hidden) and os.path.exists(source):
            os.remove(hidden)
    return _announce(given, title)


def shared_file(name, title=None):
    """-> ``(link, path)``: where to write a file for the user, and its link. The file is there, empty."""
    wanted = _bytes(name)
    given = _reserve(wanted, key=wanted)
    return _announce(given, title), _path(os.path.join(_shared_folder(), given))


def _announce(given, title):
    shown = _text(given)
    link = "/Shared/%s/%s" % (quote(os.path.basename(_shared_folder())), quote(given))
    title = _short(shown if title is None else title)
    _say({"shared": shown, "title": title}, u"%s: %s" % (title, link))
    return link


#: What this script has shared: what was asked for -> the name it was given.
_names_given = {}


def _reserve(wanted, key):
    """A safe name in the shared folder that nobody else has: an empty file of that name is there."""
    with _lock:
        if key not in _names_given:
            stem, extension = os.path.splitext(_safe_name(wanted))
            number = 1
            while True:
                name = stem + (b"" if number == 1 else b"-" + str(number).encode("ascii")) + extension
                try:
                    os.close(os.open(os.path.join(_shared_folder(), name), os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
                    break
                except OSError as problem:
                    if problem.errno != errno.EEXIST:
                        raise
                number += 1
            _names_given[key] = name
        return _names_given[key]


def _safe_name(name):
    """The name without folders, control characters, a leading dot, and what is too long."""
    text = _text(name).replace(u"\\", u"/").rstrip(u"/").rpartition(u"/")[2]
    text = re.sub(u"[\\x00-\\x1f\\x7f]", u"_", text).lstrip(u". ").rstrip(u" ")
    stem, extension = os.path.splitext(text)
    extension = extension.encode("utf-8")
    if len(extension) > 20:
        stem, extension = text, b""
    stem = stem.encode("utf-8")[: MAX_NAME_BYTES - len(extension)].decode("utf-8", "ignore").encode("utf-8")
    return (stem or b"file") + extension


def _shared_folder():
    """SHARED_DIR, as bytes, whatever the locale says of names; by hand ``shared`` in the working directory."""
    folder = os.path.abspath(_bytes(os.environ.get("SHARED_DIR") or "shared"))
    if not os.path.isdir(folder):
        os.makedirs(folder)
    return folder


# Mail, and the server


def send_mail(to, subject, text, html=None, cc=(), attachments=()):
    """Have the server send a mail, if its operator allows that; what became of it is in the job's log.

    :param to: an address, or a list of them; ``cc`` likewise.
    :param html: the same text as HTML.
    :param attachments: paths of files, or ``(name, content)`` with bytes. The mail may take 1 MiB with all of them:
        share what is larger, and send the link.
    """
    mail = {
        "to": _addresses(to),
        "cc": _addresses(cc),
        "subject": u" ".join(_text(subject).split()),
        "text": _text(text),
        "html": None if html is None else _text(html),
        "attachments": [_attachment(one) for one in attachments],
    }
    by_hand = u"a mail to %s: %s\n%s" % (u", ".join(mail["to"] + mail["cc"]), mail["subject"], mail["text"])
    _say({"mail": mail}, by_hand)


def _addresses(addresses):
    if isinstance(addresses, (six.text_type, six.binary_type)):
        addresses = [addresses]
    return [_text(address).strip() for address in addresses]


def _attachment(one):
    if isinstance(one, (tuple, list)):
        name, content = one
        content = content.encode("utf-8") if isinstance(content, six.text_type) else content
    else:
        name = os.path.basename(_bytes(one))
        with open(one, "rb") as file:
            content = file.read()
    name = _text(_safe_name(_bytes(name)))
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return {"name": name, "type": kind, "base64": base64.b64encode(content).decode("ascii")}


def server_url():
    """The address of the server that runs this script, without a slash at its end ("" by hand)."""
    return os.environ.get("KNOSSOS_URL", "").rstrip("/")


def call(path, fields=None, timeout=60):
    """Ask this server something, as the user who called the script, and answer the body of its answer, bytes.

    :param path: such as ``/api/info``.
    :param fields: a dict for a POST; default: a GET.
    :param timeout: seconds.
    :raises urllib.error.URLError: (``urllib2.URLError`` in Python 2) it does not answer, or refuses.
    """
    if not path.startswith("/") or not server_url():
        raise ValueError("expected a path that begins with /, and the server's address in KNOSSOS_URL")
    from six.moves.urllib.request import Request, urlopen  # slow to import, and seldom wanted

    body = None
    if fields is not None:
        pairs = [(_bytes(_text(name)), _bytes(_text(value))) for name, value in fields.items()]
        body = urlencode(pairs).encode("ascii")
    request = Request(server_url() + path, body)
    # Not for whomever a redirect leads to.
    request.add_unredirected_header("Cookie", "SessionToken=%s" % token())
    answer = urlopen(request, timeout=timeout)
    try:
        return answer.read()
    finally:
        answer.close()


# The channel


def _open_channel():
    """The number of the server's pipe, or None. Looked at before the script opens files, which may get that number."""
    try:
        number = int(os.environ.get("KNOSSOS_FD", ""))
        return number if stat.S_ISFIFO(os.fstat(number).st_mode) else None
    except (ValueError, OverflowError, OSError):
        return None


def _renew_lock():
    global _lock
    _lock = threading.RLock()


_channel = _open_channel()
_renew_lock()
if hasattr(os, "register_at_fork"):
    # A thread that held the lock does not live on in the child.
    os.register_at_fork(after_in_child=_renew_lock)


def _say(message, by_hand):
    """Send a message; without a server, or one that listens, print it."""
    line = json.dumps(message).encode("ascii") + b"\n"
    if len(line) > MAX_LINE_BYTES:
        raise ValueError("this takes %d bytes, and at most %d can be sent" % (len(line), MAX_LINE_BYTES))
    if _channel is None:
        _print(by_hand)
        return
    with _lock:
        alone = _lock_pipe(True)
        try:
            _write(line)
        finally:
            if alone:
                _lock_pipe(False)


def _write(line):
    """All of the line, as few pieces as can be. A pipe that nobody reads swallows it."""
    while line:
        try:
            line = line[os.write(_channel, line) :]
        except (IOError, OSError) as problem:
            if problem.errno == errno.EAGAIN:
                select.select([], [_channel], [])
            elif problem.errno != errno.EINTR:
                return


def _lock_pipe(take):
    """Keep the script's other processes, as far as they use this module, from the pipe: a long line goes in pieces.

    :return: whether that could be.
    """
    import fcntl

    try:
        fcntl.lockf(_channel, fcntl.LOCK_EX if take else fcntl.LOCK_UN)
    except (IOError, OSError):
        return False
    return True


def _print(text):
    try:
        stream = sys.stderr if six.PY2 else getattr(sys.stderr, "buffer", None)
        if stream is None:
            sys.stderr.write(text + u"\n")
        else:
            sys.stderr.flush()
            stream.write(text.encode("utf-8", "replace") + b"\n")
            stream.flush()
    except (AttributeError, IOError, OSError, ValueError):
        pass  # stderr is closed


# Texts: the same under Python 2 and 3, and under any locale


def _text(value):
    """As text; bytes are read as UTF-8."""
    if isinstance(value, six.text_type):
        # Python 3 keeps bytes of names that its locale cannot read as halves of surrogate pairs.
        return value if six.PY2 else _bytes(value).decode("utf-8", "replace")
    if isinstance(value, six.binary_type):
        return value.decode("utf-8", "replace")
    try:
        return six.text_type(value)
    except UnicodeError:  # Python 2, and an object whose words are bytes
        return _text(str(value))


def _bytes(value):
    """As UTF-8."""
    if hasattr(value, "__fspath__"):
        value = value.__fspath__()
    if isinstance(value, six.binary_type):
        return value
    try:
        return value.encode("utf-8") if six.PY2 else value.encode("utf-8", "surrogateescape")
    except UnicodeError:
        return value.encode("utf-8", "replace")


def _path(value):
    """As what ``open`` takes, whatever the locale."""
    return value if six.PY2 else os.fsdecode(value)


def _short(value):
    text = _text(value)
    return text if len(text) <= MAX_TEXT_CHARS else text[:MAX_TEXT_CHARS] + u" ..."
