"""Two programs that end their stream long before the connection: a teller sends a file, ends its stream, and only then hears the
answer; a gatherer hears a stream to its end, and only then answers with its length and SHA-256. In clear, or with Python's TLS.

ends.py gather PORT [CERTIFICATE KEY]
ends.py tell HOST PORT FILE [AUTHORITY NAME VERSION]
"""
import hashlib
import socket
import ssl
import sys

PIECE = 65536


def gather(port, papers):
    context = None
    if papers:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*papers)
    listener = socket.create_server(("", port))
    print("listening", flush=True)
    while True:
        connection, _ = listener.accept()
        connection.settimeout(60)
        try:
            if context:
                # A stream that ends without close_notify is an error here.
                connection = context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False)
            digest, octets = hashlib.sha256(), 0
            while piece := connection.recv(PIECE):
                digest.update(piece)
                octets += len(piece)
            connection.sendall(f"{octets} {digest.hexdigest()}\n".encode())
            if context:
                connection = connection.unwrap()
            print("answered", octets, flush=True)
        except OSError as error:
            print("failed", repr(error), flush=True)
        finally:
            connection.close()


def tell_in_clear(host, port, octets):
    with socket.create_connection((host, port), timeout=60) as connection:
        connection.sendall(octets)
        connection.shutdown(socket.SHUT_WR)
        heard = b""
        while piece := connection.recv(PIECE):
            heard += piece
        return heard


def tell_by_tls(host, port, octets, authority, name, version):
    """Python's sockets end both directions at once; OpenSSL beneath can end one, so its octets are carried by hand."""
    context = ssl.create_default_context(cafile=authority)
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
    came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(came, goes, server_hostname=name)
    with socket.create_connection((host, port), timeout=60) as connection:

        def send():
            if goes.pending:
                connection.sendall(goes.read())

        def step(deed, *arguments):
            while True:
                try:
                    result = deed(*arguments)
                    send()
                    return result
                except ssl.SSLWantReadError:
                    send()
                    piece = connection.recv(PIECE)
                    came.write(piece) if piece else came.write_eof()

        step(tls.do_handshake)
        for at in range(0, len(octets), PIECE):
            step(tls.write, octets[at : at + PIECE])
        try:
            tls.unwrap()
        except ssl.SSLWantReadError:
            # close_notify is ready to go, and that of the other end is not there yet.
            send()
        connection.shutdown(socket.SHUT_WR)
        heard = b""
        try:
            while piece := step(tls.read, PIECE):
                heard += piece
        except ssl.SSLZeroReturnError:
            pass
        return heard


def main(role, *rest):
    if role == "gather":
        gather(int(rest[0]), rest[1:])
    host, port, file, *tls = rest
    with open(file, "rb") as source:
        octets = source.read()
    heard = tell_by_tls(host, int(port), octets, *tls) if tls else tell_in_clear(host, int(port), octets)
    sys.stdout.write(heard.decode())


main(*sys.argv[1:])
