"""Kills a process at an exact step of what it does: kill_at.py PID STEP TEXT

A step is a system call that changes a file or speaks with somebody. Counting begins with the first file opened whose path holds
TEXT. At the STEP-th the process gets SIGKILL before the call is made; where the call is a write, every other time after half of it.
With STEP 0 it is only watched, and every step is printed until SIGTERM ends this. With STEP "commit" it is killed when it waits for
the answer to a message of one octet that ends a long talk: the commit of a policy.
"""

import ctypes
import os
import platform
import signal
import sys

SEIZE, INTERRUPT, SYSCALL, CONT, LISTEN = 0x4206, 0x4207, 24, 7, 0x4208
GET_SYSCALL_INFO, GETREGSET, SETREGSET = 0x420E, 0x4204, 0x4205
TRACESYSGOOD, TRACECLONE = 1, 8
EVENT_STOP = 128
WALL = 0x40000000
PRSTATUS = 1
ENTRY, EXIT = 1, 2

# Number, which argument is a path (or None); where the third argument is a length, it is a write.
CALLS = {
    "x86_64": {
        "openat": (257, 1), "mkdir": (83, 0), "mkdirat": (258, 1), "write": (1, None), "fsync": (74, None),
        "rename": (82, 0), "renameat": (264, 1), "renameat2": (316, 1), "unlink": (87, 0), "unlinkat": (263, 1),
        "rmdir": (84, 0), "sendto": (44, None), "recvfrom": (45, None), "sendmsg": (46, None), "recvmsg": (47, None),
    },
    "aarch64": {
        "openat": (56, 1), "mkdirat": (34, 1), "write": (64, None), "fsync": (82, None), "renameat": (38, 1),
        "renameat2": (276, 1), "unlinkat": (35, 1), "sendto": (206, None), "recvfrom": (207, None),
        "sendmsg": (211, None), "recvmsg": (212, None),
    },
}[platform.machine()]
NAMES = {number: (name, path) for name, (number, path) in CALLS.items()}
# Where the length of a write lies among the registers.
LENGTH = {"x86_64": 12, "aarch64": 2}[platform.machine()]

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
libc.ptrace.restype = ctypes.c_long


class Info(ctypes.Structure):
    """struct ptrace_syscall_info, as far as it is read here."""

    _fields_ = [
        ("op", ctypes.c_uint8), ("pad", ctypes.c_uint8 * 3), ("arch", ctypes.c_uint32), ("ip", ctypes.c_uint64),
        ("sp", ctypes.c_uint64), ("number", ctypes.c_uint64), ("args", ctypes.c_uint64 * 6), ("more", ctypes.c_uint64 * 4),
    ]


class Vector(ctypes.Structure):
    """struct iovec."""

    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Ended(Exception):
    """SIGTERM came."""


def ptrace(request, thread, address=0, data=0):
    return libc.ptrace(request, thread, address, data)


def seize_all(pid):
    """Every thread, also those that come while we look."""
    seen = set()
    while True:
        new = {int(name) for name in os.listdir(f"/proc/{pid}/task")} - seen
        if not new:
            return seen
        for thread in new:
            if ptrace(SEIZE, thread, 0, TRACESYSGOOD | TRACECLONE) == 0:
                ptrace(INTERRUPT, thread)
            seen.add(thread)


def text_at(thread, address):
    with open(f"/proc/{thread}/mem", "rb") as memory:
        memory.seek(address)
        return memory.read(200).split(b"\0")[0].decode(errors="replace")


def cut_in_half(thread):
    registers = (ctypes.c_uint64 * 64)()
    vector = Vector(ctypes.addressof(registers), ctypes.sizeof(registers))
    ptrace(GETREGSET, thread, PRSTATUS, ctypes.addressof(vector))
    registers[LENGTH] //= 2
    ptrace(SETREGSET, thread, PRSTATUS, ctypes.addressof(vector))


def main():
    pid, armed_by = int(sys.argv[1]), sys.argv[3]
    at_commit = sys.argv[2] == "commit"
    wanted = -1 if at_commit else int(sys.argv[2])

    def end(*_):
        raise Ended

    signal.signal(signal.SIGTERM, end)
    seize_all(pid)
    print("attached", flush=True)
    info, step, armed, kill_at_exit = Info(), 0, False, None
    # Threads that have sent much, and of these those that sent one octet last.
    talkers, committers = set(), set()

    def kill(thread, what):
        os.kill(pid, signal.SIGKILL)
        print(f"killed {what} at step {step}", flush=True)

    while True:
        try:
            thread, status = os.waitpid(-1, WALL)
        except ChildProcessError:
            return
        if not os.WIFSTOPPED(status):
            continue
        stop, event = os.WSTOPSIG(status), status >> 16
        passed_on = 0
        if stop == signal.SIGTRAP | 0x80:
            ptrace(GET_SYSCALL_INFO, thread, ctypes.sizeof(info), ctypes.addressof(info))
            if info.op == EXIT and kill_at_exit == thread:
                kill(thread, "after half of a write")
                continue
            if info.op == ENTRY and info.number in NAMES:
                name, path = NAMES[info.number]
                path = text_at(thread, info.args[path]) if path is not None else ""
                armed = armed or (name == "openat" and armed_by in path)
                step += armed
                if name == "sendto" and armed:
                    committers.discard(thread)
                    if info.args[2] > 1000:
                        talkers.add(thread)
                    elif info.args[2] == 1 and thread in talkers:
                        committers.add(thread)
                if at_commit and name == "recvfrom" and thread in committers:
                    kill(thread, "while it waited for a commit")
                if armed and wanted == 0:
                    print("step", step, name, path or info.args[2], flush=True)
                if armed and wanted == step:
                    if name in ("write", "sendto") and step % 2 and info.args[2] > 1:
                        kill_at_exit = thread
                        cut_in_half(thread)
                    else:
                        kill(thread, f"before {name} {path}")
        elif event == EVENT_STOP and stop in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
            # A new thread, or a stop of the whole group: none of these is asked for here.
            pass
        elif event == 0:
            passed_on = stop
        ptrace(SYSCALL, thread, 0, passed_on)


try:
    main()
except Ended:
    print("ended", flush=True)
