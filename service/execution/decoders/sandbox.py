"""Confine the calling process to decoding: no network, no other program, no changed file, bounded resources.

Seccomp (Linux, x86-64 and 64-bit Arm) refuses the system calls; Landlock (Linux 5.13) refuses to open any file but
Python's own. Where a platform lacks one of them, the rest remains.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from pathlib import Path

import numpy

import service

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38
_SECCOMP_MODE_FILTER = 2
_MAX_DESCRIPTORS = 32

# Columns: x86-64, aarch64 (asm/unistd_64.h, asm-generic/unistd.h); -1 where a platform lacks the call.
_REFUSED = {
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242),
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, -1), "vfork": (58, -1), "clone": (56, 220),
    "clone3": (435, 435), "kill": (62, 129), "tkill": (200, 130), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "creat": (85, -1), "openat2": (437, 437), "truncate": (76, 45), "unlink": (87, -1), "unlinkat": (263, 35),
    "rename": (82, -1), "renameat": (264, 38), "renameat2": (316, 276), "mkdir": (83, -1), "mkdirat": (258, 34),
    "rmdir": (84, -1), "link": (86, -1), "linkat": (265, 37), "symlink": (88, -1), "symlinkat": (266, 36),
    "mknod": (133, -1), "mknodat": (259, 33), "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53),
    "chown": (92, -1), "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54), "utimensat": (280, 88),
    "setxattr": (188, 5), "open_by_handle_at": (304, 265), "memfd_create": (319, 279),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "setns": (308, 268),
    "unshare": (272, 97), "io_uring_setup": (425, 425), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "shmget": (29, 194), "msgget": (68, 186), "semget": (64, 190), "mq_open": (240, 180),
}  # fmt: skip
_OPEN = {"open": (2, -1, 1), "openat": (257, 56, 2)}  # the third number is that of the argument with the flags
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND | getattr(os, "O_TMPFILE", 0)
_MACHINES = {"x86_64": (0, 0xC000_003E), "aarch64": (1, 0xC000_00B7)}  # column above, AUDIT_ARCH_*

# linux/landlock.h: the first version's rights on files, and the system calls, the same on both platforms
_LANDLOCK_ALL, _LANDLOCK_READ, _LANDLOCK_PATH_BENEATH = 0x1FFF, 0b1100, 1
_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/local/lib")

# Classic BPF (linux/bpf_common.h, linux/seccomp.h): load a word of seccomp_data, compare, test bits, return.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in seccomp_data
_ALLOW, _REFUSE_EPERM = 0x7FFF_0000, 0x0005_0001
_X32 = 0x4000_0000  # numbers of the x32 interface of x86-64


def confine() -> bool:
    """Set the limits that never change again in this process; return whether system calls are filtered.

    The process dies with its parent, leaves no core file (it would hold a patient's picture), writes no file, and opens
    at most 32 descriptors.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.argtypes = [ctypes.c_long] * 5
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    for limit, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _MAX_DESCRIPTORS),
    ):
        resource.setrlimit(limit, (value, value))
    machine = _MACHINES.get(platform.machine())
    if machine is None or libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    _restrict_reading(libc)
    program = _program(*machine)
    instructions = ctypes.create_string_buffer(program, len(program))
    # struct sock_fprog: the number of instructions, and a pointer to them
    filter_ = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions))
    return not libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, filter_, 0, 0)


def _restrict_reading(libc: ctypes.CDLL) -> None:
    """Let the process open files of Python and of this package only; does nothing where the kernel has no Landlock."""
    handled = struct.pack("Q", _LANDLOCK_ALL)
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, _address(handled), len(handled), 0, 0)
    if ruleset < 0:
        return
    packages = Path(numpy.__file__).parents[1]
    for folder in {sys.prefix, sys.base_prefix, str(packages), str(Path(service.__file__).parent), *_LIBRARIES}:
        try:
            descriptor = os.open(folder, os.O_PATH | os.O_CLOEXEC)
        except OSError:  # not on this machine
            continue
        rule = struct.pack("=Qi", _LANDLOCK_READ, descriptor)
        libc.syscall(_LANDLOCK_ADD_RULE, ruleset, _LANDLOCK_PATH_BENEATH, _address(rule), 0)
        os.close(descriptor)
    libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0, 0, 0)
    os.close(ruleset)


def _address(data: bytes) -> int:
    return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value or 0


def _program(column: int, architecture: int) -> bytes:
    """Return the filter: EPERM for a call of `_REFUSED` and for opening a file to write, otherwise permission."""
    refused = [numbers[column] for numbers in _REFUSED.values() if numbers[column] >= 0]
    opening = [(row[column], row[2]) for row in _OPEN.values() if row[column] >= 0]
    # Jumps count instructions from the next one. `refuse` is the last instruction, `allow` the one before it.
    length = 3 + 1 + len(refused) + 4 * len(opening) + 2
    code: list[bytes] = []

    def add(operation: int, operand: int, if_true: int = 0, if_false: int = 0) -> None:
        code.append(struct.pack("HBBI", operation, if_true, if_false, operand))

    def to_refuse() -> int:
        return length - 1 - len(code) - 1

    add(_LOAD, _ARCHITECTURE)
    add(_EQUAL, architecture, 0, to_refuse())
    add(_LOAD, _NUMBER)
    add(_AT_LEAST, _X32, to_refuse())
    for number in refused:
        add(_EQUAL, number, to_refuse())
    for number, argument in opening:
        add(_EQUAL, number, 0, 3)
        add(_LOAD, _ARGUMENTS + 8 * argument)
        add(_ANY_BIT, _WRITING, to_refuse())
        add(_LOAD, _NUMBER)
    add(_RETURN, _ALLOW)
    add(_RETURN, _REFUSE_EPERM)
    return b"".join(code)
