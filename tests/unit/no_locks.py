"""A file system without locks, as some network file systems are, for the tests."""

import ctypes
import errno
import platform
import struct

# What flock says there: NFS without its lock service, others, and Lustre without -o flock.
ERRORS = [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS]

_FLOCK = {"x86_64": (0xC000003E, 73), "aarch64": (0xC00000B7, 32)}
_KILL, _ERRNO, _ALLOW = 0x00000000, 0x00050000, 0x7FFF0000
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2


def available():
    return platform.system() == "Linux" and platform.machine() in _FLOCK


def take_locks_away(error):
    """From now on the kernel answers every flock of this process and its children with `error`."""
    machine, flock = _FLOCK[platform.machine()]
    load, equal, give = 0x20, 0x15, 0x06
    program = [
        (load, 0, 0, 4),  # the machine's number
        (equal, 1, 0, machine),
        (give, 0, 0, _KILL),
        (load, 0, 0, 0),  # the system call's number
        (equal, 0, 1, flock),
        (give, 0, 0, _ERRNO | error),
        (give, 0, 0, _ALLOW),
    ]
    steps = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    head = struct.pack("HP", len(program), ctypes.addressof(steps))
    libc = ctypes.CDLL(None, use_errno=True)
    for call in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SECCOMP, _FILTER, head, 0, 0)):
        if libc.prctl(*call):
            raise OSError(ctypes.get_errno(), "prctl")
