"""Ways out of the sandbox, each tried by a script that says what it got. It must have got nothing.

Each attempt is Python that runs inside and calls ``attempt(what, function)``; the prelude prints whether that was
refused. Root's scripts and an ordinary user's are tried alike.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.postgres import Postgres
from tests.support.redis_server import RedisServer
from tests.support.sandbox import PYTHON, USERS, Place, a_place

SECRET = "what no script may ever read"

PRELUDE = f"""#!{PYTHON}
import ctypes, errno, glob, json, os, signal, socket, stat, subprocess, sys, time
WORLD = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {{}}
libc = ctypes.CDLL(None, use_errno=True)
NUMBERS = json.loads(WORLD.get("numbers", "{{}}"))

def attempt(what, do):
    try:
        got = do()
    except BaseException as error:
        print(what, "| refused |", type(error).__name__, error, flush=True)
    else:
        print(what, "| GOT |", repr(got)[:300], flush=True)

def call(*arguments):
    result = libc.syscall(*[ctypes.c_long(one) if isinstance(one, int) else one for one in arguments])
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result

def ran(*command, **more):
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, **more)
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return done.stdout

def connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as one:
        one.settimeout(20)
        one.connect(address)
        return "connected"

def written(path, text="x", mode="a"):
    with open(path, mode) as file:
        file.write(text)
    return path
"""

#: Numbers of system calls that have no function in the C library, on x86-64 and 64-bit ARM.
SYSCALLS = {
    "x86_64": {
        "add_key": 248,
        "bpf": 321,
        "fsopen": 430,
        "init_module": 175,
        "kexec_load": 246,
        "keyctl": 250,
        "memfd_create": 319,
        "open_by_handle_at": 304,
        "perf_event_open": 298,
        "pivot_root": 155,
        "request_key": 249,
        "shmget": 29,
        "userfaultfd": 323,
    },
    "aarch64": {
        "add_key": 217,
        "bpf": 280,
        "fsopen": 430,
        "init_module": 105,
        "kexec_load": 104,
        "keyctl": 219,
        "memfd_create": 279,
        "open_by_handle_at": 265,
        "perf_event_open": 241,
        "pivot_root": 41,
        "request_key": 218,
        "shmget": 194,
        "userfaultfd": 282,
    },
}

#: What each tries, by what it would be.
ATTEMPTS = {
    "reads_the_server_s_settings_and_keys": """
for name in ("settings", "secret_key", "database"):
    attempt(name, lambda: open(WORLD[name]).read())
    attempt(name + " by way of the first process", lambda: open("/proc/1/root" + WORLD[name]).read())
    attempt(name + " by way of the working directory", lambda: open("../../../../.." + WORLD[name]).read())
attempt("its folder", lambda: os.listdir(os.path.dirname(WORLD["settings"])))
""",
    "reads_another_run": """
attempt("a file of another run", lambda: open(WORLD["other_run"] + "/private.txt").read())
attempt("the folder of runs", lambda: os.listdir(os.path.dirname(WORLD["other_run"])))
attempt("another run's shared files", lambda: [one for one in os.listdir("/script/shared")
        if one != os.path.basename(os.environ["SHARED_DIR"])][0])
""",
    "reads_homes_and_passwords": """
for path in ("/root", "/home", "/etc/shadow", "/etc/gshadow", "/etc/ssh", "/etc/knossos", "/var/lib", "/var/log",
             "/opt", "/srv", "/run/systemd", "/boot", "/mnt", "/etc/ssl/private", "/etc/machine-id"):
    attempt(path, lambda: os.listdir(path) if os.path.isdir(path) else open(path).read())
attempt("users", lambda: [line for line in open("/etc/passwd") if not line.startswith(("script:", "nobody:"))][0])
""",
    "looks_at_other_processes": """
mine = {"1", str(os.getpid())}
attempt("their numbers", lambda: [one for one in os.listdir("/proc") if one.isdigit() and one not in mine][0])
outside = WORLD["outside"]
for what in ("environ", "cmdline", "maps", "root", "cwd", "fd"):
    attempt(what, lambda: os.stat(f"/proc/{outside}/{what}") and open(f"/proc/{outside}/{what}").read())
attempt("the first one's environment", lambda: open("/proc/1/environ").read()[0])
attempt("the first one's root", lambda: (set(os.listdir("/proc/1/root")) - set(os.listdir("/"))).pop())
attempt("kernel memory", lambda: open("/proc/kcore", "rb").read(1))
""",
    "traces_and_signals_other_processes": """
