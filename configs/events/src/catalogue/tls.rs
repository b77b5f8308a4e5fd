//! AT-TLS: connections, and what stands in their way.

use super::entries;

entries! {
    TLS;
    "TLS", "Connections that TLS is spoken for. `return_code` has the numbers that runbooks know (5001 to 5004).";
    TLS_START: Debug "RVL-TLS-START" [rule client server version suite group alpn resumed peer identity took_ms] "a connection is secure";
        cause "Its handshake is done.";
        remedy "Nothing is to be done.";
    TLS_END: Debug "RVL-TLS-END" [rule client server version suite resumed peer identity lived_ms octets_out octets_in ending] "a connection is over";
        cause "One end closed it, or it was ended; `ending` says which.";
        remedy "Nothing is to be done if `ending` is `closed`.";
    TLS_ERROR: Warning "RVL-TLS-ERROR" [rule client server result return_code why] "a connection for TLS came to nothing";
        cause "The handshake failed or never began; `result` is a stable word for it and `why` says it in words, with both sides' lists.";
        remedy "Do as `why` says: it names what one side lacks. docs/attls.md lists the words of `result`.";
    TLS_NOT_SERVED: Warning "RVL-TLS-NOT-SERVED" [why] "the packet process ends no connections for TLS";
        cause "It is of another release, or has no memory for connections.";
        remedy "Run both processes of one release; set `[workers] tls_connections`.";
    TLS_REVOCATION: Warning "RVL-TLS-REVOCATION" [url problem] "revocation could not be looked up";
        cause "A revocation list or a responder does not answer, or its answer is not believed.";
        remedy "See that the address can be reached from this gateway; what then becomes of certificates, `revocation` of the policy says.";
}
