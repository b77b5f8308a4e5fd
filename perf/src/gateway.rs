//! A Ravelin gateway in a namespace: its files, its two processes, its command.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::foreign::{program, workspace};
use crate::lab::{Lab, MOMENT, Namespace, Output, Process, check, run, wait_until};
use crate::metrics::Metrics;

/// How long a process may take from its start until it answers.
const START: Duration = Duration::from_secs(20);

/// Where the gateway's metrics are, in its namespace.
pub const METRICS: &str = "127.0.0.1:9469";

/// One gateway. Dropping it kills its processes.
#[derive(Debug)]
pub struct Gateway {
    namespace: Namespace,
    /// Its configuration, sockets, state and logs.
    directory: PathBuf,
    /// Name of the policy file in it.
    policy: String,
    dataplane: Option<Process>,
    control: Option<Process>,
    /// Whether the control process writes the keys of tunnels to [`Gateway::KEYS`].
    logs_keys: bool,
}

impl Gateway {
    /// Lays out a gateway with the files of `configs/EXAMPLE`, in a directory `name` of the lab. Nothing runs yet, and the policy
    /// lies apart (see [`Gateway::apply_policy`]), so that the gateway starts with its default filters.
    ///
    /// `more` is added to its `ravelin.toml`.
    pub fn lay_out(lab: &Lab, namespace: &Namespace, name: &str, example: &str, more: &str) -> Result<Self> {
        let directory = lab.make_directory(name)?;
        let pins = lab.bpf_file_system(&format!("{name}-bpf"))?.join("ravelin");
        let policy = format!("{}.toml", example.split('/').next().unwrap_or(example));
        let from = workspace().join("configs").join(example);
        let copy = |file, to: &str| {
            fs::copy(from.join(file), directory.join(to))
                .with_context(|| format!("copying {file} of {example}"))
        };
        copy("default-filters.toml", "default-filters.toml")?;
        copy("ipsec.toml", &policy)?;
        if from.join("attls.toml").exists() {
            copy("attls.toml", "attls.toml")?;
        }
        if from.join("keys.toml").exists() {
            copy("keys.toml", "keys.toml")?;
            fs::set_permissions(directory.join("keys.toml"), Permissions::from_mode(0o600))?;
        }
        let appliance = fs::read_to_string(from.join("ravelin.toml"))?;
        let places = places(&pins);
        fs::write(directory.join("ravelin.toml"), format!("{appliance}\n{places}\n{more}"))?;
        Ok(Self {
            namespace: namespace.clone(),
            directory,
            policy,
            dataplane: None,
            control: None,
            logs_keys: false,
        })
    }

    /// The file of [`Gateway::log_keys`].
    pub const KEYS: &str = "esp-keys.json";

    /// Lets the control process, from its next start on, write the ESP keys that it negotiates, one JSON object a line.
    pub fn log_keys(&mut self) {
        self.logs_keys = true;
    }

    /// Starts both processes and waits until they answer.
    pub fn start(&mut self) -> Result<()> {
        self.start_dataplane()?;
        self.start_control()
    }

    /// Starts the packet process and waits until it carries packets. Its socket is there earlier.
    pub fn start_dataplane(&mut self) -> Result<()> {
        let process = self.spawn("ravelin-dataplane")?;
        process.wait_for_line("ravelin-dataplane is ready", START)?;
        self.dataplane = Some(process);
        Ok(())
    }

    /// Starts the control process and waits for its socket.
    pub fn start_control(&mut self) -> Result<()> {
        let process = self.spawn("ravelin-control")?;
        process.wait_for_socket(&self.file("control.sock"), START)?;
        self.control = Some(process);
        Ok(())
    }

    fn spawn(&self, name: &str) -> Result<Process> {
        let mut command = self.namespace.command(program(name)?);
        command.arg("--config").arg(self.file("ravelin.toml"));
        if self.logs_keys {
            command.env("RAVELIN_ESP_KEY_LOG", self.file(Self::KEYS));
        }
        Process::spawn(name, &mut command, &self.file(&format!("{name}.log")))
    }