outside = WORLD["outside"]
def traced(): # PTRACE_ATTACH
    ctypes.set_errno(0)
    if libc.ptrace(16, outside, None, None) == -1: raise OSError(ctypes.get_errno(), "ptrace")
class Vector(ctypes.Structure): _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
def memory():
    buffer = ctypes.create_string_buffer(8)
    mine, theirs = Vector(ctypes.addressof(buffer), 8), Vector(0x400000, 8)
    if libc.process_vm_readv(outside, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0) < 0:
        raise OSError(ctypes.get_errno(), "process_vm_readv")
attempt("ptrace", traced)
attempt("process_vm_readv", memory)
attempt("its memory", lambda: open(f"/proc/{outside}/mem", "rb"))
for number in (0, signal.SIGTERM, signal.SIGKILL):
    attempt("kill", lambda: os.kill(outside, number))
    attempt("its process group", lambda: os.killpg(WORLD["outside_group"], number))
attempt("pidfd", lambda: os.pidfd_open(outside))
attempt("its priority", lambda: os.setpriority(os.PRIO_PROCESS, outside, 19))
attempt("its processors", lambda: os.sched_setaffinity(outside, {0}))
""",
    "mounts": """
def mount(source, target, kind, flags):
    if libc.mount(source, target, kind, flags, None): raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
os.mkdir("here")
attempt("tmpfs", lambda: mount(b"none", b"here", b"tmpfs", 0))
attempt("proc", lambda: mount(b"proc", b"here", b"proc", 0))
attempt("the disk", lambda: mount(b"/dev/vda", b"here", b"ext4", 0))
attempt("bind", lambda: mount(b"/usr", b"here", None, 4096))
for path in (b"/", b"/usr", b"/dev", b"/proc", WORLD["bin"].encode()):
    attempt("remount to write", lambda: mount(b"none", path, None, 32 | 4096))
    attempt("remount with devices and set-user-ID", lambda: mount(b"none", path, None, 32))
for path in (b"/usr", b"/proc", b"/tmp", b"/dev/shm", b"."):
    def umount():
        if libc.umount2(path, 2): raise OSError(ctypes.get_errno(), "umount")
    attempt("umount", umount)
attempt("fsopen", lambda: call(NUMBERS["fsopen"], b"tmpfs", 0))
attempt("fusermount", lambda: ran("fusermount3", "here"))
""",
    "changes_its_root": """
os.makedirs("new/old")
attempt("pivot_root", lambda: call(NUMBERS["pivot_root"], b"new", b"new/old"))
attempt("chroot", lambda: os.chroot("new"))
attempt("up and up", lambda: open("/../../../../" + WORLD["settings"]).read())
""",
    "makes_namespaces": """
for name, flag in {"user": 0x10000000, "mount": 0x20000, "net": 0x40000000, "pid": 0x20000000, "time": 0x80}.items():
    def unshare():
        if libc.unshare(flag): raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    attempt("unshare " + name, unshare)
    attempt("setns " + name, lambda: libc.setns(os.open(f"/proc/1/ns/{name}", os.O_RDONLY), flag) == 0 or 1 / 0)
stack = ctypes.create_string_buffer(65536)
def clone():
    function = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(lambda _: 0)
    top = ctypes.c_void_p(ctypes.addressof(stack) + 65000)
    if libc.clone(function, top, 0x10000000 | signal.SIGCHLD, None) == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
attempt("clone", clone)
attempt("the program unshare", lambda: ran("unshare", "--user", "--map-root-user", "id"))
attempt("bubblewrap", lambda: ran("bwrap", "--ro-bind", "/", "/", "id"))
""",
    "types_into_a_terminal": """
import fcntl, pty, termios
attempt("the terminal of whoever started us", lambda: os.open("/dev/tty", os.O_RDWR))
master, slave = pty.openpty()
attempt("TIOCSTI", lambda: fcntl.ioctl(slave, 0x5412, b"x"))
attempt("TIOCLINUX", lambda: fcntl.ioctl(slave, 0x541C, b"\\x02"))
attempt("the console", lambda: os.open("/dev/console", os.O_RDWR))
""",
    "talks_to_redis_and_the_database": """
