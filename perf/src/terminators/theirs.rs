//! The others: nginx, HAProxy and stunnel, each one process that ends TLS on the gateway of site b and goes on in clear.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use super::{CLEAR, Terminator, wait_for_port};
use crate::foreign::{tool, workspace};
use crate::lab::{Process, TwoSites};

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Other {
    pub(super) name: &'static str,
    port: u16,
    /// Package and program.
    program: (&'static str, &'static str),
    /// The first line that it prints when asked for its version.
    version: &'static str,
    /// Its settings: where it listens, where it goes on to, and the file with certificate and key.
    settings: fn(SocketAddr, SocketAddr, &Path) -> String,
    /// Arguments in front of the settings' file.
    arguments: &'static [&'static str],
}

pub(super) const OTHERS: [Other; 3] = [
    Other {
        name: "nginx",
        port: 8441,
        program: ("nginx", "nginx"),
        version: "-v",
        settings: nginx,
        arguments: &["-e", "stderr", "-c"],
    },
    Other {
        name: "haproxy",
        port: 8442,
        program: ("haproxy", "haproxy"),
        version: "-v",
        settings: haproxy,
        arguments: &["-db", "-f"],
    },
    Other {
        name: "stunnel",
        port: 8443,
        program: ("stunnel4", "stunnel4"),
        version: "-version",
        settings: stunnel,
        arguments: &[],
    },
];

fn nginx(at: SocketAddr, to: SocketAddr, papers: &Path) -> String {
    let papers = papers.display();
    let unpacked = workspace().join("target/tools/libnginx-mod-stream/usr/lib/nginx/modules");
    let modules = if unpacked.exists() { unpacked } else { "/usr/lib/nginx/modules".into() };
    let module = modules.join("ngx_stream_module.so").display().to_string();
    format!(
        "load_module {module};\ndaemon off; master_process off; pid {papers}.nginx.pid; error_log stderr error;\n\
         worker_rlimit_nofile 20000;\nevents {{ worker_connections 16384; }}\n\
         stream {{ server {{ listen {at} ssl backlog=4096; proxy_pass {to}; proxy_timeout 1h;\n\
         ssl_certificate {papers}; ssl_certificate_key {papers}; ssl_protocols TLSv1.3; }} }}\n"
    )
}

fn haproxy(at: SocketAddr, to: SocketAddr, papers: &Path) -> String {
    format!(
        "global\n  nbthread 1\n  maxconn 8000\n\
         defaults\n  mode tcp\n  timeout connect 10s\n  timeout client 1h\n  timeout server 1h\n\
         frontend tls\n  bind {at} ssl crt {} ssl-min-ver TLSv1.3\n  default_backend clear\n\
         backend clear\n  server one {to}\n",
        papers.display()
    )
}

fn stunnel(at: SocketAddr, to: SocketAddr, papers: &Path) -> String {
    format!(
        "foreground = yes\npid =\nsyslog = no\ndebug = err\n[tls]\naccept = {at}\nconnect = {to}\ncert = {}\nsslVersionMin = TLSv1.3\n",
        papers.display()
    )
}

impl Other {
    /// Starts it; `papers` holds certificate and key. An error tells why it is absent.
    pub(super) fn start(self, sites: &TwoSites, papers: &Path) -> Result<(Terminator, Process)> {
        let (package, program) = self.program;
        let program = tool(package, program)?;
        let IpAddr::V4(address) = sites.b.gateway_v4 else { unreachable!("site b has an IPv4 address") };
        let at = SocketAddr::new(address.into(), self.port);
        let file = sites.lab.file(&format!("{}.conf", self.name));
        fs::write(&file, (self.settings)(at, SocketAddr::new(sites.b.site_v4, CLEAR), papers))?;
        let mut command = sites.b.gateway.command(&program);
        command.args(self.arguments).arg(&file);
        let process =
            Process::spawn(self.name, &mut command, &sites.lab.file(&format!("{}.log", self.name)))?;
        wait_for_port(&sites.wan, at).with_context(|| process.tail())?;
        let pid = process.pid().with_context(|| format!("{} runs", self.name))?;
        let name = format!("{} {}", self.name, self.version(&program));
        Ok((Terminator { name, parts: vec![(self.name, pid)], at }, process))
    }

    /// The number in what it says of its version.
    fn version(self, program: &Path) -> String {
        let Ok(output) = Command::new(program).arg(self.version).output() else { return String::new() };
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        let words = said.split(|c: char| c.is_whitespace() || c == '/');
        let is_number = |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
        words.into_iter().find(is_number).unwrap_or_default().to_owned()
    }
}
