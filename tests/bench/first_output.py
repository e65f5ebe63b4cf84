#!/usr/bin/env python3
"""first_output.py COMMAND...: milliseconds from start to the first byte on its standard output,
median, least and most of 100 starts (after 5 that do not count), standard input empty."""
import os
import statistics
import subprocess
import sys
import time

taken = []
for number in range(105):
    start = time.perf_counter()
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)
    first = os.read(child.stdout.fileno(), 1)
    taken.append((time.perf_counter() - start) * 1000)
    child.stdout.read()
    child.wait()
    if not first:
        sys.exit("nothing on standard output, status %d" % child.returncode)
taken = taken[5:]
print("median %.1f ms, least %.1f, most %.1f" % (statistics.median(taken), min(taken), max(taken)))
