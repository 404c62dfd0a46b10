"""What an environment can see and do: namespaces where the machine allows them, by ctypes, without a helper program.

The launcher's zygote enters a small root of its own once (``enter_root``): the system's programs and libraries
read-only, Penstock's data nowhere. Every environment then takes a copy of that view and adds its own code, layers,
/proc and bounded /tmp (``enter_environment``), and drops every privilege (``drop_privileges``) before user code runs.

Two ways in: root with CAP_SYS_ADMIN needs no user namespace and runs user code under a user id of its own; anybody else
maps themselves to Lambda's user id in a user namespace. Where neither works, ``restrict`` asks Landlock for the same
view of the file system, and where there is no Landlock the process is a plain one.

Sources: user_namespaces(7), pid_namespaces(7), mount_namespaces(7), pivot_root(2), landlock(7).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import resource
import stat
import struct
import sys

CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
# What a bind mount takes over from its source and an unprivileged remount must repeat: (statvfs flag, mount flag).
_KEPT_FLAGS = ((2, 2), (4, 4), (8, 8), (1024, 1024), (2048, 2048), (4096, 1 << 21))

PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
CAP_SYS_ADMIN = 21

LAMBDA_UID = 993  # sbx_user1051 on AWS
LAMBDA_GID = 990
ROOTS_UID = 59_993  # whom user code runs as when the server is root: above what distributions give out

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
ETC = (
    "ssl", "pki", "ca-certificates", "ca-certificates.conf", "crypto-policies", "resolv.conf", "hosts", "host.conf",
    "nsswitch.conf", "gai.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "timezone", "protocols",
    "services", "mime.types", "alternatives", "fonts", "magic", "inputrc",
)  # fmt: skip
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
HOST = "/.host"  # where the zygote keeps the machine's own root; an environment lets go of it

_SYS = {
    "x86_64": {"pivot_root": 155, "capset": 126},
    "aarch64": {"pivot_root": 41, "capset": 91},
}
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446

_libc = ctypes.CDLL(None, use_errno=True)


class Denied(Exception):
    """The machine does not allow a step; says which."""


def _check(result: int, what: str) -> int:
    if result < 0:
        raise Denied(f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def _call(name: str, *arguments: object) -> int:
    numbers = _SYS.get(os.uname().machine)
    if numbers is None:
        raise Denied(f"{name}: not known on {os.uname().machine}")
    return int(_libc.syscall(numbers[name], *arguments))


def unshare(flags: int, what: str) -> None:
    """Leave namespaces of the parent's for new ones."""
    _check(_libc.unshare(flags), f"unshare {what}")


def rejoin_pids(own: int) -> None:
    """Have further children start in our own pid namespace again: needed before the next one can be made."""
    _check(_libc.setns(own, CLONE_NEWPID), "return to the own pid namespace")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """mount(2)."""
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    _check(
        _libc.mount(*encoded, ctypes.c_ulong(flags), None if data is None else data.encode()),
        f"mount {kind or source} on {target}",
    )


def bind_read_only(source: str, target: str) -> None:
    """Show a file or folder at another place, read-only."""
    mount(source, target, None, MS_BIND | MS_REC)
    has = os.statvfs(target).f_flag
    keep = sum(flag for reported, flag in _KEPT_FLAGS if has & reported)
    mount(None, target, None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | keep)


def has_admin() -> bool:
    """Whether this process may mount without a user namespace."""
    with open("/proc/self/status") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
    return os.geteuid() == 0 and bool(effective >> CAP_SYS_ADMIN & 1)


def enter_namespaces(*, as_root: bool) -> None:
    """Have the next child start a pid namespace; in a user namespace, unless as root with the right to mount."""
    if as_root:
        unshare(CLONE_NEWPID, "pid namespace")
        return
    uid, gid = os.geteuid(), os.getegid()
    unshare(CLONE_NEWUSER | CLONE_NEWPID, "user and pid namespace")
    _map_users(uid, gid)


def _map_users(uid: int, gid: int) -> None:
    """Appear as Lambda's user in the user namespace just entered."""
    try:
        for name, text in (
            ("setgroups", "deny"), ("uid_map", f"{LAMBDA_UID} {uid} 1"), ("gid_map", f"{LAMBDA_GID} {gid} 1"),
        ):  # fmt: skip
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    except OSError as error:
        raise Denied(f"map user ids: {error.strerror}") from error


