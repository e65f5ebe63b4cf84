#!/usr/bin/env python3
"""table.py RESULTS: medians and ratios from the JSON lines that `run` collects."""
import json
import statistics
import sys

results = [json.loads(line) for line in open(sys.argv[1])]
contenders = list(dict.fromkeys(result["contender"] for result in results))


def good(contender, phase, key="seconds"):
    return [result[key] for result in results
            if (result["contender"], result["phase"]) == (contender, phase) and result["ok"]]


def median(contender, phase, key="seconds"):
    values = good(contender, phase, key)
    return statistics.median(values) if values else None


def show(value, form="%.2f"):
    return "-" if value is None else form % value


def ratio(contender, phase, other):
    ours, theirs = median(contender, phase), median(other, phase)
    return "-" if not ours or not theirs else "%.2f x" % (ours / theirs)


for phase, title in (("fresh", "fresh install"), ("again", "second run")):
    row = "%-10s %9s %15s  %4s %10s %10s"
    print("\n" + row % (title.split()[0], "median s", "least - most", "runs", "to guide", "to pyinfra"))
    for contender in contenders:
        values = good(contender, phase)
        span = "%.2f - %.2f" % (min(values), max(values)) if values else "-"
        print(row % (contender, show(median(contender, phase)), span, len(values),
                     ratio(contender, phase, "guide"), ratio(contender, phase, "pyinfra")))
print("\n%-10s %22s %22s" % ("memory MB", "largest process", "all at one moment"))
for contender in contenders:
    print("%-10s %22s %22s" % (contender, show(median(contender, "fresh", "largest"), "%.1f"),
                               show(median(contender, "fresh", "together"), "%.1f")))
for result in results:
    if not result["ok"]:
        print("not counted: %(contender)s, round %(round)s, %(phase)s: status %(status)s, "
              "%(why)s" % result)
