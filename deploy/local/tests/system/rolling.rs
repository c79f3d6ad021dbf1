//! Putting new processes in the place of the gateway and of each service costs nobody a request or an order.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use deploy_local::load::{self, Users};
use deploy_local::loopback::free_port;
use deploy_local::system::{Catalog, Progress};
use deploy_local::{Part, System, tools};
use futures_util::future::try_join_all;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::harness::{self, SOON, http};

const USERS: usize = 40;
/// Requests a second, and so many that the last users' journeys, and new processes, may take of them.
const RATE: u32 = 50;
const NEARLY: f64 = 40.0;
/// Longer than all replacements take: what is begun late is seen through after them.
const LOAD: Duration = Duration::from_secs(60);

/// `run-gateway` in front of the system's services. It ends with its test.
struct Gateway {
    process: Child,
    folder: PathBuf,
    port: u16,
}

impl Gateway {
    async fn before(system: &System, folder: &Path) -> Self {
        let configured = fs::read_to_string(system.folder().path().join("envoy.yaml")).unwrap();
        let own = system.url(Part::Gateway);
        let (_, usual) = own.rsplit_once(':').unwrap();
        let (port, admin) = (free_port().unwrap(), free_port().unwrap());
        let rewritten = configured.replace(&format!("port_value: {usual}"), &format!("port_value: {port}"));
        let (before, after) = rewritten.split_once("admin:").unwrap();
        let (line, rest) = after.split_once("port_value: ").unwrap();
        let (_, rest) = rest.split_once(' ').unwrap();
        fs::write(
            folder.join("envoy.yaml"),
            format!("{before}admin:{line}port_value: {admin} {rest}"),
        )
        .unwrap();
        let process = Command::new(harness::binaries().join("run-gateway"))
            .args(["--drain-s", "3", "--linger-s", "25", "--base-id"])
            .arg((std::process::id() * 8 + 7).to_string())
            .arg("--envoy")
            .arg(tools::envoy().unwrap())
            .arg("--config")
            .arg(folder.join("envoy.yaml"))
            .arg("--admin-address-path")
            .arg(folder.join("admin"))
            .args(["--", "--concurrency", "2", "--log-level", "warning"])
            .stdin(Stdio::null())
            .stdout(File::create(folder.join("access.log")).unwrap())
            .stderr(File::create(folder.join("gateway.log")).unwrap())
            .spawn()
            .unwrap();
        let gateway = Self {
            process,
            folder: folder.to_owned(),
            port,
        };
        gateway.until_live(0).await;
        gateway
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.process.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits until this Envoy is the newest one, and serves.
    async fn until_live(&self, epoch: u32) {
        let deadline = Instant::now() + SOON;
        loop {
            let address = fs::read_to_string(self.folder.join("admin")).unwrap_or_default();
            if let Ok(answer) = http().get(format!("http://{address}/server_info")).send().await
                && let Ok(info) = answer.json::<Value>().await
                && info["state"] == "LIVE"
                && info["command_line_options"]["restart_epoch"] == epoch
            {
                return;
            }
            let said = fs::read_to_string(self.folder.join("gateway.log")).unwrap();
            assert!(Instant::now() < deadline, "{said}");
            sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if matches!(self.process.try_wait(), Ok(None)) {
            self.signal(Signal::TERM);
        }
        let _ = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replacing_the_gateway_and_each_service_under_load_costs_no_request_and_no_order() {
    let (temporary, folder) = harness::folder();
    let mut system = harness::system(&folder, Catalog::Demo).await;
    let gateway = Gateway::before(&system, temporary.path()).await;
    let names: Vec<_> = (0..USERS).map(|number| format!("user-{number}")).collect();
    let tokens = try_join_all(names.iter().map(|name| system.customer(name)));
    let tokens = tokens.await.unwrap_or_else(|error| panic!("{error:#}"));
    let load = load::run(load::Options {
        url: gateway.url(),
        users: Users::Tokens(tokens),
        duration: LOAD,
        // Nothing but the rate keeps a user, and the shop.
        pause: Duration::ZERO,
        rate: Some(RATE),
        payment_token: Some("pm_card_visa".to_owned()),
        seed: 20_261_120,
        progress: Progress::Hidden,
    });
    let replacing = async {
        let began = Instant::now();
        // In the reverse order of a start too, since each of them leans on another.
        for part in Part::SERVICES.into_iter().chain(Part::SERVICES.into_iter().rev()) {
            system.replace(part).await.unwrap_or_else(|error| panic!("{error:#}"));
        }
        gateway.signal(Signal::HUP);
        gateway.until_live(1).await;
        assert!(
            began.elapsed() < LOAD,
            "the load was over before everything was replaced"
        );
    };
    let (report, ()) = tokio::join!(load, replacing);
    let report = report.unwrap_or_else(|error| panic!("{error:#}"));
    println!("{report}");
    // Where a machine is too slow for that many, the users are all waiting for it.
    assert!(
        report.per_second > NEARLY || report.at_once * 10 >= 9 * u64::try_from(USERS).unwrap(),
        "{report}"
    );
    // An order that is not taken in yet is not known yet.
    let others = report
        .refusals
        .keys()
        .filter(|refusal| *refusal != "wait for the order: 404 not_found");
    assert!(report.holds() && others.count() == 0, "{report}");
    assert!(report.answers > 500 && report.orders["confirmed"] > 20, "{report}");
    for part in Part::SERVICES {
        let log = fs::read_to_string(folder.log(part.name())).unwrap();
        assert_eq!(log.matches("SIGTERM: stopping").count(), 2, "{log}");
    }
    drop(gateway);
    system.stop().await.unwrap();
}
