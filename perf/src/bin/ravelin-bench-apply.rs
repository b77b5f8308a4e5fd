//! `make bench-apply`: how long a change of one rule among many takes to be in force while packets pass, and where the time goes.
//! Needs root.

use std::fmt::Write;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use ravelin_perf::foreign::{program, workspace};
use ravelin_perf::gateway::Gateway;
use ravelin_perf::lab::{TwoSites, check};
use serde_json::json;

/// Longest that one command may take.
const LONGEST: Duration = Duration::from_secs(300);
/// Between two packets that pass meanwhile.
const INTERVAL: Duration = Duration::from_millis(1);

/// Measures.
#[derive(Debug, Parser)]
struct Arguments {
    /// Rules of the policy.
    #[arg(long, default_value_t = 100_000)]
    rules: usize,
    /// Changes of one of them.
    #[arg(long, default_value_t = 5)]
    changes: usize,
}

fn main() -> Result<()> {
    let Arguments { rules, changes } = Arguments::parse();
    let sites = TwoSites::build("apply")?;
    sites.b.gateway.forward(true)?;
    let more = "[workers]\ncount = 1\n";
    let mut gateway = Gateway::lay_out(&sites.lab, &sites.a.gateway, "gw-a", "site-to-site/gw-a", more)?;
    gateway.start()?;
    let file = gateway.file("many.toml");
    fs::write(&file, policy(rules, 0))?;
    let first = timed(&gateway, "policy apply many.toml")?;
    println!("{rules} rules for the first time: {:.3} s", first.0);
    sites.wait_for_traffic(LONGEST)?;

    let pings = u32::try_from(changes)? * 20_000;
    let ping = sites.start_ping(sites.b.site_v4, pings, INTERVAL)?;
    let mut rows = Vec::new();
    for change in 1..=changes {
        fs::write(&file, policy(rules, change))?;
        let (checked, _) = timed(&gateway, "--config ravelin.toml policy check many.toml")?;
        let (applied, answer) = timed(&gateway, "policy apply many.toml")?;
        let workers = answer["took_us"].as_f64().context("no took_us")? / 1e6;
        println!(
            "change {change}: check {checked:.3} s, apply {applied:.3} s, of that until workers had it {workers:.6} s"
        );
        rows.push(json!({ "check_s": checked, "apply_s": applied, "workers_s": workers }));
    }
    let report = ping.report()?;
    let lost = report.sent - report.received;
    println!("{lost} of {} pings lost", report.sent);
    let written =
        json!({ "rules": rules, "first_s": first.0, "changes": rows, "pings": report.sent, "lost": lost });
    let folder = workspace().join("target/bench");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join("apply.json"), serde_json::to_string_pretty(&written)? + "\n")?;
    println!("wrote {}", folder.join("apply.json").display());
    Ok(())
}

/// Many rules that nothing meets, one of them changed so often, and one behind them by which the sites speak.
fn policy(rules: usize, change: usize) -> String {
    let mut text = String::new();
    for number in 0..rules {
        let (high, middle, low) = (number >> 16, (number >> 8) & 255, number & 255);
        let port = if number == rules / 2 { 1000 + change } else { 443 };
        // Writing into a text cannot fail.
        let _ = write!(
            text,
            "[[rule]]\nname = \"r{number}\"\nsource = \"172.{}.{middle}.{low}\"\nprotocol = \"tcp\"\ndestination_port = {port}\n\
             routing = \"routed\"\naction = \"deny\"\n",
            16 + high
        );
    }
    text + "[[rule]]\nname = \"sites\"\nsource = \"10.1.0.0/24\"\ndestination = \"10.2.0.0/24\"\naction = \"permit\"\n"
}

/// Seconds that a command of the operator takes, and its answer.
fn timed(gateway: &Gateway, words: &str) -> Result<(f64, serde_json::Value)> {
    let mut command = gateway.namespace().command(program("ravelin")?);
    command.current_dir(gateway.file("."));
    command.arg("--json").arg("--socket").arg(gateway.file("control.sock")).args(words.split(' '));
    let begun = Instant::now();
    let said = check(&mut command, LONGEST)?;
    let took = begun.elapsed().as_secs_f64();
    ensure!(!said.is_empty(), "{words}: no answer");
    Ok((took, serde_json::from_str(&said)?))
}
