"""What the benchmarks that run contestants in turns share."""

import time

IDLE_NANOSECONDS = 100_000
STEP_SECONDS = 0.004


def cpu_nanoseconds(pid: int) -> int:
    """Of all threads of the process; the clock is that of clock_getcpuclockid."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def wait_until_idle(pid: int) -> None:
    """A pool that still spins would take time from the next contestant."""
    end = time.monotonic() + 1
    while time.monotonic() < end:
        before = cpu_nanoseconds(pid)
        time.sleep(STEP_SECONDS)
        if cpu_nanoseconds(pid) - before < IDLE_NANOSECONDS:
            return
