#!/usr/bin/env python3
"""What is on a test host's disk and what it runs, written down and compared.

    manifest.py write ROOT FILE CACHE [SECTION-FILE...]
    manifest.py diff A B [--ignore FILE]

`write` walks ROOT, a host's disk seen from outside, and writes one JSON object
per line: first every path in order, then the lines of each section file
(packages, units, firewall, ...; the section is named after the file). CACHE
keeps content hashes between calls: a file whose device, inode, change time and
size are the same has the same content, so a second manifest reads little.

`diff` prints what was added (+), removed (-) and changed (~), ends with status
1 if anything was, else 0. The ignore file has one rule per line:

    content PATTERN   # reason     the content may change; but the path must not
                                   appear or disappear, or change mode or owner
    any PATTERN       # reason     nothing about it counts

A PATTERN is a shell pattern for a whole path in which * also matches /, or
SECTION:PATTERN for lines of a section. Every rule needs its reason.

Not recorded: times, sizes of directories, and what is below /proc /sys /dev
/run /tmp, which are no part of the disk.
"""

import concurrent.futures
import fnmatch
import hashlib
import json
import os
import re
import stat
import sys

NOT_THE_DISK = {"/proc", "/sys", "/dev", "/run", "/tmp"}
KINDS = {
    stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link",
    stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "char", stat.S_IFBLK: "block",
}


def walk(root):
    """Yields (path inside, path here, lstat) of everything on the disk."""
    todo = ["/"]
    while todo:
        directory = todo.pop()
        with os.scandir(root + directory) as entries:
            for entry in entries:
                inside = os.path.join(directory, entry.name)
                try:
                    info = entry.stat(follow_symlinks=False)
                except FileNotFoundError:  # the host is alive
                    continue
                yield inside, entry.path, info
                if stat.S_ISDIR(info.st_mode) and inside not in NOT_THE_DISK:
                    todo.append(inside)


def content_hash(path):
    digest = hashlib.sha256()
    try:
        with open(path, "rb", buffering=0) as file:
            while block := file.read(1 << 18):
                digest.update(block)
    except FileNotFoundError:
        return "vanished"
    return digest.hexdigest()


def hash_all(files, cache_file):
    """{path inside: hash} of the regular files, remembering them for next time."""
    try:
        with open(cache_file) as file:
            known = json.load(file)
    except (OSError, ValueError):
        known = {}
    now, hashes, unknown = {}, {}, []
    for inside, path, info in files:
        key = f"{info.st_dev} {info.st_ino} {info.st_ctime_ns} {info.st_size}"
        if key in known:
            hashes[inside] = now[key] = known[key]
        else:
            unknown.append((inside, path, key))
    # Hashing runs outside the interpreter's lock; one task per file costs more
    # than the file, hence the slices.
    slices = [unknown[i:i + 200] for i in range(0, len(unknown), 200)]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        work = pool.map(lambda part: [content_hash(path) for _, path, _ in part], slices)
        for part, results in zip(slices, work):
            for (inside, _, key), result in zip(part, results):
                hashes[inside] = now[key] = result
    with open(cache_file + ".new", "w") as file:
        json.dump(now, file)
    os.replace(cache_file + ".new", cache_file)
    return hashes


def attributes(path):
    """Extended attributes: file capabilities, ACLs and the like."""
    try:
        names = os.listxattr(path, follow_symlinks=False)
        return {n: os.getxattr(path, n, follow_symlinks=False).hex() for n in sorted(names)}
    except OSError:
        return {}


def write(root, out, cache_file, section_files):
    found = sorted(walk(root))
    hashes = hash_all((f for f in found if stat.S_ISREG(f[2].st_mode)), cache_file)
    # A name need not be UTF-8: ASCII escapes carry any bytes.
    with open(out + ".new", "w") as file:
        for inside, path, info in found:
            kind = KINDS[stat.S_IFMT(info.st_mode)]
            record = {
                "path": inside, "type": kind, "mode": f"{stat.S_IMODE(info.st_mode):04o}",
                "uid": info.st_uid, "gid": info.st_gid,
            }
            if kind == "file":
                record["size"] = info.st_size
                record["sha256"] = hashes[inside]
            elif kind == "link":
                try:
                    record["target"] = os.readlink(path)
                except FileNotFoundError:
                    record["target"] = "vanished"
            elif kind in ("char", "block"):
                record["device"] = f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}"
            if xattrs := attributes(path):
                record["xattrs"] = xattrs
            file.write(json.dumps(record) + "\n")
        for section_file in sorted(section_files):
            with open(section_file) as lines:
                ordered = lines.read().splitlines()
            # A firewall's rules have an order; the rest is a set.
            name = os.path.basename(section_file)
            for line in ordered if name == "firewall" else sorted(set(ordered)):
                file.write(json.dumps({"section": name, "line": line}) + "\n")
    os.replace(out + ".new", out)


def read(name):
    """({path: record}, {section: [line]})"""
    paths, sections = {}, {}
    with open(name) as file:
        for line in file:
            record = json.loads(line)
            if "path" in record:
                paths[record.pop("path")] = record
            else:
                sections.setdefault(record["section"], []).append(record["line"])
    return paths, sections


class Ignore:
    def __init__(self, name):
        rules = {"any": [], "content": []}
        if name:
            with open(name) as file:
                for number, line in enumerate(file, 1):
                    if not line.strip() or line.lstrip().startswith("#"):
                        continue
                    match = re.fullmatch(r"(any|content)\s+(.*?)\s+#\s*(\S.*)", line.strip())
                    if not match:
                        sys.exit(f"{name}:{number}: not 'any|content PATTERN # reason'")
                    rules[match[1]].append(fnmatch.translate(match[2]))
        self.any, self.content = (
            re.compile("|".join(rules[kind]) or r"(?!)") for kind in ("any", "content"))


def differences(a, b, ignore):
    (paths_a, sections_a), (paths_b, sections_b) = a, b
    for path in sorted(paths_a.keys() | paths_b.keys()):
        old, new = paths_a.get(path), paths_b.get(path)
        if old == new or ignore.any.match(path):
            continue
        if not old or not new:
            yield f"{'-' if old else '+'} {path} ({(old or new)['type']})"
            continue
        fields = {f for f in old.keys() | new.keys() if old.get(f) != new.get(f)}
        if ignore.content.match(path):
            fields -= {"sha256", "size"}
        if fields:
            yield f"~ {path}: " + ", ".join(
                "content" if field == "sha256" else f"{field} {old.get(field)} -> {new.get(field)}"
                for field in sorted(fields))
    for section in sorted(sections_a.keys() | sections_b.keys()):
        old, new = (
            [line for line in side.get(section, []) if not ignore.any.match(f"{section}:{line}")]
            for side in (sections_a, sections_b))
        if section == "firewall":
            if old != new:
                yield "~ firewall:"
                yield from ("    - " + line for line in old)
                yield from ("    + " + line for line in new)
            continue
        yield from (f"- {section}: {line}" for line in old if line not in new)
        yield from (f"+ {section}: {line}" for line in new if line not in old)


def main(arguments):
    match arguments:
        case ["write", root, out, cache_file, *section_files]:
            write(root, out, cache_file, section_files)
            return 0
        case ["diff", a, b]:
            ignore = None
        case ["diff", a, b, "--ignore", ignore]:
            pass
        case _:
            print(__doc__, file=sys.stderr)
            return 125
    status = 0
    for line in differences(read(a), read(b), Ignore(ignore)):
        print(line.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"))
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
