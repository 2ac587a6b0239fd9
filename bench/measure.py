"""Measures commands side by side: measure.py ROUNDS TITLE [LABEL COMMAND]...

Each round runs every command once, in turn, so that a noisy machine is noisy for all of them. A command is a line
for sh; what it prints is shown only if it fails. Prints a Markdown table: the median, fastest and slowest wall time;
the median CPU time, in the program and in the kernel and with its children; the largest memory that one of its
processes had resident; and the ratios of the medians to the first command's.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time


def run(command):
    # GNU time is asked for the memory: a child of this program begins with this program's.
    with tempfile.NamedTemporaryFile() as report:
        began = time.perf_counter()
        child = subprocess.Popen(
            ["/usr/bin/time", "--format", "%M", "--output", report.name, "sh", "-c", command],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        said = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"measure.py: exit code {child.returncode} from: {command}\n{said.decode(errors='replace')}")
        return wall, usage.ru_utime + usage.ru_stime, int(report.read()) / 1024


def seconds(value):
    return f"{value:.3f}" if value < 1 else f"{value:.2f}"


def main(rounds, title, *cases):
    cases = list(zip(cases[::2], cases[1::2]))
    runs = {label: [] for label, _ in cases}
    for _ in range(int(rounds)):
        for label, command in cases:
            runs[label].append(run(command))
    print(f"| {title} | wall, s | from – to | CPU, s | memory, MB | wall, ratio | CPU, ratio |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    base = None
    for label, samples in runs.items():
        walls, cpus, memories = zip(*samples)
        wall, cpu = statistics.median(walls), statistics.median(cpus)
        base = base or (wall, cpu)
        spread = f"{seconds(min(walls))} – {seconds(max(walls))}"
        ratios = f"{wall / base[0]:.2f} | {cpu / max(base[1], 0.001):.2f}"
        print(f"| {label} | {seconds(wall)} | {spread} | {seconds(cpu)} | {max(memories):.1f} | {ratios} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
