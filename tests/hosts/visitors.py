"""Requests the page over TLS from several visitors until /tmp/stop exists: visitors.py NAME. Says what was answered."""
import collections
import http.client
import os
import ssl
import sys
import threading

NAME, VISITORS, LEAST = sys.argv[1], 4, 1000
seen, lock = collections.Counter(), threading.Lock()
context = ssl._create_unverified_context()


def visit():
    while not os.path.exists("/tmp/stop") or sum(seen.values()) < LEAST:
        try:
            connection = http.client.HTTPSConnection("127.0.0.1", 443, context=context, timeout=60)
            connection.request("GET", "/", headers={"Host": NAME})
            answer = connection.getresponse()
            told = "%d %s" % (answer.status, answer.read(200).decode().strip().splitlines()[0])
            connection.close()
        except (OSError, http.client.HTTPException) as error:
            told = type(error).__name__
        with lock:
            seen[told] += 1


threads = [threading.Thread(target=visit) for _ in range(VISITORS)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for told, count in sorted(seen.items()):
    print(count, told)
