//! pebble, Let's Encrypt's ACME server for tests, on loopback, with a name server for which every name is 127.0.0.1.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The servers, which end with the test.
pub(crate) struct Pebble {
    processes: Vec<Child>,
    folder: tempfile::TempDir,
    port: u16,
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for process in &mut self.processes {
            // Already gone is as good.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A port of loopback that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("bound").port()
}

/// Where `make ready` unpacks it, or else the one of the system.
fn program(name: &str) -> PathBuf {
    let unpacked = |folder: &Path| folder.join("target/tools/pebble/usr/bin").join(name);
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(unpacked).find(|path| path.exists());
    found.unwrap_or_else(|| name.into())
}

impl Pebble {
    /// Starts it. It asks challenges on port `web`.
    pub(crate) fn start(web: u16) -> Self {
        let (port, management, names) = (free_port(), free_port(), free_port());
        let folder = tempfile::tempdir().expect("a folder");
        let mut pebble = Self { processes: Vec::new(), folder, port };
        let write = |name: &str, text: &str| std::fs::write(pebble.file(name), text).expect("written");
        const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";
        pebble
            .run("openssl", &format!("req -x509 {KEY} -keyout root.key -out root.pem -subj /CN=Web -days 9"));
        write(
            "web.cnf",
            "basicConstraints=critical,CA:false\nsubjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n",
        );
        pebble.run("openssl", &format!("req -new {KEY} -keyout web.key -out web.csr -subj /CN=pebble"));
        pebble.run("openssl", "x509 -req -in web.csr -CA root.pem -CAkey root.key -CAcreateserial -days 9 -extfile web.cnf -out web.pem");
        let json = format!(
            r#"{{"pebble": {{"listenAddress": "127.0.0.1:{port}", "managementListenAddress": "127.0.0.1:{management}",
            "certificate": "web.pem", "privateKey": "web.key", "httpPort": {web}, "tlsPort": 1,
            "ocspResponderURL": "", "externalAccountBindingRequired": false}}}}"#
        );
        write("pebble.json", &json);
        let server = format!("127.0.0.1:{names}");
        let unused = format!("127.0.0.1:{}", free_port());
        let words =
            ["-dns01", &server, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "", "-management", &unused];
        pebble.spawn(
            "pebble-challtestsrv",
            &[&words[..], &["-http01", "", "-https01", "", "-tlsalpn01", ""]].concat(),
        );
        pebble.spawn("pebble", &["-config", "pebble.json", "-dnsserver", &server, "-strict"]);
        for port in [port, management] {
            let start = Instant::now();
            while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
                assert!(
                    start.elapsed() < Duration::from_secs(60),
                    "pebble does not come up: {}",
                    pebble.log()
                );
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        let url = format!("https://127.0.0.1:{management}/roots/0");
        pebble.run("curl", &format!("--silent --fail --cacert root.pem --output issued-root.pem {url}"));
        pebble
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, program: &str, arguments: &str) {
        let mut command = Command::new(program);
        let output =
            command.args(arguments.split_ascii_whitespace()).current_dir(self.folder.path()).output();
        let output = output.unwrap_or_else(|e| panic!("{program}: {e}"));
        assert!(
            output.status.success(),
            "{program} {arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn spawn(&mut self, name: &str, words: &[&str]) {
        let log = File::create(self.file(&format!("{name}.log"))).expect("a file");
        let child = Command::new(program(name))
            .args(words)
            .current_dir(self.folder.path())
            .env("PEBBLE_VA_NOSLEEP", "1")
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{name} comes by `make ready`: {e}"));
        self.processes.push(child);
    }

    /// What the servers said.
    pub(crate) fn log(&self) -> String {
        let read = |name| std::fs::read_to_string(self.file(name)).unwrap_or_default();
        ["pebble.log", "pebble-challtestsrv.log"].map(read).concat()
    }

    /// The address of its directory.
    pub(crate) fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.port)
    }

    /// PEM of the certificate that its web server is believed by.
    pub(crate) fn web_root(&self) -> PathBuf {
        self.file("root.pem")
    }

    /// PEM of the root that it made for this run, and issues by.
    pub(crate) fn issued_root(&self) -> PathBuf {
        self.file("issued-root.pem")
    }
}