def enter_root(root: str, packages: dict[str, str], visible: list[str]) -> None:
    """Make a small read-only world under ``root`` and move into it. ``packages`` become /var/runtime."""
    unshare(CLONE_NEWNS, "mount namespace")
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount("penstock", root, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=16m")
    for folder in ("proc", "tmp", "dev", "etc", "opt", "var/task", "var/runtime", HOST.strip("/")):
        os.makedirs(f"{root}/{folder}")
    os.symlink("/tmp", f"{root}/var/tmp")
    for path in SYSTEM:
        _show(path, root)
    for name in ETC:
        _show(f"/etc/{name}", root)
    _write(
        f"{root}/etc/passwd", f"root:x:0:0:root:/root:/bin/sh\nsbx_user1051:x:{LAMBDA_UID}:{LAMBDA_GID}::/tmp:/bin/sh\n"
    )
    _write(f"{root}/etc/group", f"root:x:0:\nsbx_user1051:x:{LAMBDA_GID}:\n")
    for name in DEVICES:
        _write(f"{root}/dev/{name}", "")
        mount(f"/dev/{name}", f"{root}/dev/{name}", None, MS_BIND)
    for name, target in (("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        os.symlink(target, f"{root}/dev/{name}")
    for path in visible:
        _show(path, root)
    for name, path in packages.items():
        _show(path, root, f"/var/runtime/{name}")
    os.chdir(root)
    _check(_call("pivot_root", b".", os.fsencode(HOST.strip("/"))), "pivot_root")
    os.chdir("/")
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)


def enter_environment(code: str, layers: str | None, tmp_mb: int) -> None:
    """From the zygote's root into one environment's: as process 1 of a new pid namespace."""
    unshare(CLONE_NEWNS, "mount namespace")
    bind_read_only(HOST + code, "/var/task")
    if layers:
        bind_read_only(HOST + layers, "/opt")
    mount("tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, f"mode=1777,size={tmp_mb}m,nr_inodes={max(tmp_mb, 64) * 256}")
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _check(_libc.umount2(HOST.encode(), MNT_DETACH), "let go of the machine's root")
    mount(None, "/", None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)


def _show(path: str, root: str, at: str | None = None) -> None:
    """Make a path of the machine visible in the new root, at the same place unless said otherwise."""
    target = root + (at or path)
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return
    if os.path.lexists(target):
        return
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if stat.S_ISLNK(mode) and at is None and not path.startswith("/etc/"):
        os.symlink(os.readlink(path), target)
        return
    real = os.path.realpath(path)
    if os.path.isdir(real):
        os.mkdir(target)
    elif os.path.isfile(real):
        _write(target, "")
    else:
        return
    bind_read_only(real, target)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:
        file.write(text)


def drop_privileges(*, as_root: bool, processes: int) -> None:
    """Give up every privilege for good: user code runs next. ``as_root``: without a user namespace so far.

    A user namespace of its own makes the kernel count an environment's processes by themselves: RLIMIT_NPROC bounds
    this environment, whatever others of the same user run. (Kernels before 5.14 count by user: there it is not set.)
    """
    if as_root:
        os.setgroups([])
        os.setresgid(ROOTS_UID, ROOTS_UID, ROOTS_UID)
        os.setresuid(ROOTS_UID, ROOTS_UID, ROOTS_UID)
        _libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)  # else /proc/self is root's, and the map cannot be written
    if tuple(int(part) for part in re.findall(r"\d+", os.uname().release)[:2]) >= (5, 14):
        resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
        unshare(CLONE_NEWUSER, "user namespace of the environment")
        _map_users(ROOTS_UID if as_root else LAMBDA_UID, ROOTS_UID if as_root else LAMBDA_GID)
        _allow_no_namespaces()
    drop_capabilities()
    _libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)


def _allow_no_namespaces() -> None:
    """User code gets no user namespace of its own, in which it would have every capability again."""
    with contextlib.suppress(OSError), open("/proc/sys/user/max_user_namespaces", "w") as file:
        file.write("0")


def drop_capabilities() -> None:
    """Keep none of root's powers, and get none by executing a program."""
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    _check(_call("capset", struct.pack("Ii", 0x20080522, 0), struct.pack("6I", *[0] * 6)), "drop capabilities")


# --- Landlock: the same view by permission, where namespaces are forbidden

_READ = (1 << 0) | (1 << 2) | (1 << 3)  # execute, read a file, read a folder
_FILE_RIGHTS = 0b111 | (1 << 14) | (1 << 15)  # what a file can be allowed: execute, write, read, truncate, ioctl
_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many rights each version of Landlock knows


def landlock_version() -> int:
    """The version of Landlock's interface, 0 where there is none."""
    if not sys.platform.startswith("linux"):
        return 0
    return max(0, int(_libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)))


def restrict(readable: list[str], writable: list[str]) -> None:
    """Allow this process and its children only these paths, for good."""
    version = landlock_version()
    if version == 0:
        raise Denied("Landlock: not in this kernel")
    handled = (1 << _BY_ABI[min(version, 5)]) - 1
    attributes = struct.pack("Q", handled)
    ruleset = _check(int(_libc.syscall(_LANDLOCK_CREATE, attributes, ctypes.c_size_t(8), 0)), "Landlock ruleset")
    rules = [(path, _READ) for path in readable] + [(path, handled) for path in writable]
    for path, rights in rules:
        try:
            opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        folder = stat.S_ISDIR(os.fstat(opened).st_mode)
        allowed = handled & rights & (-1 if folder else _FILE_RIGHTS)
        rule = struct.pack("=Qi", allowed, opened)
        _check(int(_libc.syscall(_LANDLOCK_ADD, ruleset, 1, rule, 0)), f"Landlock rule for {path}")
        os.close(opened)
    _check(_libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no new privileges")
    _check(int(_libc.syscall(_LANDLOCK_RESTRICT, ruleset, 0)), "Landlock")
    os.close(ruleset)
