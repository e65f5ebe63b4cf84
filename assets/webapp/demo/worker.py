"""Takes jobs from the queue, reverses their text, writes the result to the database.

Runs until SIGTERM or SIGINT. When the database or the broker goes away it says so and tries
again, after 0.5 s at first and 5 s at most.
"""
import os
import signal
import socket
import sys
import time

from jobqueue import open_queue
from store import Database

FORGOTTEN = 30  # seconds after which a waiting job is put into an empty queue again
me = "%s:%d" % (socket.gethostname(), os.getpid())


class Stop(BaseException):
    """Raised by a signal, but only while the worker waits: a job in hand is finished first."""


class Worker:
    def __init__(self):
        self.database = Database(os.environ["DATABASE_URL"])
        self.queue = open_queue(os.environ.get("QUEUE_URL") or "database:", self.database, me)
        self.stopping = self.waiting = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.stop)

    def stop(self, *_):
        self.stopping = True
        if self.waiting:
            raise Stop

    def wait(self, function, *values):
        self.waiting = True
        try:
            if self.stopping:
                raise Stop
            return function(*values)
        finally:
            self.waiting = False

    def step(self):
        self.database.connect()  # take nothing that could not be finished
        number = self.wait(self.queue.take, 5)
        if number is None:
            if self.queue.name != "database":
                for number in self.database.forgotten_jobs(FORGOTTEN):
                    self.queue.push(number)
            return
        text = self.database.job_text(number)
        if text is not None:  # None: done already, the queue may say things twice
            self.database.finish_job(number, text[::-1], me)
            print("job %d done" % number, file=sys.stderr, flush=True)
        self.queue.done()

    def run(self):
        print("worker %s: database %s, queue %s" % (me, self.database.engine, self.queue.name),
              file=sys.stderr, flush=True)
        delay = 0.5
        try:
            while True:
                try:
                    self.step()
                    delay = 0.5
                except self.database.errors + self.queue.errors as error:
                    print("trying again in %.1f s: %s: %s" % (
                        delay, type(error).__name__, " ".join((str(error) or repr(error)).split())),
                        file=sys.stderr, flush=True)
                    self.database.close()
                    self.queue.close()
                    self.wait(time.sleep, delay)
                    delay = min(delay * 2, 5)
        except Stop:
            self.queue.close()
            self.database.close()


if __name__ == "__main__":
    Worker().run()
