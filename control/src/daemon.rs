//! The control process: open the doors, recover the policy, watch the packet process.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use ravelin_config::appliance::Appliance;
use ravelin_events::tell;
use ravelin_rings::store::Rings;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::agent::Agent;
use crate::api::door::{Door, Peer};
use crate::api::limit::Limited;
use crate::api::server::{self, Doors};
use crate::attls;
use crate::ike;
use crate::io::dataplane::Dataplane;
use crate::policy::files::Paths;
use crate::policy::management::Site;
use crate::report::certificates::Certificates;

/// Runs until SIGTERM or SIGINT. SIGHUP applies the configured files again.
pub async fn run(config: &Path, json: bool) -> anyhow::Result<()> {
    let (appliance, notes) = Appliance::load(config).map_err(|f| anyhow::anyhow!("{}", f.render(false)))?;
    let mut log = appliance.log.clone();
    log.json |= json;
    let _log = ravelin_log::start(&log, "ravelin-control").context("the log")?;
    notes.iter().for_each(|note| tell!(CONFIG_NOTE, %note));
    forbid_core_dumps().context("core dumps")?;
    lock_memory();
    let rings = Rings::at(&appliance.control.rings);
    let (ike, doorway) = ike::door().context("the door of IKE")?;
    let (attls, tls_doorway) = attls::door(&rings);
    let agent = Arc::new(agent(&appliance, (ike, attls)));
    ike::start(&agent.ike, doorway, &agent.dataplane, places(&appliance), &rings)
        .context("the thread of IKE")?;
    attls::start(&agent.attls, tls_doorway, &agent.dataplane).context("the threads of TLS")?;
    let door = Door::open(&appliance.control.socket, appliance.control.allow.clone())
        .with_context(|| format!("control socket {}", appliance.control.socket.display()))?;
    let doors = Arc::new(Doors::default());
    let api = tokio::spawn(
        axum::serve(
            Limited::new(door, Doors::OPERATOR, Arc::clone(&doors.operator)),
            server::operator(Arc::clone(&agent)).into_make_service_with_connect_info::<Peer>(),
        )
        .into_future(),
    );
    let certificates = Arc::new(Certificates::new(rings));
    let scraper = metrics(&appliance, &agent, doors, Arc::clone(&certificates)).await?;
    let expiry = tokio::spawn(certificates.watch());
    let watch = Arc::clone(&agent);
    let life = tokio::spawn(async move {
        watch.recover().await;
        let files = tokio::spawn(Arc::clone(&watch).watch_files(appliance.policy.watch));
        watch.watch().await;
        files.abort();
    });
    tell!(CONTROL_READY, socket = %appliance.control.socket.display());
    until_stopped(&agent).await?;
    [Some(api.abort_handle()), scraper, Some(life.abort_handle()), Some(expiry.abort_handle())]
        .into_iter()
        .flatten()
        .for_each(|t| t.abort());
    Ok(())
}

/// Keeps keys out of core files, and out of reach of other processes of the same user.
fn forbid_core_dumps() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Keeps keys out of the swap. Only where all of this process may be locked: below a limit, memory asked for later would
/// be refused.
fn lock_memory() {
    use rustix::mm::{MlockAllFlags, mlockall};
    use rustix::process::{Resource, getrlimit};
    use rustix::thread::{CapabilitySet, capabilities};
    let capable = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    let may = capable || getrlimit(Resource::Memlock).current.is_none();
    let flags = MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT;
    if !may || mlockall(flags).is_err() {
        tell!(MEMORY_NOT_LOCKED);
    }
}

fn agent(appliance: &Appliance, doors: (ike::Door, attls::Door)) -> Agent {
    let control = &appliance.control;
    let files = Paths::of(control);
    let dataplane = Dataplane::new(&appliance.dataplane.socket);
    let kept = (&*appliance.dataplane.state.join("control"), appliance.policy.keep);
    Agent::new(dataplane, files, site(appliance), kept, doors)
}

/// Where IKE SAs are kept for the next run: records in the state directory, their key where it does not outlive the machine's.
fn places(appliance: &Appliance) -> ike::Places {
    let run = appliance.control.socket.parent().unwrap_or(Path::new("."));
    ike::Places { records: appliance.dataplane.state.join("control/ike"), key: run.join("ike.key") }
}

/// Default filters that cannot be read stop the packet process at its start; here they leave one question unasked.
fn site(appliance: &Appliance) -> Site {
    match Site::of(appliance) {
        Ok((site, notes)) => {
            notes.iter().for_each(|note| tell!(CONFIG_NOTE, %note));
            site
        }
        Err(findings) => {
            tell!(LOCK_OUT_NOT_ASKED, %findings);
            Site { zones: appliance.zones(), managed: None }
        }
    }
}

async fn metrics(
    appliance: &Appliance,
    agent: &Arc<Agent>,
    doors: Arc<Doors>,
    certificates: Arc<Certificates>,
) -> anyhow::Result<Option<tokio::task::AbortHandle>> {
    let Some(address) = appliance.control.metrics else { return Ok(None) };
    let listener = TcpListener::bind(address).await.with_context(|| format!("metrics address {address}"))?;
    let limited = Limited::new(listener, Doors::SCRAPER, Arc::clone(&doors.scraper));
    let task = tokio::spawn(
        axum::serve(limited, server::scraper(Arc::clone(agent), doors, certificates)).into_future(),
    );
    tell!(METRICS, %address);
    Ok(Some(task.abort_handle()))
}

async fn until_stopped(agent: &Arc<Agent>) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => agent.reload().await,
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_core_file_is_left() {
        super::forbid_core_dumps().unwrap();
        assert_eq!(rustix::process::getrlimit(rustix::process::Resource::Core).current, Some(0));
    }
}
