//! `make demo`: the whole path in five steps, each checked while it is shown.

use std::fmt::Display;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::gateway::METRICS;
use crate::lab::pcap::{Kind, Pcap};
use crate::lab::{Fetch, FileServer, Lab, MARK, MOMENT, check, marked_file};
use crate::two_gateways::{HTTP, TwoGateways};

const LABEL: &str = "demo";
const OCTETS: u64 = 100_000_000;
const PINGS: u32 = 1_000;
const MILLISECOND: Duration = Duration::from_millis(1);

const PICTURE: &str = "
  site-a ──────── gw-a ════════ wan ════════ gw-b ──────── site-b
  10.1.0.2     192.0.2.1               198.51.100.1      10.2.0.2
          clear          ESP (RFC 4303)            clear
";

/// What of the wan's traffic is shown.
const SHOWN_PACKETS: &str = "4";

/// Metrics that are shown.
const SHOWN_METRICS: [&str; 4] = [
    "ravelin_packets_total{port=\"lan0\",verdict=\"protected\"",
    "ravelin_packets_total{port=\"lan0\",verdict=\"implicitly_denied\"",
    "ravelin_sa_packets_total",
    "ravelin_generation",
];

/// Runs the demo. With `keep` it is left running.
pub fn run(keep: bool) -> Result<()> {
    let ended = Lab::remove_kept(LABEL)?;
    let page = Page { colour: std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none() };
    if ended > 0 {
        page.say("ended the demo that was left running");
    }
    page.heading("Two sites, a Ravelin gateway at each, and a wan between them");
    println!("{PICTURE}");
    let begin = Instant::now();
    let stand = TwoGateways::start(LABEL)?;
    page.say(format!(
        "five network namespaces and four processes stand after {:.1} s",
        begin.elapsed().as_secs_f32()
    ));

    let mut demo = Demo { page, stand, shown: Vec::new() };
    demo.default_filters_deny()?;
    demo.a_policy_is_applied()?;
    let pcap = demo.traffic_passes()?;
    demo.the_wan_sees_only_esp(&pcap)?;
    demo.metrics_tell()?;
    demo.finish(keep)
}

/// Ends a demo that was left running.
pub fn end() -> Result<()> {
    match Lab::remove_kept(LABEL)? {
        0 => println!("no demo was left running"),
        _ => println!("the demo is gone"),
    }
    Ok(())
}

struct Demo {
    page: Page,
    stand: TwoGateways,
    /// Step and what was seen.
    shown: Vec<(&'static str, String)>,
}

impl Demo {
    fn step(&mut self, title: &'static str) {
        self.page.heading(&format!("{}. {title}", self.shown.len() + 1));
        self.shown.push((title, String::new()));
    }

    fn seen(&mut self, what: String) {
        self.page.say(&what);
        if let Some((_, seen)) = self.shown.last_mut() {
            *seen = what;
        }
    }

    fn default_filters_deny(&mut self) -> Result<()> {
        self.step("Default filters deny");
        let stand = &self.stand;
        self.page.command("site-a", format!("ping -c 5 -W 1 {}", stand.sites.b.site_v4));
        let answered = stand.ping_in_vain(stand.sites.b.site_v4, 5)?;
        let denied = stand.a.ended("implicitly_denied")?;
        ensure!(answered == 0 && denied >= 5, "without a policy {answered} of 5 pings were answered");
        self.seen(format!("5 pings, none answered; gw-a counts {denied} packets as denied"));
        Ok(())
    }

    fn a_policy_is_applied(&mut self) -> Result<()> {
        self.step("A policy is applied");
        self.page.command("gw-a, gw-b", "ravelin policy apply site-to-site.toml");
        let stand = &self.stand;
        println!("{}", indent(&stand.a.apply_policy()?));
        stand.protect()?;
        let status = stand.a.ask("status")?;
        ensure!(status["filters"] == "policy", "the policy is not in force: {status}");
        let (rules, took) = (status["rules"].clone(), status["publish_us"].clone());
        self.seen(format!("{rules} rules in force on every worker {took} µs after the decision"));
        Ok(())
    }

