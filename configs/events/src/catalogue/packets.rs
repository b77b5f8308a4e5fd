//! The packet process: interfaces, the kernel, the host's own traffic, SAs, filters.

use super::entries;

entries! {
    PACKETS;
    "Packets", "Interfaces, the kernel beside us, SAs and filter matches.";
    FILTER_MATCH: Info "RVL-FILTER-MATCH" [rule extension action verdict source destination protocol source_port_or_type
        destination_port_or_code direction port zone security_class routing tunnel spi length fragment suppressed time_us] "filter match";
        cause "A packet met a rule whose `log` asks for a record, or no rule while `log_implicit` does.";
        remedy "Nothing is to be done. A flow that should pass and is denied: ask `ravelin why` with its addresses and ports.";
    SA_ACQUIRE: Warning "RVL-SA-ACQUIRE" [tunnel source destination] "no SA for a packet that must be protected";
        cause "A rule says `ipsec`, and its tunnel has no SA to send under. The packet was dropped; IKE is asked to make one.";
        remedy "If it goes on, ask `ravelin ike explain` why the tunnel does not come up.";
    SA_SEQUENCE: Warning "RVL-SA-SEQUENCE" [sa spi reason] "an SA runs out of sequence numbers";
        cause "A manual SA has no number left, or none could be reserved on disk.";
        remedy "Give the tunnel new keys and SPIs, or mend the state directory where numbers cannot be reserved.";
    SA_CHILD: Info "RVL-SA-CHILD" [sa spi happening] "negotiated SA";
        cause "A negotiated SA was used for the first time, or has reached a bound of its life.";
        remedy "Nothing is to be done: IKE replaces it in time.";
    SA_UNKNOWN: Info "RVL-SA-UNKNOWN" [spi local remote source_port destination_port] "ESP for an SA that is not there";
        cause "The peer sends under an SA that ended here, or somebody makes SPIs up. The packets are dropped.";
        remedy "If it goes on and the peer is one of yours, restart its side: `ravelin ike down`, then `up`.";
    SA_NOT_REMOVED: Warning "RVL-SA-NOT-REMOVED" [error] "SAs at the end of their life are not removed yet";
        cause "The next tables could not be made; it is tried again at the next look.";
        remedy "If it goes on, the error says what the packet process lacks.";
    NUMBERS_NOT_RESERVED: Warning "RVL-NUMBERS-NOT-RESERVED" [error] "sequence numbers cannot be reserved; SAs will stop at their limit";
        cause "The file of reserved numbers in the state directory cannot be written.";
        remedy "See that the disk is not full and the state directory may be written, before the SAs stop.";
    NUMBERS_NOT_KEPT: Warning "RVL-NUMBERS-NOT-KEPT" [error] "accepted sequence numbers cannot be kept";
        cause "The file of accepted numbers in the state directory cannot be written, so a restart would accept old packets of manual SAs again.";
        remedy "See that the disk is not full and the state directory may be written.";
    NO_DEFAULT_FILTERS: Warning "RVL-NO-DEFAULT-FILTERS" [file] "no default filters: everything is denied until a policy is installed";
        cause "The file of default filters is not there.";
        remedy "Write it, so that the gateway can be reached while it has no policy.";
    XDP_ATTACHED: Info "RVL-XDP-ATTACHED" [interface mode] "XDP program attached";
        cause "From now on the interface's packets go to the workers, or are dropped, as the program says.";
        remedy "Nothing is to be done.";
    PORT_DISAGREES: Error "RVL-PORT-DISAGREES" [problem] "a port is not as the kernel shows it, and carries nothing";
        cause "The interface is gone, or its parent or VLAN is another than the appliance file says.";
        remedy "Put the interface right (`ip -d link`), or change the appliance file and restart the packet process.";
    INTERFACE_STALE: Error "RVL-INTERFACE-STALE" [error] "an interface does not follow the kernel";
        cause "An XDP program did not take a change of this host's addresses.";
        remedy "Restart the packet process if it goes on; the error names the interface.";
    INTERFACE_UNREAD: Warning "RVL-INTERFACE-UNREAD" [interface error] "the counters of an interface cannot be read";
        cause "The maps of its XDP program, or its sockets, do not answer.";
        remedy "Restart the packet process if it goes on; meanwhile its metrics are left out.";
    GUARD_WIDE: Error "RVL-GUARD-WIDE" [error] "what was guarded before stays guarded too";
        cause "The XDP programs or the kernel did not take the shorter list of what is protected. More is dropped than must be, never less.";
        remedy "Apply the policy again; restart the packet process if that does not do.";
    HOST_GUARD_STALE: Error "RVL-HOST-GUARD-STALE" [error] "the kernel holds to other filters than are in force";
        cause "The kernel, or nft, refused the filters for this host's own traffic.";
        remedy "Do as the error says (`nft list table inet ravelin`), then apply the policy again.";
    HOST_DETACHED: Warning "RVL-HOST-DETACHED" [interface error] "this host itself cannot be reached through tunnels";
        cause "The TUN interface could not be opened.";
        remedy "Load the module `tun`, give the process /dev/net/tun, or choose another name by `[dataplane] tun`; then restart.";
    HOST_CUT_OFF: Error "RVL-HOST-CUT-OFF" [cause] "this host cannot be reached through tunnels any more; restart";
        cause "The TUN interface was deleted while the packet process ran.";
        remedy "Restart the packet process, and leave its interface alone.";
    HOST_ROUTES: Error "RVL-HOST-ROUTES" [error] "this host cannot send through all tunnels";
        cause "The kernel did not take the routes or rules that lead this host's own traffic to the workers.";
        remedy "Look for other programs that use routing table 29300 or the rules of priority 29299 and 29300, then apply the policy again.";
    NETLINK_FAILED: Warning "RVL-NETLINK-FAILED" [error] "netlink failed; opening it anew";
        cause "The kernel's report of links, addresses and routes broke off. What is known stays in use.";
        remedy "If it goes on, raise net.core.rmem_max or look for what exhausts memory.";
}
