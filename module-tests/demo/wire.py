"""As much of the Redis protocol as the demo needs, over one socket."""

import socket

RECEIVE_BYTES = 1 << 16


class ServerGone(Exception):
    """The connection ended where a reply was due."""


class ErrorReply(Exception):
    """The server answered with an error."""


class Incomplete(Exception):
    """The buffer ends inside a reply."""


def encode(*words):
    """A command as the server reads it."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)


def parse(buffer, start):
    """The reply at `start` and where the next one begins."""
    end = buffer.find(b"\r\n", start)
    if end < 0:
        raise Incomplete
    kind, text, after = buffer[start:start + 1], bytes(buffer[start + 1:end]), end + 2
    if kind == b"$":
        return parse_bulk(buffer, int(text), after)
    if kind == b"*":
        return parse_array(buffer, int(text), after)
    if kind == b":":
        return int(text), after
    if kind == b"+":
        return text.decode(), after
    if kind == b"-":
        return ErrorReply(text.decode(errors="replace")), after
    raise ValueError(f"no reply begins with {kind!r}")


def parse_bulk(buffer, length, start):
    if length < 0:
        return None, start
    if len(buffer) < start + length + 2:
        raise Incomplete
    return bytes(buffer[start:start + length]), start + length + 2


def parse_array(buffer, length, start):
    items = []
    for _ in range(length):
        item, start = parse(buffer, start)
        items.append(item)
    return items, start


class Client:
    """One connection: commands one by one, or a batch in flight at a time."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def close(self):
        self.socket.close()

    def call(self, *words):
        """A command's reply; an error reply is raised."""
        (reply,) = self.batch([encode(*words)])
        return reply

    def batch(self, commands):
        """The replies to encoded commands sent in one go; the first error reply is raised."""
        try:
            self.socket.sendall(b"".join(commands))
            return self.replies(len(commands))
        except OSError as error:
            raise ServerGone(f"the server is gone: {error}") from error

    def replies(self, count):
        replies, start = [], 0
        while len(replies) < count:
            try:
                reply, start = parse(self.buffer, start)
            except Incomplete:
                self.buffer, start = self.buffer[start:] + self.receive(), 0
                continue
            if isinstance(reply, ErrorReply):
                raise reply
            replies.append(reply)
        self.buffer = self.buffer[start:]
        return replies

    def receive(self):
        data = self.socket.recv(RECEIVE_BYTES)
        if not data:
            raise ServerGone("the server is gone: it closed the connection")
        return data
