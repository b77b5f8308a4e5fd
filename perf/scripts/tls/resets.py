"""Connections that are reset, at every moment of their life, by one end; and the other end, which says how that looked.

resets.py break HOST PORT [AUTHORITY NAME]     as client, resets at each moment in turn; says each
resets.py serve PORT [CERTIFICATE KEY]         as server, resets the first connection at the first moment, and so on, round and round
resets.py look HOST PORT TIMES [AUTHORITY NAME]   as client: asks so often, and says what came: `cut`, or `end` and how much

Of both servers' and clients' TLS the octets are carried by hand, so that a reset can come between any two of them.
"""
import socket
import ssl
import struct
import sys

REQUEST = b"GET /file HTTP/1.0\r\nX-Filler: " + b"x" * 3000 + b"\r\n\r\n"
PIECE = 16384
SOME = 300_000

CLEAR_CLIENT = ["connected", "half", "request", "answer"]
CLEAR_SERVER = ["connected", "request", "answer"]
TLS_CLIENT = ["connected", "first-1", "first-100", "first", "finished", "half", "request", "answer"]
TLS_SERVER = ["connected", "heard", "first-1", "first-100", "first", "finished", "request", "answer"]


class Moment(Exception):
    """The moment has come."""


def reset(connection):
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


class Clear:
    def __init__(self, connection):
        self.connection = connection

    def begin(self, _moment):
        pass

    def write(self, octets):
        self.connection.sendall(octets)

    def read(self):
        return self.connection.recv(PIECE)


class Secure:
    def __init__(self, connection, context, name):
        self.connection, self.is_server = connection, name is None
        self.came, self.goes = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.came, self.goes, server_side=name is None, server_hostname=name)

    def begin(self, moment):
        if moment == "heard":
            self.connection.recv(PIECE)
            raise Moment
        first = True
        while True:
            try:
                self.tls.do_handshake()
                return self.send()
            except ssl.SSLWantReadError:
                out = self.goes.read()
                if first and out:
                    first = False
                    if moment.startswith("first-"):
                        self.connection.sendall(out[: int(moment[6:])])
                        raise Moment
                    self.connection.sendall(out)
                    if moment == "first":
                        # The other end has it, and has answered where it is a server.
                        if not self.is_server:
                            self.connection.recv(1)
                        raise Moment
                elif out:
                    self.connection.sendall(out)
                self.fetch()

    def send(self):
        if self.goes.pending:
            self.connection.sendall(self.goes.read())

    def fetch(self):
        piece = self.connection.recv(PIECE)
        self.came.write(piece) if piece else self.came.write_eof()

    def write(self, octets):
        self.tls.write(octets)
        self.send()

    def read(self):
        while True:
            try:
                return self.tls.read(PIECE)
            except ssl.SSLWantReadError:
                self.fetch()


def stream(connection, context, name):
    return Secure(connection, context, name) if context else Clear(connection)


def live(end, moment, is_server):
    """One connection up to its moment."""
    if moment == "connected":
        return
    end.begin(moment)
    if moment == "finished":
        return
    if is_server:
        heard = b""
        while not heard.endswith(b"\r\n\r\n"):
            heard += end.read()
        if moment == "request":
            return
        for _ in range(SOME // 1000):
            end.write(b"a" * 1000)
        return
    if moment == "half":
        return end.write(REQUEST[:1000])
    end.write(REQUEST)
    if moment == "answer":
        octets = 0
        while octets < SOME and (piece := end.read()):
            octets += len(piece)


def break_off(host, port, context, name):
    for moment in TLS_CLIENT if context else CLEAR_CLIENT:
        connection = socket.create_connection((host, port), timeout=60)
        try:
            live(stream(connection, context, name), moment, False)
        except Moment:
            pass
        reset(connection)
        print(moment, flush=True)


def serve(port, context):
    moments = TLS_SERVER if context else CLEAR_SERVER
    listener = socket.create_server(("", port))
    print("listening", *moments, flush=True)
    at = 0
    while True:
        connection, _ = listener.accept()
        moment, at = moments[at % len(moments)], at + 1
        connection.settimeout(60)
        try:
            live(stream(connection, context, None), moment, True)
        except (Moment, OSError):
            pass
        reset(connection)
        print("reset at", moment, flush=True)


def look(host, port, times, context, name):
    for _ in range(times):
        octets = 0
        try:
            with socket.create_connection((host, port), timeout=60) as connection:
                end = stream(connection, context, name)
                end.begin("")
                end.write(REQUEST)
                while piece := end.read():
                    octets += len(piece)
            print("end", octets, flush=True)
        except OSError as error:
            # Of a stream without close_notify, too.
            print("cut", octets, type(error).__name__, flush=True)


def client_context(rest):
    return (ssl.create_default_context(cafile=rest[0]), rest[1]) if rest else (None, None)


def main(role, *rest):
    if role == "serve":
        context = None
        if rest[1:]:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*rest[1:])
        serve(int(rest[0]), context)
    elif role == "break":
        break_off(rest[0], int(rest[1]), *client_context(rest[2:]))
    else:
        look(rest[0], int(rest[1]), int(rest[2]), *client_context(rest[3:]))


main(*sys.argv[1:])