    fn traffic_passes(&mut self) -> Result<Pcap> {
        self.step("Ping and 100 MB through the tunnel");
        let stand = &self.stand;
        let served = stand.sites.lab.make_directory("served")?;
        let sum = marked_file(&served.join("file"), OCTETS)?;
        let server = FileServer::start(&stand.sites.lab, &stand.sites.b.site, &served, HTTP)?;
        let capture = stand.capture_wan("wan")?;
        self.page.command("site-a", format!("ping -c {PINGS} -i 0.001 {}", stand.sites.b.site_v4));
        let report = stand.ping(stand.sites.b.site_v4, PINGS, MILLISECOND)?;
        ensure!(report.is_perfect(), "pings were lost: {report:?}");
        let url = stand.url("file");
        self.page.command("site-a", format!("curl {url} | sha256sum"));
        let got = Fetch::new(&stand.sites.a.site, &url, &stand.sites.lab.file("got"))
            .run(120 * 1000 * MILLISECOND)?;
        ensure!(
            got.octets == OCTETS && got.sha256 == sum,
            "the file was not the same at the other end: {got:?}"
        );
        let rate = got.octets as f64 * 8.0 / 1e6 / got.took.as_secs_f64();
        // The pages stay up for whoever looks further.
        server.leave();
        let captured = capture.stop()?;
        self.seen(format!("{PINGS} of {PINGS} pings answered; 100 MB at {rate:.0} Mbit/s, SHA-256 equal"));
        Ok(captured.packets)
    }

    fn the_wan_sees_only_esp(&mut self, pcap: &Pcap) -> Result<()> {
        self.step("The wan sees only ESP");
        let lab = &self.stand.sites.lab;
        self.page.command("wan", format!("tcpdump -r wan.pcap -c {SHOWN_PACKETS} esp"));
        let mut tcpdump = std::process::Command::new("tcpdump");
        tcpdump.arg("-r").arg(lab.file("wan.pcap")).args(["-n", "-q", "-t", "-c", SHOWN_PACKETS, "esp"]);
        println!("{}", indent(&check(&mut tcpdump, MOMENT)?));
        let (esp, other, clear) =
            (pcap.count(Kind::Esp), pcap.count(Kind::Other), pcap.count_containing(MARK));
        ensure!(esp > 0 && other == 0 && clear == 0, "{other} packets are not ESP, {clear} hold cleartext");
        self.seen(format!(
            "{esp} packets, all ESP; \"cleartext canary\", of which the file is full, in none of them"
        ));
        Ok(())
    }

    fn metrics_tell(&mut self) -> Result<()> {
        self.step("The metrics tell it");
        self.page.command("gw-a", format!("curl http://{METRICS}/metrics"));
        let text = self.stand.a.scrape()?;
        let wanted = |line: &&str| SHOWN_METRICS.iter().any(|name| line.starts_with(name));
        let lines: Vec<&str> = text.lines().filter(wanted).collect();
        println!("{}", indent(&lines.join("\n")));
        let (sealed, replayed) = (self.stand.a.ended("protected")?, self.stand.b.ended("replayed")?);
        ensure!(sealed > 0, "the metrics know of no sealed packet");
        self.seen(format!("gw-a sealed {sealed} packets; gw-b dropped {replayed} as replayed"));
        Ok(())
    }

    fn finish(self, keep: bool) -> Result<()> {
        let Self { page, stand, shown } = self;
        page.heading("What was shown");
        let width = shown.iter().map(|(title, _)| title.chars().count()).max().unwrap_or(0);
        for (number, (title, seen)) in shown.iter().enumerate() {
            println!("  {}  {title:width$}  {seen}", number + 1);
        }
        page.heading("How to look further");
        if !keep {
            page.say("KEEP=1 make demo   leaves it running and says where to look");
            page.say("docs/operating.md  says what each verdict and metric means");
            return Ok(());
        }
        leave(&page, stand)
    }
}

fn leave(page: &Page, stand: TwoGateways) -> Result<()> {
    let enter = |name: &std::path::Path| format!("nsenter --net={}", name.display());
    let gateway = format!("{} {}", enter(&stand.a.namespace().path()), stand.a.command_prefix()?);
    for verb in ["status", "stats", "sa list", "filter list", "filter default"] {
        page.say(format!("{gateway} {verb}"));
    }
    page.say(format!("{} ping {}", enter(&stand.sites.a.site.path()), stand.sites.b.site_v4));
    page.say(format!("{} tcpdump -n -i {}", enter(&stand.sites.wan.path()), stand.sites.b.wan_interface()));
    page.say(format!("{} --end   ends it", std::env::current_exe()?.display()));
    let TwoGateways { a, b, sites } = stand;
    a.leave();
    b.leave();
    sites.lab.keep().context("leaving the demo running")?;
    Ok(())
}

/// Where and how it is shown.
struct Page {
    colour: bool,
}

impl Page {
    fn heading(&self, text: &str) {
        println!("\n{}", self.paint("1", text));
    }

    fn command(&self, place: &str, line: impl Display) {
        println!("  {} {line}", self.paint("36", &format!("{place} $")));
    }

    fn say(&self, text: impl Display) {
        println!("  {text}");
    }

    /// With an SGR code on a terminal, and plain elsewhere.
    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn indent(text: &str) -> String {
    text.trim_end().lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}
