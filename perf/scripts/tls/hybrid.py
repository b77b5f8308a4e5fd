"""A TLS peer with a recent OpenSSL (that of the package cryptography), which knows X25519MLKEM768. Says which group was agreed on.

hybrid.py serve PORT CERTIFICATE KEY
hybrid.py ask HOST PORT AUTHORITY NAME PATH
"""
import socket
import sys

from OpenSSL import SSL


def serve(port, certificate, key):
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.use_certificate_chain_file(certificate)
    context.use_privatekey_file(key)
    listener = socket.create_server(("", port))
    print("listening", flush=True)
    while True:
        raw, _ = listener.accept()
        connection = SSL.Connection(context, raw)
        connection.set_accept_state()
        try:
            connection.do_handshake()
            asked = connection.recv(4096)
            group = connection.get_group_name()
            connection.sendall(f"HTTP/1.0 200 OK\r\n\r\n{group}\n".encode())
            connection.shutdown()
            print("answered", asked.split(b"\r\n")[0].decode(), group, flush=True)
        except SSL.Error as error:
            print("failed", error, flush=True)
        raw.close()


def ask(host, port, authority, name, path):
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.load_verify_locations(authority)
    context.set_verify(SSL.VERIFY_PEER)
    raw = socket.create_connection((host, port), timeout=60)
    raw.settimeout(None)
    connection = SSL.Connection(context, raw)
    connection.set_tlsext_host_name(name.encode())
    connection.set_connect_state()
    connection.do_handshake()
    connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
    heard = bytearray()
    try:
        while piece := connection.recv(65536):
            heard += piece
    except SSL.ZeroReturnError:
        pass
    print(connection.get_protocol_version_name(), connection.get_group_name(), len(heard.split(b"\r\n\r\n", 1)[1]))


role, *rest = sys.argv[1:]
if role == "serve":
    serve(int(rest[0]), *rest[1:])
else:
    ask(rest[0], int(rest[1]), *rest[2:])
