"""A TLS client that alters an octet of its own record, goes on writing, and only then reads: says which alert it hears.

forged.py HOST PORT AUTHORITY NAME VERSION
"""
import socket
import ssl
import sys
import time

RECORDS = 20
PIECE = 16384


def main(host, port, authority, name, version):
    context = ssl.create_default_context(cafile=authority)
    context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
    came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(came, goes, server_hostname=name)
    with socket.create_connection((host, int(port)), timeout=60) as connection:

        def hear():
            if goes.pending:
                connection.sendall(goes.read())
            piece = connection.recv(PIECE)
            came.write(piece) if piece else came.write_eof()

        def step(deed, *arguments):
            while True:
                try:
                    return deed(*arguments)
                except ssl.SSLWantReadError:
                    hear()

        step(tls.do_handshake)
        for number in range(RECORDS):
            tls.write(b"some words of a request\r\n")
            record = bytearray(goes.read())
            if number == 0:
                record[-1] ^= 1
            # A reset would be an error here, before the alert is read.
            connection.sendall(record)
            time.sleep(0.02)
        try:
            while step(tls.read, PIECE):
                pass
            print("an end in order")
        except ssl.SSLError as error:
            print(error.reason)


main(*sys.argv[1:])
