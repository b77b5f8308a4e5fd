//! IKEv2 (RFC 7296) without sockets, clock or dice of its own: time, datagrams and randomness come in as arguments.
