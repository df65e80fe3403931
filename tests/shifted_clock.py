"""Starts a program whose wall clock stands aside from the machine's, so that no test must wait for hours.

    python tests/shifted_clock.py SECONDS PROGRAM [ARGUMENT ...]

A process reads its clocks in the vDSO, a small library that the kernel maps into it. Go calls it without libc, so that
nothing preloaded reaches a Temporal server, and a time namespace moves every clock but the wall's. Here the program is
stopped under ptrace as soon as `execve` has mapped it and nothing of it has run; in its copy of the vDSO the entries of
`clock_gettime`, `gettimeofday` and `time` become a few bytes that make the real system call and add SECONDS to a wall
clock; then it is let go, at full speed and under the process id that it had. Chaos Mesh's TimeChaos has the idea.

The symbols are found as the kernel's Documentation/ABI/stable/vdso has it, in the ELF image of the mapping `[vdso]`. A
write through /proc/PID/mem to a page that is private gives the process its own copy of it (proc_pid_mem(5)).

What keeps the machine's clock: a program that the program executes, the times of files, and a wait in the kernel for
an absolute wall time (the runtimes of Go, Rust and CPython wait by the monotonic clock).
"""

import ctypes
import os
import platform
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

UNABLE = 69
"""The exit code, EX_UNAVAILABLE of sysexits.h, of a machine where this cannot be done; its reason is on stderr."""

_SEIZE, _CONT, _DETACH, _STOP_AT_EXEC = 0x4206, 7, 17, 0x10  # <linux/ptrace.h>
_EXEC_STOP = (4 << 8) | signal.SIGTRAP
_WALL = 0x40000000  # <linux/wait.h>
_SET_PTRACER, _ANY_PTRACER = 0x59616D61, -1  # <linux/prctl.h>: where Yama lets none but ancestors trace.
_DYNSYM = 11  # <elf.h>: SHT_DYNSYM


class Unshiftable(Exception):
    """This machine does not let the clock of a program be shifted."""


def shifted(by: timedelta, *command: str) -> list[str]:
    """Give the command line that runs a command with its wall clock shifted; by nothing, the command itself."""
    if not by:
        return list(command)
    return [sys.executable, "-I", "-S", __file__, str(round(by.total_seconds())), *command]


def why_not() -> str | None:
    """Say why no clock can be shifted here; None where it can."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return f"the code that shifts clocks is for Linux on x86-64, not for {sys.platform} on {platform.machine()}"
    tried = subprocess.run(shifted(timedelta(hours=-1), "/bin/true"), capture_output=True, text=True, timeout=30)
    return tried.stderr.strip() if tried.returncode == UNABLE else None


def _become(seconds: int, command: list[str]) -> NoReturn:
    """Become the command; a process beside it meets it at its first instruction."""
    ctypes.CDLL(None).prctl(_SET_PTRACER, _ANY_PTRACER, 0, 0, 0)
    reader, writer = os.pipe()
    own = os.getpid()
    between = os.fork()
    if between == 0:
        # A grandchild is nobody's zombie: the command does not wait for children that it never had.
        if os.fork() == 0:
            _meet(own, seconds, writer)
        os._exit(0)
    os.close(writer)
    os.waitpid(between, 0)
    refusal = os.read(reader, 1000).decode()
    if refusal != "traced":
        raise Unshiftable(refusal or "what shifts the clock ended by itself")
    os.execvp(command[0], command)


def _meet(pid: int, seconds: int, writer: int) -> NoReturn:
    """Shift the clock of a process when it has become another program; end it if that fails, lest it runs unshifted."""
    try:
        _ptrace(_SEIZE, pid, _STOP_AT_EXEC)
    except OSError as error:
        os.write(writer, f"ptrace is refused: {error}".encode())
        os._exit(1)
    os.write(writer, b"traced")
    os.close(writer)
    while True:
        _, status = os.waitpid(pid, _WALL)
        if not os.WIFSTOPPED(status):
            os._exit(1)  # It ended before it became anything.
        if status >> 8 == _EXEC_STOP:
            break
        _ptrace(_CONT, pid, os.WSTOPSIG(status))
    try:
        _shift(pid, seconds)
    except BaseException as error:
        os.kill(pid, signal.SIGKILL)
        print(f"the clock cannot be shifted: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)
    _ptrace(_DETACH, pid, 0)
    os._exit(0)


def _shift(pid: int, seconds: int) -> None:
    """Overwrite the entries of the vDSO of a process that stands still."""
    process = Path("/proc") / str(pid)
    found = [line.split()[0] for line in (process / "maps").read_text().splitlines() if line.endswith("[vdso]")]
    if len(found) != 1:
        raise Unshiftable("the program has no vDSO")
    start, end = (int(address, 16) for address in found[0].split("-"))
    with (process / "mem").open("r+b", buffering=0) as memory:
        memory.seek(start)
        places = {name: (offset, size) for name, offset, size in _functions(memory.read(end - start))}
        for name, code in _entries(seconds).items():
            offset, size = places[name]
            if size < len(code):
                raise Unshiftable(f"{name} has {size} bytes, {len(code)} are needed")
            memory.seek(start + offset)
            memory.write(code)


def _entries(seconds: int) -> dict[str, bytes]:
    """Give the machine code for each entry: the system call, and so many seconds more on a wall clock."""
    more = struct.pack("<i", seconds)
    system_call = {"clock_gettime": 228, "gettimeofday": 96, "time": 201}
    then = {
        # rdi: the clock, rsi: its timespec. test edi, edi; je +5; cmp edi, 5; jne +7; add qword [rsi], more; ret
        # 0 is CLOCK_REALTIME, 5 is CLOCK_REALTIME_COARSE.
        "clock_gettime": bytes.fromhex("85ff 7405 83ff05 7507 488106") + more + b"\xc3",
        # rdi: a timeval or nothing. test rdi, rdi; je +7; add qword [rdi], more; ret
        "gettimeofday": bytes.fromhex("4885ff 7407 488107") + more + b"\xc3",
        # rdi: where to write it too, or nothing. add rax, more; test rdi, rdi; je +3; mov [rdi], rax; ret
        "time": bytes.fromhex("4805") + more + bytes.fromhex("4885ff 7403 488907 c3"),
    }
    # mov eax, number; syscall: the kernel leaves rdi and rsi as they were.
    return {
        f"__vdso_{name}": b"\xb8" + struct.pack("<I", number) + b"\x0f\x05" + then[name]
        for name, number in system_call.items()
    }


def _functions(image: bytes) -> Iterator[tuple[str, int, int]]:
    """Give name, offset and size of what a 64-bit ELF image exports."""
    sections_at, entry_size, count = struct.unpack_from("<Q10xHH", image, 0x28)
    sections = [struct.unpack_from("<IIQQQQII", image, sections_at + entry_size * number) for number in range(count)]
    for _, kind, _, _, table, length, link, _ in sections:
        if kind == _DYNSYM:
            names = sections[link][4]
            for at in range(table, table + length, 24):
                name, _, _, value, size = struct.unpack_from("<IBBxxQQ", image, at)
                text = image[names + name : image.index(b"\0", names + name)]
                yield text.decode("ascii"), value, size


def _ptrace(request: int, pid: int, argument: int) -> None:
    """Call ptrace(2). Raises OSError."""
    call = ctypes.CDLL(None, use_errno=True).ptrace
    call.restype, call.argtypes = ctypes.c_long, [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    if call(request, pid, None, argument) == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    try:
        _become(int(sys.argv[1]), sys.argv[2:])
    except Unshiftable as error:
        print(error, file=sys.stderr)
        sys.exit(UNABLE)