    /// The packet process, while it runs.
    pub fn dataplane(&mut self) -> Result<&mut Process> {
        self.dataplane.as_mut().context("the packet process does not run")
    }

    /// The control process, while it runs.
    pub fn control(&mut self) -> Result<&mut Process> {
        self.control.as_mut().context("the control process does not run")
    }

    /// `kill -9` of the packet process.
    pub fn kill_dataplane(&mut self) -> Result<()> {
        self.dataplane.take().context("the packet process does not run")?.kill()
    }

    /// `kill -9` of the control process.
    pub fn kill_control(&mut self) -> Result<()> {
        self.control.take().context("the control process does not run")?.kill()
    }

    /// Runs the operator's command with arguments parted by spaces; how it ends is the caller's to judge.
    pub fn try_command(&self, line: &str) -> Result<Output> {
        run(&mut self.command(line)?, MOMENT)
    }

    /// Runs the operator's command, which has to succeed, and returns what it printed.
    pub fn ravelin(&self, line: &str) -> Result<String> {
        check(&mut self.command(line)?, MOMENT)
    }

    fn command(&self, line: &str) -> Result<std::process::Command> {
        let mut command = self.namespace.command(program("ravelin")?);
        // Relative names of files are those of the gateway's directory.
        command.current_dir(&self.directory);
        command.arg("--socket").arg(self.file("control.sock")).args(line.split_whitespace());
        Ok(command)
    }

    /// Runs the operator's command with `--json`, which has to succeed, and returns what it printed.
    pub fn ask(&self, line: &str) -> Result<serde_json::Value> {
        serde_json::from_str(&self.ravelin(&format!("--json {line}"))?).context("the answer is not JSON")
    }

    /// Puts the example's policy in force.
    pub fn apply_policy(&self) -> Result<String> {
        self.ravelin(&format!("policy apply {}", self.policy))
    }

    /// Writes this text over its policy file, and puts it in force.
    pub fn apply_text(&self, policy: &str) -> Result<String> {
        fs::write(self.file(&self.policy), policy)?;
        self.apply_policy()
    }

    /// Adds entries to its file of keys, for the next policy that is put in force.
    pub fn add_keys(&self, text: &str) -> Result<()> {
        let mut file = fs::File::options().append(true).open(self.file("keys.toml"))?;
        Ok(std::io::Write::write_all(&mut file, text.as_bytes())?)
    }

    /// The policy file as it is now.
    pub fn policy_text(&self) -> Result<String> {
        fs::read_to_string(self.file(&self.policy)).context("reading the policy")
    }

    /// What the control process logged.
    pub fn control_log(&self) -> String {
        fs::read_to_string(self.file("ravelin-control.log")).unwrap_or_default()
    }

    /// What the packet process has logged since the gateway was made.
    pub fn dataplane_log(&self) -> String {
        fs::read_to_string(self.file("ravelin-dataplane.log")).unwrap_or_default()
    }

    /// The IKE SAs that stand, as `ike list` shows them.
    pub fn ike_sas(&self) -> Result<Vec<serde_json::Value>> {
        self.ask("ike list")?.as_array().cloned().context("`ike list` gives no list")
    }

    /// The negotiated children that stand and are not being replaced.
    pub fn children(&self) -> Result<Vec<serde_json::Value>> {
        let of = |ike: &serde_json::Value| ike["children"].as_array().cloned().unwrap_or_default();
        let all = self.ike_sas()?.iter().flat_map(of).collect::<Vec<_>>();
        // What is replaced still receives for a while.
        Ok(all.into_iter().filter(|child| child["state"] == "standing").collect())
    }

    /// Inbound SPIs of [`Gateway::children`].
    pub fn spis(&self) -> Result<Vec<String>> {
        let spi = |child: &serde_json::Value| child["inbound_spi"].as_str().map(str::to_owned);
        self.children()?.iter().map(|child| spi(child).context("a child without an SPI")).collect()
    }

