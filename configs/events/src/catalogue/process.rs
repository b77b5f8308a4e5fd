//! The two processes: start, end, doors, the log itself.

use super::entries;

entries! {
    PROCESS;
    "Processes", "Start and end of both processes, their sockets, and the log.";
    CONTROL_READY: Info "RVL-CONTROL-READY" [socket] "ravelin-control is ready";
        cause "The control process has started, and serves the operator's command on this socket.";
        remedy "Nothing is to be done.";
    METRICS: Info "RVL-METRICS" [address] "metrics are served";
        cause "Prometheus may scrape this address.";
        remedy "Nothing is to be done.";
    DATAPLANE_READY: Info "RVL-DATAPLANE-READY" [ports workers] "ravelin-dataplane is ready";
        cause "The packet process has started: XDP programs are attached and its workers run.";
        remedy "Nothing is to be done.";
    DATAPLANE_STOPPED: Info "RVL-DATAPLANE-STOPPED" [] "stopped; the XDP programs stay and drop what is protected";
        cause "The packet process was asked to end.";
        remedy "Start it again. `ravelin-dataplane detach` takes the programs off, and then nothing is protected any more.";
    CONFIG_NOTE: Warning "RVL-CONFIG-NOTE" [note] "a file is used, and says what is hardly meant";
        cause "The appliance file or the default filters were read with a warning, which `note` holds with file, line and remedy.";
        remedy "Change the file as the note says.";
    MEMORY_NOT_LOCKED: Warning "RVL-MEMORY-NOT-LOCKED" [] "keys may be swapped out";
        cause "The process may not lock its memory, so keys in it could be written to a swap device.";
        remedy "Give the unit CAP_IPC_LOCK or LimitMEMLOCK=infinity, or use no swap.";
    PACKETS_NOT_LOCKED: Warning "RVL-PACKETS-NOT-LOCKED" [error] "packets may be swapped out";
        cause "The packet process may not lock its memory, so packets in it could be written to a swap device.";
        remedy "Give the unit CAP_IPC_LOCK or LimitMEMLOCK=infinity, or use no swap.";
    DOOR_REFUSED: Warning "RVL-DOOR-REFUSED" [door peer error] "somebody was turned away at a socket";
        cause "The user is not one of those that may use this socket: root, the process's own, and the users that `allow` lists.";
        remedy "Add the user's number to `allow` of `[control]` or `[dataplane]` if it is meant to be let in; else find out who asks.";
    DOOR_FAILED: Warning "RVL-DOOR-FAILED" [door error] "a connection to a socket was not accepted";
        cause "The kernel gave no connection: mostly because descriptors or memory are used up.";
        remedy "Raise LimitNOFILE of the unit, and look at who holds connections open.";
    CONTRACT_FULL: Warning "RVL-CONTRACT-FULL" [most] "too many connections to the packet process at a time";
        cause "More programs than are allowed hold a connection to the socket of the packet process, where one control process is meant.";
        remedy "End the programs that should not be there (`ss -xp`).";
    CONTRACT_ENDED: Info "RVL-CONTRACT-ENDED" [error] "control disconnected";
        cause "A connection between both processes has ended, as it does when control stops.";
        remedy "Nothing is to be done while control runs or comes back.";
    NO_THREAD: Warning "RVL-NO-THREAD" [error] "no thread for a connection";
        cause "The kernel refused a thread, mostly because a limit on tasks or memory is reached.";
        remedy "Raise TasksMax of the unit or free memory; the connection is tried again.";
    WORKER_NOT_PINNED: Warning "RVL-WORKER-NOT-PINNED" [error core] "a worker runs, but not on its core";
        cause "The core is not there, or the process is kept from it by a cpuset.";
        remedy "List cores that the unit may use in `[workers] cores`, or change its AllowedCPUs.";
    LOG_SUPPRESSED: Warning "RVL-LOG-SUPPRESSED" [of suppressed] "events of one code came too often, and some were left out";
        cause "More events of the code that `of` names came in a second than `[log] rate` lets through.";
        remedy "Look for the cause of the flood; raise `rate` if all of them are wanted.";
    LOG_LOST: Warning "RVL-LOG-LOST" [sink lost error] "a sink of the log did not take events";
        cause "The sink was gone, refused or slower than what it was given: so many events went to the other sinks only.";
        remedy "Start or relieve the sink (journald, syslog, or whoever reads standard error).";
}
