"""What attackers cost other clients: prints, for each attack directly at the
coordinator and at the proxy before it, the 99th percentile of the others' first
tokens beside the attack and beside a loop that burns the processor time which
the attackers took; the memory that the servers took, and what they kept; and
the longest time in which none of the others' turns succeeded.

    tests/system/attack_latency.py [--seconds N]

Attackers and loop run in a control group of half a core where one can be made,
else at nice 19. A measurement, and no test: times depend on the machine."""

import argparse
import contextlib
import os
import pathlib
import resource
import subprocess
import sys
import time

import processes
from attacks_test import (BACK_SECONDS_MAX, GENERATE, MIB, AttackTest, Meter)

# Of every process.
DESCRIPTORS = 512
# Clients beside the attack.
OTHERS = 2
# A server that keeps less has given back what it took.
KEPT_BYTES = 16 * MIB

# The attack, and its processes: 600 connections that say nothing are more than
# the descriptors.
ATTACKS = {"silent": 3, "packed_messages": 1, "unfinished_messages": 1,
           "huge_metadata": 1, "rapid_reset": 1, "continuation_flood": 1,
           "slow_reader": 1, "slow_body": 1}
# A conversation may rest, a call of one message may not.
PATHS = {"slow_body": GENERATE}
GROUPS = pathlib.Path("/sys/fs/cgroup")
# In the control group an attack takes what it may have at once, on as many
# cores as it has processes, and rests for the rest of the group's 100 ms. So
# does the loop.
LOOP = """
import sys, time
seconds, share = map(float, sys.argv[1:])
end = time.monotonic() + seconds
while (begin := time.monotonic()) < end:
    while time.monotonic() < begin + share / 10:
        pass
    time.sleep((1 - share) / 10)
"""


class HalfCore:
    """Where attackers run."""

    def __init__(self):
        self._folder = None

    def __enter__(self):
        if (GROUPS / "cgroup.controllers").exists():
            parent, files = GROUPS, {"cpu.max": "50000 100000"}
        else:
            parent, files = GROUPS / "cpu", {"cpu.cfs_period_us": "100000",
                                             "cpu.cfs_quota_us": "50000"}
        folder = parent / f"tandem-attackers-{os.getpid()}"
        try:
            folder.mkdir()
        except OSError:
            return self
        self._folder = folder
        try:
            for name, text in files.items():
                (folder / name).write_text(text)
        except OSError:
            self.__exit__()
        return self

    def __exit__(self, *_):
        if self._folder is not None:
            self._folder.rmdir()
        self._folder = None

    def name(self):
        return "nice 19" if self._folder is None else "half a core"

    def start(self, command, nice_flag=()):
        """A process of the command; `nice_flag` turns off its own nice."""
        if self._folder is None:
            command = ["nice", "-n", "19", *command]
        else:
            command = ["/bin/sh", "-c",
                       f'echo $$ > {self._folder}/cgroup.procs && exec "$@"',
                       "sh", *command, *nice_flag]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL)


def processor_seconds():
    """Of child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def beside(started, make_others):
    """The others while the processes run that `started` starts."""
    with contextlib.ExitStack() as stack:
        others = [stack.enter_context(make_others()) for _ in range(OTHERS)]
        running = started()
        try:
            for process in running:
                process.wait()
        finally:
            for process in running:
                process.kill()
                process.wait()
    return others


def p99_ms(others):
    times = sorted(time_s for one in others for time_s in one.first_tokens_s)
    return 1000 * times[len(times) * 99 // 100] if times else float("inf")


def kept_bytes(before):
    """What the process that keeps most has beyond what it had."""
    return max(processes.resident_bytes(process) - before[name]
               for name, process in AttackTest.watched.items())


def measure(group, attack, path, seconds):
    listener = AttackTest.listeners[path]
    make_others = AttackTest.far if path == "edge" else AttackTest.near
    before = AttackTest.now()

    def start_attackers():
        command = listener.command(attack, seconds, PATHS.get(attack))
        return [group.start(command, ["--nice", "0"])
                for _ in range(ATTACKS[attack])]

    def start_loop():
        share = min(1, (processor_seconds() - used) / seconds / ATTACKS[attack])
        return [group.start([sys.executable, "-c", LOOP, str(seconds),
                             str(share)]) for _ in range(ATTACKS[attack])]

    used = processor_seconds()
    with Meter(AttackTest.watched) as meter:
        attacked = beside(start_attackers, make_others)
    ended = time.monotonic()
    without_s = max(one.longest_refused_s() for one in attacked)
    looped = beside(start_loop, make_others)
    while (kept := kept_bytes(before)) > KEPT_BYTES and (
            time.monotonic() < ended + BACK_SECONDS_MAX):
        time.sleep(0.2)
    peak = max(meter.peaks[name] - before[name] for name in before)
    with_attack, with_loop = p99_ms(attacked), p99_ms(looped)
    print(f"| {attack} | {path} | {with_attack:.0f} | {with_loop:.0f} | "
          f"{with_attack / with_loop:.2f} | {peak // MIB} | {kept // MIB} "
          f"after {time.monotonic() - ended:.0f} s | "
          f"{without_s:.1f} | {sum(len(one.errors) for one in attacked)} |",
          flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=8)
    seconds = parser.parse_args().seconds
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    with HalfCore() as group:
        print(f"attackers in {group.name()}")
        print("| attack | at | p99 ms | p99 ms beside a loop | ratio | "
              "peak MiB | kept MiB | longest without a turn, s | errors |\n"
              "|---|---|---|---|---|---|---|---|---|")
        try:
            AttackTest.setUpClass()
            for attack in ATTACKS:
                for path in ("coordinator", "edge"):
                    measure(group, attack, path, seconds)
        finally:
            AttackTest.doClassCleanups()
            for _, error, _ in AttackTest.tearDown_exceptions:
                print(error, file=sys.stderr)


if __name__ == "__main__":
    main()