    /// Waits until other keys than these stand, and as many.
    pub fn wait_for_other_keys(&self, than: &[String], limit: Duration) -> Result<()> {
        let are_new = |now: Vec<String>| now.len() == than.len() && now.iter().all(|spi| !than.contains(spi));
        wait_until("other keys to stand", limit, || self.spis().is_ok_and(are_new))
            .with_context(|| format!("{:?}\n{}", self.ike_sas(), self.control_log()))
    }

    /// The text that Prometheus would scrape now.
    pub fn scrape(&self) -> Result<String> {
        let mut curl = self.namespace.command("curl");
        curl.args(["--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "5"]);
        check(curl.arg(format!("http://{METRICS}/metrics")), MOMENT)
    }

    /// The metrics now.
    pub fn metrics(&self) -> Result<Metrics> {
        Metrics::parse(&self.scrape()?)
    }

    /// Packets that ended with this verdict, over all ports, since the packet process started.
    pub fn ended(&self, verdict: &str) -> Result<u64> {
        self.packets(&[("verdict", verdict)])
    }

    /// Packets that ended with any verdict that is a drop.
    pub fn dropped(&self) -> Result<u64> {
        self.packets(&[("drop", "true")])
    }

    fn packets(&self, labels: &[(&str, &str)]) -> Result<u64> {
        let count = self.metrics()?.sum("ravelin_packets_total", labels);
        Ok(count.with_context(|| format!("the metrics have no ravelin_packets_total with {labels:?}"))?
            as u64)
    }

    /// Its namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// A file in its directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// How an operator's command for this gateway begins, for people to type.
    pub fn command_prefix(&self) -> Result<String> {
        let program = program("ravelin")?;
        Ok(format!("{} --socket {}", program.display(), self.file("control.sock").display()))
    }

    /// Leaves it running after this process.
    pub fn leave(mut self) {
        self.dataplane.take().into_iter().chain(self.control.take()).for_each(Process::leave);
    }
}

impl Drop for Gateway {
    /// After a failed test it says where packets were lost; nobody can ask it later.
    fn drop(&mut self) {
        if std::thread::panicking() && self.control.is_some() {
            eprintln!("--- losses of {}", self.directory.display());
            match self.scrape() {
                Ok(text) => text.lines().filter(|line| is_loss(line)).for_each(|line| eprintln!("{line}")),
                Err(error) => eprintln!("not known: {error:#}"),
            }
        }
    }
}

/// Whether a line of the metrics counts what did not arrive, more than never.
fn is_loss(line: &str) -> bool {
    let counts = ["drop=\"true\"", "class=\"drop", "ravelin_socket_lost_total", "ravelin_events_lost_total"];
    counts.iter().any(|what| line.contains(what)) && !line.starts_with('#') && !line.ends_with(" 0")
}

/// Where this gateway has its sockets and state, apart from others on the machine. Relative paths begin at `ravelin.toml`.
fn places(pins: &Path) -> String {
    format!(
        "[dataplane]\nsocket = \"dataplane.sock\"\nstate = \"state\"\npins = \"{}\"\n\n\
         [control]\nsocket = \"control.sock\"\nmetrics = \"{METRICS}\"\n",
        pins.display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_told_and_nothing_else() {
        assert!(is_loss("ravelin_packets_total{port=\"lan0\",verdict=\"no_sa\",drop=\"true\"} 3"));
        assert!(is_loss("ravelin_socket_lost_total{interface=\"lan0\",cause=\"dropped\"} 1"));
        assert!(!is_loss("ravelin_packets_total{port=\"lan0\",verdict=\"no_sa\",drop=\"true\"} 0"));
        assert!(!is_loss("ravelin_packets_total{port=\"lan0\",verdict=\"forwarded\",drop=\"false\"} 9"));
        assert!(!is_loss("# HELP ravelin_events_lost_total Events lost because nobody fetched them."));
    }
}
