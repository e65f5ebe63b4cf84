"""The queue: a table, Redis or RabbitMQ. It carries the ids of jobs and nothing else.

push(id) adds one, take(seconds) waits for one (None: nothing came), done() says that the
one taken last is finished. The text and the result of a job live in the database.
"""
import os
import time
from urllib.parse import unquote, urlsplit

NAME = "webapp:jobs"
CA = os.environ.get("QUEUE_CA") or None  # PEM file, for rediss:// and amqps://
TLS_NAME = os.environ.get("QUEUE_NAME")  # what the certificate is for, where it is not the host in the URL


class DatabaseQueue:
    name, errors = "database", ()

    def __init__(self, database, worker):
        self.database, self.worker = database, worker

    def push(self, number):
        pass  # the row in demo_jobs is the queue

    def take(self, seconds):
        until = time.monotonic() + seconds
        while True:
            number = self.database.claim_job(self.worker)
            if number is not None or time.monotonic() >= until:
                return number
            time.sleep(0.25)

    def done(self):
        pass

    def close(self):
        pass


class RedisQueue:
    name = "redis"

    def __init__(self, url):
        import redis
        parts = urlsplit(url)  # not from_url: the driver of bullseye leaves %40 as it is
        options = {"username": unquote(parts.username)} if parts.username else {}
        if parts.scheme == "rediss":
            options.update(ssl=True, ssl_ca_certs=CA)
        self.client = redis.Redis(
            host=parts.hostname or "127.0.0.1", port=parts.port or 6379,
            db=int(parts.path.strip("/") or 0), password=unquote(parts.password or "") or None,
            socket_connect_timeout=5, socket_timeout=30, **options)
        self.errors = (redis.RedisError, OSError)

    def push(self, number):
        self.client.lpush(NAME, number)

    def take(self, seconds):
        item = self.client.brpop(NAME, timeout=seconds)
        return item and int(item[1])

    def done(self):
        pass

    def close(self):
        self.client.connection_pool.disconnect()


class AmqpQueue:
    name = "rabbitmq"

    def __init__(self, url):
        import logging
        import pika
        logging.getLogger("pika").setLevel(logging.CRITICAL)  # our own line says what failed
        self.pika, self.connection, self.channel, self.tag = pika, None, None, None
        self.params = pika.URLParameters(url)
        self.params.socket_timeout = self.params.blocked_connection_timeout = 10
        self.encrypted = url.startswith("amqps:") and CA
        self.errors = (pika.exceptions.AMQPError, OSError)

    def encryption(self):  # anew for each connection: a certificate is renewed every few weeks
        import ssl
        if not hasattr(self.pika, "SSLOptions"):  # bullseye's is too old to look at the certificate's name
            return {"cert_reqs": ssl.CERT_NONE}
        context = ssl.create_default_context(cafile=CA)
        # The file holds the broker's own certificate, which is reason enough to trust it. Python 3.13 is else stricter
        # than browsers about how an authority of one's own made it.
        context.verify_flags = ssl.VERIFY_X509_PARTIAL_CHAIN
        return self.pika.SSLOptions(context, TLS_NAME or self.params.host)

    def open(self):
        if self.encrypted:
            self.params.ssl_options = self.encryption()
        connection = self.pika.BlockingConnection(self.params)
        channel = connection.channel()
        channel.queue_declare(NAME, durable=True)
        return connection, channel

    def push(self, number):  # a connection each: one kept idle would die of missed heartbeats
        connection, channel = self.open()
        try:
            channel.confirm_delivery()
            channel.basic_publish("", NAME, b"%d" % number,
                                  self.pika.BasicProperties(delivery_mode=2), mandatory=True)
        finally:
            if connection.is_open:
                connection.close()

    def take(self, seconds):
        if self.connection is None:
            self.connection, self.channel = self.open()
            self.channel.basic_qos(prefetch_count=1)
        for method, _, body in self.channel.consume(NAME, inactivity_timeout=seconds):
            if method is None:
                return None
            self.tag = method.delivery_tag
            return int(body)
        raise ConnectionError("the broker ended the subscription")

    def done(self):
        self.channel.basic_ack(self.tag)

    def close(self):
        connection, self.connection = self.connection, None
        try:
            if connection is not None and connection.is_open:
                connection.close()
        except self.errors:
            pass


def open_queue(url, database, worker=""):
    scheme = url.partition(":")[0]
    if scheme == "database":
        return DatabaseQueue(database, worker)
    if scheme in ("redis", "rediss"):
        return RedisQueue(url)
    if scheme in ("amqp", "amqps"):
        return AmqpQueue(url)
    raise ValueError("QUEUE_URL must begin with database:, redis:, rediss:, amqp: or amqps:")