for port in WORLD["ports"]:
    attempt(f"port {port}", lambda: connect(socket.AF_INET, ("127.0.0.1", port)))
    attempt(f"port {port} by IPv6", lambda: connect(socket.AF_INET6, ("::1", port)))
    attempt(f"port {port} by the machine's own address", lambda: connect(socket.AF_INET, (WORLD["address"], port)))
attempt("a socket in a folder", lambda: connect(socket.AF_UNIX, WORLD["socket"]))
""",
    "talks_to_abstract_sockets": """
attempt("abstract socket", lambda: connect(socket.AF_UNIX, WORLD["abstract"].replace("@", chr(0))))
attempt("those that there are", lambda: [line for line in open("/proc/net/unix").readlines()[1:]][0])
""",
    "reaches_the_network": """
attempt("an address", lambda: connect(socket.AF_INET, ("192.0.2.1", 80)))
attempt("a datagram", lambda: connect(socket.AF_INET, ("192.0.2.1", 53), socket.SOCK_DGRAM))
attempt("a name", lambda: socket.getaddrinfo("example.org", 80))
attempt("interfaces", lambda: [name for _, name in socket.if_nameindex() if name != "lo"][0])
attempt("our HTTP server without a door", lambda: connect(socket.AF_INET, ("127.0.0.1", 4080)))
""",
    "makes_odd_sockets": """
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
attempt("ping", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP))
attempt("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt("virtual machine", lambda: socket.socket(40, socket.SOCK_STREAM))
attempt("kernel's ciphers", lambda: socket.socket(38, socket.SOCK_SEQPACKET))
attempt("bluetooth", lambda: socket.socket(31, socket.SOCK_RAW, 1))
attempt("audit", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 9).send(b"x" * 16))
""",
    "makes_devices": """
for name, major, minor in (("mem", 1, 1), ("sda", 8, 0), ("vda", 254, 0), ("kmsg", 1, 11)):
    attempt("mknod " + name, lambda: os.mknod(name, 0o600 | stat.S_IFBLK, os.makedev(major, minor)))
    attempt("mknod " + name, lambda: os.mknod("/tmp/" + name, 0o600 | stat.S_IFCHR, os.makedev(major, minor)))
for path in ("/dev/mem", "/dev/kmem", "/dev/port", "/dev/sda", "/dev/vda", "/dev/kmsg", "/dev/fuse", "/dev/kvm",
             "/dev/net/tun", "/dev/loop-control", "/dev/vhost-net", "/dev/userfaultfd"):
    attempt(path, lambda: os.open(path, os.O_RDONLY))
attempt("a name in /dev", lambda: written("/dev/sda"))
""",
    "becomes_somebody_else": """
import shutil
for number in (0, 1, 65534, WORLD["server_user"]):
    if number != os.getuid():
        attempt("setuid", lambda: os.setresuid(number, number, number))
        attempt("setgid", lambda: os.setresgid(number, number, number))
attempt("groups", lambda: os.setgroups([0]))
for command in (("su", "-c", "id"), ("sudo", "-n", "id"), ("mount", "-t", "tmpfs", "none", "/tmp"), ("newuidmap", "1"),
                ("passwd", "-d", "nobody"), ("pkexec", "id"), ("chsh", "-s", "/bin/sh")):
    attempt(command[0], lambda: ran(*command))
shutil.copy("/usr/bin/id", "id")
for mode in (0o4755, 0o2755, 0o6755):
    attempt("a set-user-ID copy", lambda: os.chmod("id", mode))
attempt("one by its descriptor", lambda: os.fchmod(os.open("id", os.O_RDONLY), 0o4755))
attempt("one that is made so", lambda: os.open("other", os.O_CREAT | os.O_WRONLY, 0o4755))
attempt("a folder", lambda: os.mkdir("folder", 0o2755))
attempt("one that is made so elsewhere", lambda: os.mknod("/dev/shm/x", stat.S_IFREG | 0o4755))
attempt("given away", lambda: os.chown("id", 0, 0))
attempt("capabilities", lambda: [line for line in open("/proc/self/status") if line.startswith("Cap") and
        int(line.split()[1], 16)][0])
attempt("a file's capabilities", lambda: os.setxattr("id", "security.capability",
        bytes.fromhex("0100000202000000000000000000000000000000")))
""",
    "uses_the_kernel_s_key_rings": """
