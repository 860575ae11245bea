"""The filter of system calls: what a script has no use for, and what would get round a limit.

The namespaces and the lack of capabilities already forbid most of it; the filter keeps scripts from reaching the code
in the kernel that has had the holes, and closes what is not a matter of rights:

* kernel memory that no limit counts: ``memfd_create``, System V shared memory and message queues. They are "not
  there" (ENOSYS), so that programs take another way.
* families of sockets beyond Unix, IP and netlink: a virtual machine's ``AF_VSOCK`` knows no namespace.
* what types into a terminal (TIOCSTI), the kernel's key rings, which are shared by all of a user's processes.
* namespaces of one's own, also where bubblewrap is too old to forbid them.
* files with a set-user-ID or set-group-ID bit: outside they would be programs of the server's user for everybody.

Assembled by hand, as the classic BPF that the kernel takes: eight bytes an instruction. For x86-64 and 64-bit ARM; a
program of another kind (32-bit, x32) finds no system call at all. On other machines there is no filter.
"""

from __future__ import annotations

import errno
import functools
import platform
import struct

#: struct sock_filter: code, jump if true, jump if false, operand.
_Instruction = tuple[int, int, int, int]

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ERRNO = 0x00050000
_ALLOWED: _Instruction = (_RETURN, 0, 0, 0x7FFF0000)
#: Offsets into struct seccomp_data.
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

#: From here on numbers of x86-64 mean x32.
_X32 = 0x40000000
#: Mount, cgroup, UTS, IPC, user, PID and network namespaces, as flags of clone().
_NEW_NAMESPACES = 0x7E020000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
#: AF_UNIX, AF_INET, AF_INET6.
_FAMILIES = (1, 2, 10)
#: Of this one only NETLINK_ROUTE, which tells of addresses and interfaces.
_AF_NETLINK, _NETLINK_ROUTE = 16, 0

#: AUDIT_ARCH_* by the machine's name.
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

#: Numbers on x86-64 and 64-bit ARM. None: not there.
_NOT_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "init_module": (175, 105),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "perf_event_open": (298, 241),
    "pivot_root": (155, 41),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setdomainname": (171, 162),
    "sethostname": (170, 161),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
#: As above; here the answer is that the kernel does not know them.
_NOT_THERE: dict[str, tuple[int | None, int | None]] = {
    # What they are told is in memory, where a filter cannot look; programs then take clone() and openat().
    "clone3": (435, 435),
    "openat2": (437, 437),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "msgget": (68, 186),
    "shmget": (29, 194),
}
#: Calls that give a file a mode, with which of their arguments it is.
_MODE: tuple[tuple[tuple[int | None, int | None], int], ...] = (
    ((90, None), 1),  # chmod
    ((91, 52), 1),  # fchmod
    ((268, 53), 2),  # fchmodat
    ((452, 452), 2),  # fchmodat2
    ((85, None), 1),  # creat
    ((83, None), 1),  # mkdir
    ((258, 34), 2),  # mkdirat
    ((133, None), 1),  # mknod
    ((259, 33), 2),  # mknodat
)
#: Those that do so only where they make a file: which arguments are the flags and the mode.
_OPEN: tuple[tuple[tuple[int | None, int | None], int, int], ...] = (((2, None), 1, 2), ((257, 56), 2, 3))
#: O_CREAT and what is O_TMPFILE's alone, on both machines.
_MAKES = 0o100 | 0o20000000
_SET_ID = 0o6000
_CLONE, _IOCTL, _SOCKET, _SOCKETPAIR = (56, 220), (16, 29), (41, 198), (53, 199)


@functools.cache
def filter_program(machine: str | None = None) -> bytes | None:
    """The filter as bytes for ``--seccomp``; None where we know none for the machine, which is this one by default."""
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        return None
    column = list(_ARCHITECTURES).index(machine)
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        _refuse(errno.ENOSYS),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        program += [(_JUMP_AT_LEAST, 0, 1, _X32), _refuse(errno.ENOSYS)]
    for table, answer in ((_NOT_ALLOWED, errno.EPERM), (_NOT_THERE, errno.ENOSYS)):
        for numbers in table.values():
            program += _on(numbers[column], [_refuse(answer)])
    refuse_set_id = [(_JUMP_ANY_BIT, 0, 1, _SET_ID), _refuse(errno.EPERM)]
    for numbers, mode in _MODE:
        program += _on(numbers[column], [_argument(mode), *refuse_set_id, _ALLOWED])
    for numbers, flags, mode in _OPEN:
        makes = (_JUMP_ANY_BIT, 0, 3, _MAKES)
        program += _on(numbers[column], [_argument(flags), makes, _argument(mode), *refuse_set_id, _ALLOWED])
    program += _on(
        _CLONE[column], [_argument(0), (_JUMP_ANY_BIT, 0, 1, _NEW_NAMESPACES), _refuse(errno.EPERM), _ALLOWED]
    )
    terminal = [step for request in (_TIOCSTI, _TIOCLINUX) for step in _on(request, [_refuse(errno.EPERM)])]
    program += _on(_IOCTL[column], [_argument(1), *terminal, _ALLOWED])
    families = [step for family in _FAMILIES for step in _on(family, [_ALLOWED])]
    for numbers in (_SOCKET, _SOCKETPAIR):
        refuse = _refuse(errno.EAFNOSUPPORT)
        netlink = _on(_AF_NETLINK, [_argument(2), *_on(_NETLINK_ROUTE, [_ALLOWED]), refuse])
        program += _on(numbers[column], [_argument(0), *families, *netlink, refuse])
    program.append(_ALLOWED)
    return b"".join(struct.pack("=HBBI", *step) for step in program)


def _refuse(number: int) -> _Instruction:
    return (_RETURN, 0, 0, _ERRNO | number)


def _argument(position: int) -> _Instruction:
    """Load the low half of an argument: both machines are little-endian."""
    return (_LOAD, 0, 0, _ARGUMENTS + 8 * position)


def _on(value: int | None, steps: list[_Instruction]) -> list[_Instruction]:
    """These steps, which all end in an answer, where what was loaded is ``value``."""
    return [] if value is None else [(_JUMP_EQUAL, 0, len(steps), value), *steps]
