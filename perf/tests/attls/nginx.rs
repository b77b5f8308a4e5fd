//! nginx, as a web server that speaks TLS or not.

use std::fs;

use ravelin_perf::foreign;
use ravelin_perf::lab::{Namespace, Process};

use crate::stand::Stand;

/// Starts it at a site, with these `server { .. }` blocks. All of them give out the lab's files, and take files in below `/in`.
/// What it was asked is in `NAME-access.log`: version, resumption, host name, path.
pub(crate) fn start(stand: &Stand, at: &Namespace, name: &str, servers: &str) -> Process {
    let lab = stand.lab();
    let own = lab.make_directory(name).unwrap();
    lab.make_directory("in").unwrap();
    let (root, own) = (lab.directory().display(), own.display());
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("  {kind}_temp_path {own}/{kind};\n"))
        .concat();
    let text = format!(
        "daemon off; master_process off; pid {own}/pid; error_log stderr notice;\n\
         events {{ worker_connections 2048; }}\n\
         http {{\n  root {root}; sendfile on; keepalive_requests 100000;\n{temporary}\
         \x20 client_max_body_size 100m; dav_methods PUT;\n\
         \x20 log_format tls '$ssl_protocol|$ssl_session_reused|$ssl_server_name|$ssl_curves|$request_uri|$status';\n\
         \x20 access_log {root}/{name}-access.log tls;\n{servers}\n}}\n"
    );
    let file = lab.file(&format!("{name}.conf"));
    fs::write(&file, text).unwrap();
    let mut command = at.command(foreign::tool("nginx", "nginx").unwrap());
    command.arg("-c").arg(&file).args(["-e", "stderr"]);
    // It says so once it listens.
    stand.serve(name, &mut command, "RLIMIT_NOFILE")
}

/// A block for a server in clear at these ports.
pub(crate) fn clear(ports: &[u16]) -> String {
    let listen: String = ports.iter().map(|port| format!("listen {port}; listen [::]:{port}; ")).collect();
    format!("  server {{ {listen} }}")
}

/// A block for a server with TLS at this port, with the partner's certificate.
pub(crate) fn secure(stand: &Stand, port: u16, more: &str) -> String {
    let (certificate, key) = (stand.paper("partner.pem"), stand.paper("partner.key"));
    format!(
        "  server {{ listen {port} ssl; listen [::]:{port} ssl; ssl_certificate {}; ssl_certificate_key {}; {more} }}",
        certificate.display(),
        key.display()
    )
}

/// Lines of what it was asked so far.
pub(crate) fn asked(stand: &Stand, name: &str) -> Vec<String> {
    let log = fs::read_to_string(stand.lab().file(&format!("{name}-access.log"))).unwrap_or_default();
    log.lines().map(str::to_owned).collect()
}