attempt("add_key", lambda: call(NUMBERS["add_key"], b"user", b"name", b"text", 4, -3))
attempt("request_key", lambda: call(NUMBERS["request_key"], b"user", b"name", None, -3))
attempt("the session's ring", lambda: call(NUMBERS["keyctl"], 0, -3, 0))
""",
    "writes_to_the_kernel": """
attempt("/sys", lambda: os.listdir("/sys"))
for path in ("/proc/sys/kernel/hostname", "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe",
             "/proc/sys/vm/overcommit_memory", "/proc/sys/user/max_user_namespaces", "/proc/sysrq-trigger",
             "/proc/self/uid_map", "/proc/self/gid_map", "/proc/1/uid_map", "/proc/irq/default_smp_affinity",
             "/sys/fs/cgroup/cgroup.procs", "/sys/kernel/uevent_helper", "/sys/power/state"):
    attempt(path, lambda: written(path, "1", "w"))
attempt("the host's name", lambda: socket.sethostname("mine"))
attempt("its messages", lambda: libc.klogctl(3, ctypes.create_string_buffer(99), 99) >= 0 or 1 / 0)
""",
    "loads_modules_and_kernels": """
attempt("init_module", lambda: call(NUMBERS["init_module"], b"x" * 64, 64, b""))
attempt("kexec_load", lambda: call(NUMBERS["kexec_load"], 0, 0, None, 0))
attempt("modprobe", lambda: ran("/sbin/modprobe", "loop"))
attempt("reboot", lambda: libc.reboot(0x01234567) == 0 or 1 / 0)
attempt("swapoff", lambda: libc.swapoff(b"/dev/vdb") == 0 or 1 / 0)
""",
    "writes_where_scripts_lie": """
for path in (WORLD["bin"] + "/script", WORLD["bin"] + "/new", sys.argv[0], "/usr/bin/evil", "/usr/lib/evil.so",
             "/etc/passwd", "/etc/hosts", "/etc/ld.so.preload", "/evil", "/script/evil", "/script/shared/evil",
             "/lib/evil", "/var/evil", "/run/evil", "/proc/1/mem", "/home/evil", "/script/.ready"):
    attempt(path, lambda: written(path))
attempt("remove the script", lambda: os.unlink(sys.argv[0]))
attempt("make it writable", lambda: os.chmod(sys.argv[0], 0o777))
attempt("move the run", lambda: os.rename("/script/run", "/script/other"))
attempt("replace SHARED_DIR", lambda: os.rename(os.environ["SHARED_DIR"], "/tmp/away"))
""",
    "raises_its_limits": """
import resource
for name in ("CPU", "DATA", "FSIZE", "NOFILE", "NPROC", "CORE", "STACK"):
    kind = getattr(resource, "RLIMIT_" + name)
    soft, hard = resource.getrlimit(kind)
    attempt(name, lambda: resource.setrlimit(kind, (hard + 1, hard + 1)))
    attempt(name + " to none", lambda: resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)))
    attempt(name + " of the first", lambda: resource.prlimit(1, kind, (hard + 1, hard + 1)))
attempt("priority", lambda: os.nice(-5))
attempt("real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50)))
attempt("spared when memory runs out", lambda: written("/proc/self/oom_score_adj", "-500", "w"))
attempt("locked memory", lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (2**40, 2**40)))
""",
    "sets_the_clock": """
attempt("clock_settime", lambda: time.clock_settime(time.CLOCK_REALTIME, 0))
attempt("adjtimex", lambda: libc.adjtimex(ctypes.create_string_buffer(bytes([1]) + bytes(400))) >= 0 or 1 / 0)
attempt("settimeofday", lambda: libc.settimeofday(ctypes.create_string_buffer(16), None) == 0 or 1 / 0)
attempt("the program date", lambda: ran("date", "-s", "2001-01-01"))
""",
    "uses_parts_of_the_kernel_that_have_had_holes": """
attempt("bpf", lambda: call(NUMBERS["bpf"], 0, ctypes.create_string_buffer(128), 128))
attempt("perf_event_open", lambda: call(NUMBERS["perf_event_open"], ctypes.create_string_buffer(128), 0, -1, -1, 0))
attempt("userfaultfd", lambda: call(NUMBERS["userfaultfd"], 1))
attempt("io_uring", lambda: call(425, 8, ctypes.create_string_buffer(256)))
attempt("open_by_handle_at", lambda: call(NUMBERS["open_by_handle_at"], 0, ctypes.create_string_buffer(64), 0))
attempt("memfd_create", lambda: call(NUMBERS["memfd_create"], b"x", 0))
attempt("memfd_secret", lambda: call(447, 0))
attempt("shared memory of System V", lambda: call(NUMBERS["shmget"], 0, 4096, 0o1600))
attempt("clone3", lambda: call(435, ctypes.create_string_buffer(88), 88))
if os.uname().machine == "x86_64":
    attempt("calls of x32", lambda: call(0x40000000 + 39))
