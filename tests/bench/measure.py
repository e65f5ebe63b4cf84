#!/usr/bin/env python3
"""measure.py PATTERN LOG COMMAND...: run it inside a host; one JSON line about it.

seconds, status, and the memory of the processes whose command line matches PATTERN, wherever they
run (a detached run counts too): `largest`, the peak of the largest one (VmHWM, the kernel's own
figure), and `together`, the most that all had at one moment (sampled every 50 ms). In MB.
"""
import json
import os
import re
import subprocess
import sys
import threading
import time

pattern, log = re.compile(sys.argv[1]), sys.argv[2]
largest = together = 0
done = threading.Event()


def watch():
    global largest, together
    me = os.getpid()
    while not done.wait(0.05):
        now = 0
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                command = open("/proc/%s/cmdline" % pid).read().replace("\0", " ")
                if int(pid) == me or not pattern.search(command):
                    continue
                status = open("/proc/%s/status" % pid).read()
                largest = max(largest, int(re.search(r"VmHWM:\s+(\d+)", status).group(1)))
                now += int(re.search(r"VmRSS:\s+(\d+)", status).group(1))
            except (OSError, AttributeError, UnicodeDecodeError):
                pass
        together = max(together, now)


watcher = threading.Thread(target=watch)
watcher.start()
with open(log, "wb") as output:
    start = time.monotonic()
    status = subprocess.call(sys.argv[3:], stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    seconds = time.monotonic() - start
done.set()
watcher.join()
print(json.dumps({"seconds": round(seconds, 3), "status": status,
                  "largest": round(largest / 1024, 1), "together": round(together / 1024, 1)}))
