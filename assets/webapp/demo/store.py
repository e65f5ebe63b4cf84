"""The database: SQLite, PostgreSQL or MariaDB behind one small class.

The driver is imported only for the engine that DATABASE_URL names. There is one
connection per thread, made at first use and made anew when it has died.
"""
import os
import pwd
import threading
import time
from urllib.parse import parse_qs, unquote, urlsplit

LEASE = 60  # seconds after which a job claimed by a worker that died is free again

ID = {
    "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT",
    "postgresql": "BIGSERIAL PRIMARY KEY",
    "mariadb": "BIGINT PRIMARY KEY AUTO_INCREMENT",
}
TABLES = (
    "CREATE TABLE IF NOT EXISTS demo_rows (id {id}, content TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS demo_jobs (id {id}, content TEXT NOT NULL,"
    " state VARCHAR(10) NOT NULL, result TEXT, worker VARCHAR(255), claim VARCHAR(300),"
    " created BIGINT NOT NULL, claimed BIGINT NOT NULL)",
)


class Database:
    def __init__(self, url):
        scheme = url.partition(":")[0]
        self.url, self.local = url, threading.local()
        if scheme == "sqlite":
            import sqlite3 as driver
            self.engine = "sqlite"
        elif scheme in ("postgresql", "postgres"):
            import psycopg2 as driver
            self.engine = "postgresql"
        elif scheme in ("mysql", "mariadb"):
            import pymysql as driver
            self.engine = "mariadb"
        else:  # the value may hold a password: it is never shown
            raise ValueError("DATABASE_URL must begin with sqlite:, postgresql: or mysql:")
        self.driver, self.errors = driver, (driver.Error, OSError)

    # -- connections -----------------------------------------------------------------

    def _connect(self):
        if self.engine == "sqlite":
            path = unquote(self.url.partition(":///")[2])
            return self.driver.connect(path, timeout=10, isolation_level=None)
        if self.engine == "postgresql":
            conn = self.driver.connect(self.url, connect_timeout=5, client_encoding="utf8")
            conn.autocommit = True
            return conn
        url = urlsplit(self.url)
        where = {"host": url.hostname, "port": url.port or 3306}
        query = parse_qs(url.query)
        if "unix_socket" in query:
            where = {"unix_socket": query["unix_socket"][0]}
        if "ssl_ca" in query:
            where["ssl"] = {"ca": query["ssl_ca"][0], "check_hostname": True}
        return self.driver.connect(
            user=unquote(url.username or "") or pwd.getpwuid(os.geteuid()).pw_name,
            password=unquote(url.password or ""), database=unquote(url.path[1:]),
            charset="utf8mb4", autocommit=True, connect_timeout=5, read_timeout=30,
            init_command="SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", **where)

    def _make_tables(self, run):
        tables = [table.format(id=ID[self.engine]) for table in TABLES]
        if self.engine == "sqlite":
            run("PRAGMA journal_mode=WAL")
        if self.engine == "postgresql":  # IF NOT EXISTS alone is not safe between processes
            run("BEGIN; SELECT pg_advisory_xact_lock(20250); %s; COMMIT" % "; ".join(tables))
        else:
            for table in tables:
                tail = " DEFAULT CHARACTER SET utf8mb4" if self.engine == "mariadb" else ""
                run(table + tail)

    def connect(self):
        """A connection that works now: the engine may have been restarted since the last use."""
        conn = getattr(self.local, "conn", None)
        if conn is not None:
            try:
                conn.cursor().execute("SELECT 1")
                return conn
            except self.errors:
                self.close()
        for attempt in range(5):
            conn = self._connect()
            try:
                self._make_tables(conn.cursor().execute)
                break
            except self.errors:  # two processes making the file or the tables at once
                conn.close()
                if attempt == 4:
                    raise
                time.sleep(0.1 * (attempt + 1))
        self.local.conn = conn
        return conn

    def close(self):
        conn, self.local.conn = getattr(self.local, "conn", None), None
        try:
            if conn is not None:
                conn.close()
        except self.errors:
            pass

    def _run(self, sql, *values):
        cursor = self.connect().cursor()
        cursor.execute(sql.replace("%s", "?") if self.engine == "sqlite" else sql, values)
        return cursor

    def _insert(self, sql, *values):
        if self.engine == "postgresql":
            return self._run(sql + " RETURNING id", *values).fetchone()[0]
        return self._run(sql, *values).lastrowid

    # -- rows ------------------------------------------------------------------------

    def counts(self):
        return self._run("SELECT (SELECT count(*) FROM demo_rows),"
                         " (SELECT count(*) FROM demo_jobs),"
                         " (SELECT count(*) FROM demo_jobs WHERE state = 'done')").fetchone()

    def add_row(self, text):
        return self._insert("INSERT INTO demo_rows (content) VALUES (%s)", text)

    def row(self, number):
        found = self._run("SELECT content FROM demo_rows WHERE id = %s", number).fetchone()
        return found and {"id": number, "text": found[0]}

    # -- jobs ------------------------------------------------------------------------

    def add_job(self, text):
        return self._insert("INSERT INTO demo_jobs (content, state, created, claimed)"
                            " VALUES (%s, 'queued', %s, 0)", text, int(time.time()))

    def drop_job(self, number):
        self._run("DELETE FROM demo_jobs WHERE id = %s AND state = 'queued'", number)

    def job(self, number):
        found = self._run("SELECT state, result, worker FROM demo_jobs WHERE id = %s",
                          number).fetchone()
        return found and {"id": number, "state": found[0], "result": found[1], "worker": found[2]}

    def job_text(self, number):
        found = self._run("SELECT content FROM demo_jobs WHERE id = %s AND state = 'queued'",
                          number).fetchone()
        return found and found[0]

    def finish_job(self, number, result, worker):
        self._run("UPDATE demo_jobs SET state = 'done', result = %s, worker = %s"
                  " WHERE id = %s AND state = 'queued'", result, worker, number)

    def forgotten_jobs(self, age):
        """Jobs that wait longer than they should: a broker lost their ids."""
        return [found[0] for found in self._run(
            "SELECT id FROM demo_jobs WHERE state = 'queued' AND created < %s"
            " ORDER BY id LIMIT 100", int(time.time()) - age).fetchall()]

    def claim_job(self, worker):
        """The oldest free job, for one worker only; None when there is none."""
        now = int(time.time())
        free = "state = 'queued' AND claimed < %d" % (now - LEASE)
        oldest = "SELECT id FROM demo_jobs WHERE " + free + " ORDER BY id LIMIT 1"
        if self.engine == "postgresql":
            found = self._run("UPDATE demo_jobs SET claimed = %s, claim = %s WHERE id = (" + oldest
                              + " FOR UPDATE SKIP LOCKED) RETURNING id", now, worker).fetchone()
            return found and found[0]
        found = self._run(oldest).fetchone()  # the usual answer, "none", takes no lock
        if not found:
            return None
        if self.engine == "mariadb":  # 10.5 has no SKIP LOCKED; one UPDATE is atomic everywhere
            claim = "%s %d" % (worker, time.monotonic_ns())
            if not self._run("UPDATE demo_jobs SET claimed = %s, claim = %s WHERE " + free
                             + " ORDER BY id LIMIT 1", now, claim).rowcount:
                return None
            return self._run("SELECT id FROM demo_jobs WHERE claim = %s", claim).fetchone()[0]
        self._run("BEGIN IMMEDIATE")
        found = self._run(oldest).fetchone()
        if found:
            self._run("UPDATE demo_jobs SET claimed = %s, claim = %s WHERE id = %s",
                      now, worker, found[0])
        self._run("COMMIT")
        return found and found[0]