""",
    "finds_what_the_server_left_open": """
attempt("descriptors", lambda: [one for one in os.listdir("/proc/self/fd")
        if int(one) > 3 and "/proc/" not in os.readlink("/proc/self/fd/" + one)][0])
attempt("environment", lambda: [name for name in os.environ
        if name not in "PATH HOME SHARED_DIR TMPDIR LC_ALL KNOSSOS_FD PWD".split()][0])
attempt("a way out by one of them", lambda: [os.listdir(f"/proc/self/fd/{one}/..") for one in range(20)
        if os.path.isdir(f"/proc/self/fd/{one}")][0])
""",
    "links_to_what_it_may_not_read": """
attempt("a hard link to the script", lambda: os.link(sys.argv[0], "linked"))
attempt("a hard link to a system file", lambda: os.link("/usr/bin/id", "linked"))
os.symlink(WORLD["settings"], "link")
os.symlink(os.path.dirname(WORLD["settings"]), "folder")
attempt("what the link leads to", lambda: open("link").read())
attempt("what the folder has", lambda: os.listdir("folder"))
attempt("writing through it", lambda: written("folder/evil"))
""",
}


@pytest.fixture(params=USERS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    with a_place(request.param) as made:
        yield made


@pytest.fixture(scope="module")
def abstract_socket() -> Iterator[str]:
    name = f"knossos-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(f"\0{name}")
        one.listen()
        yield f"@{name}"


@pytest.fixture(scope="module")
def outsider() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the server's user with a secret in its environment."""
    with subprocess.Popen(["sleep", "600"], env={"TOKEN": SECRET}, start_new_session=True) as process:
        yield process
        assert process.poll() is None, "it was ended"
        process.kill()


@pytest.fixture
def world(
    place: Place,
    redis_server: RedisServer,
    postgres: Postgres,
    abstract_socket: str,
    outsider: subprocess.Popen[bytes],
) -> Iterator[str]:
    """What is worth an attempt, as JSON for the script."""
    data = place.settings.data_path
    for name in ("settings.py", "secret_key", "knossos.sqlite3"):
        (data / name).write_text(SECRET)
    other = place.root / "runs" / "other"
    other.mkdir(parents=True)
    (other / "private.txt").write_text(SECRET)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(data / "redis.sock"))
        listening.listen()
        yield json.dumps(
            {
                "settings": str(data / "settings.py"),
                "secret_key": str(data / "secret_key"),
                "database": str(data / "knossos.sqlite3"),
                "other_run": str(other),
                "bin": str(place.bin),
                "outside": outsider.pid,
                "outside_group": outsider.pid,
                "ports": [redis_server.port, postgres.port],
                "address": own_address(),
                "socket": str(data / "redis.sock"),
                "abstract": abstract_socket,
                "server_user": os.getuid(),
                "numbers": json.dumps(SYSCALLS.get(os.uname().machine, {})),
            }
        )


def own_address() -> str:
    """An address of this machine beside 127.0.0.1, where it has one. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, contextlib.suppress(OSError):
        one.connect(("192.0.2.1", 9))
        return str(one.getsockname()[0])
    return "127.0.0.2"


def test_no_script_changes_the_file_that_it_reads_from(place: Place) -> None:
    file = place.root / "input"
    file.write_text("before")
    text = "for mode in 'aw': attempt(mode, lambda: written('/proc/self/fd/0', 'x', mode))"
    assert place.run(PRELUDE + text, stdin=file).code == 0
    assert file.read_text() == "before"


@pytest.mark.parametrize("what", ATTEMPTS)
def test_no_script(place: Place, world: str, what: str) -> None:
    result = place.run(PRELUDE + ATTEMPTS[what], world)
    assert result.code == 0, result.stderr
    assert "| refused |" in result.stdout
    assert "| GOT |" not in result.stdout, result.stdout
    assert SECRET not in result.stdout + result.stderr
