"""The door: how a script in a private network calls our HTTP server, and nothing else.

No process of ours is inside. Root enters the sandbox's network for a moment and makes a socket that listens there; for
others, who would not find back, a short-lived copy of this process does that and hands the socket back. A thread here
then connects whoever calls it with the one address that the door leads to. It copies bytes and knows no protocol.
"""

from __future__ import annotations

import array
import contextlib
import os
import selectors
import socket
import threading
import warnings

from knossos.scripting.sandbox import kernel
from knossos.scripting.sandbox.errors import SandboxFailed
from knossos.scripting.sandbox.spawn import undisturbed
from knossos.scripting.sandbox.spec import DOOR_HOST, DOOR_PORT

#: Connections at once; more wait to be taken. Few, since each may hold a thread of the server.
MAX_CONNECTIONS = 8
#: Connections that wait.
BACKLOG = 64
#: Bytes that are held for a side that does not read.
BUFFER_BYTES = 64 * 1024
_IP_FREEBIND = 15


class Door:
    """A socket inside, and the thread that serves it until ``close``."""

    def __init__(self, inside: int, target: tuple[str, int]) -> None:
        """Make a door in the network of the process ``inside``.

        Raises:
            OSError, SandboxFailed: its network cannot be entered.
        """
        self._listener = listen_inside(inside)
        self._relay = _Relay(self._listener, target)
        self._thread = threading.Thread(target=self._relay.run, name="door", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._relay.stop()
        self._thread.join()


def listen_inside(pid: int) -> socket.socket:
    """A socket that listens in the network of another process of ours, in a user namespace below our own."""
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if os.geteuid() == 0:
            return _made_by_ourselves(network)
        owner = kernel.owner_of(network)
        try:
            return _made_by_a_copy(owner, network)
        finally:
            os.close(owner)
    finally:
        os.close(network)


def _made_by_ourselves(network: int) -> socket.socket:
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        with undisturbed():
            kernel.setns(network, kernel.CLONE_NEWNET)
            try:
                return _listening()
            finally:
                kernel.setns(home, kernel.CLONE_NEWNET)
    finally:
        os.close(home)


def _listening() -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # The address is not there before bubblewrap has brought the network up.
        listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
        listener.bind((DOOR_HOST, DOOR_PORT))
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _made_by_a_copy(owner: int, network: int) -> socket.socket:
    # Only a process of one thread may enter a user namespace, and without that the network is closed to us.
    ours, theirs = socket.socketpair()
    with ours, theirs:
        with warnings.catch_warnings():
            # Newer Pythons warn where there are threads: the copy takes no lock, it only makes system calls.
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if not pid:
            _enter_and_listen(owner, network, theirs)
        theirs.close()
        said, control, _, _ = ours.recvmsg(1024, socket.CMSG_SPACE(4))
        os.waitpid(pid, 0)
    if not control:
        raise SandboxFailed(f"The sandbox's network cannot be entered: {said.decode(errors='replace')}")
    descriptor = array.array("i", control[0][2])[0]
    os.set_inheritable(descriptor, False)
    return socket.socket(fileno=descriptor)


def _enter_and_listen(owner: int, network: int, answer: socket.socket) -> None:
    """In the copy: never returns."""
    try:
        kernel.setns(owner, kernel.CLONE_NEWUSER)
        kernel.setns(network, kernel.CLONE_NEWNET)
        listener = _listening()
        answer.sendmsg([b"+"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener.fileno()]))])
    except BaseException as error:
        with contextlib.suppress(OSError):
            answer.send(str(error).encode())
    finally:
        os._exit(0)


class _Side:
    """One end of a connection, with what is on its way to it."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self.other: _Side
        self.pending = bytearray()
        #: Nothing more comes from it; nothing more goes to it. One that has vanished is not told from one that has said
        #: all and waits for its answer: it has its place until the other side answers or ends.
        self.ended = False
        self.shut = False
        self.connected = True

    @property
    def wanted(self) -> int:
        """The events to wait for."""
        events = 0
        if not self.connected or self.pending:
            events |= selectors.EVENT_WRITE
        if self.connected and not self.ended and len(self.other.pending) < BUFFER_BYTES:
            events |= selectors.EVENT_READ
        return events


class _Relay:
    """Copies between connections, in one thread."""

    def __init__(self, listener: socket.socket, target: tuple[str, int]) -> None:
        self._listener, self._target = listener, target
        self._selector = selectors.DefaultSelector()
        self._wake, self._woken = socket.socketpair()
        self._sides: set[_Side] = set()
        self._listening = False
        listener.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def stop(self) -> None:
        """End all connections. Called by another thread."""
        self._wake.close()

    def run(self) -> None:
        try:
            while True:
                self._listen(len(self._sides) < 2 * MAX_CONNECTIONS)
                for key, events in self._selector.select():
                    if key.fileobj is self._woken:
                        return
                    if key.fileobj is self._listener:
                        self._accept()
                    elif key.data in self._sides:  # not ended by an event before this one
                        self._serve(key.data, events)
        finally:
            for side in self._sides:
                side.socket.close()
            self._listener.close()
            self._woken.close()
            self._selector.close()

    def _listen(self, wanted: bool) -> None:
        if wanted != self._listening:
            if wanted:
                self._selector.register(self._listener, selectors.EVENT_READ)
            else:
                self._selector.unregister(self._listener)
            self._listening = wanted

    def _accept(self) -> None:
        try:
            inner, _ = self._listener.accept()
        except OSError:
            return
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(*self._target, type=socket.SOCK_STREAM)[0]
            outer = socket.socket(family, kind, protocol)
        except (OSError, UnicodeError):  # the latter for a name that can be none
            inner.close()
            return
        sides = _Side(inner), _Side(outer)
        for side, other in (sides, sides[::-1]):
            side.other = other
            side.socket.setblocking(False)
            side.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sides[1].connected = False
        self._sides.update(sides)
        with contextlib.suppress(OSError):  # it says how that went when it can be written to
            outer.connect(address)
        for side in sides:
            self._watch(side)

    def _serve(self, side: _Side, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._write(side)
            if events & selectors.EVENT_READ:
                self._read(side)
            for one in (side, side.other):
                # What one side has ended is ended for the other as well, once it has all.
                if one.other.ended and not one.pending and one.connected and not one.shut:
                    one.socket.shutdown(socket.SHUT_WR)
                    one.shut = True
        except BlockingIOError:
            pass
        except OSError:
            self._end(side)
            return
        if side.shut and side.other.shut:
            self._end(side)
            return
        self._watch(side)
        self._watch(side.other)

    def _write(self, side: _Side) -> None:
        if not side.connected:
            number = side.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:
                raise OSError(number, os.strerror(number))
            side.connected = True
        if side.pending:
            sent = side.socket.send(side.pending)
            del side.pending[:sent]

    def _read(self, side: _Side) -> None:
        piece = side.socket.recv(BUFFER_BYTES)
        if piece:
            side.other.pending += piece
        else:
            side.ended = True

    def _watch(self, side: _Side) -> None:
        known = self._selector.get_map().get(side.socket)
        if side.wanted and known is None:
            self._selector.register(side.socket, side.wanted, side)
        elif side.wanted and known is not None and known.events != side.wanted:
            self._selector.modify(side.socket, side.wanted, side)
        elif not side.wanted and known is not None:
            self._selector.unregister(side.socket)

    def _end(self, side: _Side) -> None:
        for one in (side, side.other):
            if one.socket in self._selector.get_map():
                self._selector.unregister(one.socket)
            one.socket.close()
            self._sides.discard(one)
