//! The load: wrk with a script that asks for some links more often than for others.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::Outcome;
use crate::server::Cpu;
use crate::server::Folder;
use crate::server::Server;

/// A load generator that is installed, and its script.
pub(crate) struct Wrk {
    script: PathBuf,
}

/// What one server did in one round.
pub(crate) struct Round {
    /// Requests per second.
    pub(crate) rate: f64,
    /// User time of a request in microseconds.
    pub(crate) user_us: f64,
    /// Kernel time of a request in microseconds.
    pub(crate) kernel_us: f64,
}

impl Wrk {
    /// Writes the script for the links `b0` to `b<links - 1>`.
    pub(crate) fn new(folder: &Folder, links: usize) -> Outcome<Self> {
        if Command::new("wrk").arg("--version").output().is_err() {
            return Err(
                "wrk is not installed: `apt install wrk`, `brew install wrk`, or \
                        https://github.com/wg/wrk"
                    .into(),
            );
        }
        let script = folder.path("load.lua");
        // The square of an even draw: one link in a hundred takes a tenth of the requests. The
        // requests are made before the load begins, and are the same for every server.
        let text = format!(
            r#"
local requests = {{}}
local thread_number = 0
function setup(thread)
  thread:set("seed", 4711 + thread_number)
  thread_number = thread_number + 1
end
function init(args)
  math.randomseed(seed)
  wrk.headers["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
  wrk.headers["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
  wrk.headers["Accept-Language"] = "en-GB,en;q=0.5"
  for n = 0, {last} do
    requests[n] = wrk.format("GET", "/b" .. n)
  end
end
function request()
  local draw = math.random()
  return requests[math.floor(draw * draw * {links})]
end
"#,
            last = links.saturating_sub(1)
        );
        fs::write(&script, text)?;
        Ok(Self { script })
    }

    /// Drives one server for a second, so that its caches and connections are warm. The first
    /// second of all after a start may fail on a machine that is still starting databases.
    pub(crate) fn warm(&self, server: &Server) -> Outcome<()> {
        let second = Duration::from_secs(1);
        if let Err(flaw) = self.run(server, second) {
            eprintln!("{flaw}\nnot warm yet: once more");
            self.run(server, second)?;
        }
        Ok(())
    }

    /// Drives one server for a while; every answer must be a redirect.
    pub(crate) fn run(&self, server: &Server, length: Duration) -> Outcome<Round> {
        let before = server.cpu()?;
        let output = Command::new("wrk")
            .args(["-t2", "-c64", &format!("-d{}s", length.as_secs()), "-s"])
            .arg(&self.script)
            .arg(format!("http://127.0.0.1:{}/", server.port()))
            .output()?;
        let after = server.cpu()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let flawed = text
            .lines()
            .find(|line| line.contains("Non-2xx") || line.contains("Socket errors"));
        if let Some(flaw) = flawed {
            let (name, told) = (server.name(), server.testimony());
            return Err(format!("{name}: {}{told}", flaw.trim()).into());
        }
        let rate = number_after(&text, "Requests/sec:");
        let requests = text.lines().find_map(|line| {
            line.split_once(" requests in ")?
                .0
                .trim()
                .parse::<u32>()
                .ok()
        });
        let (Some(rate), Some(requests)) = (rate, requests.filter(|count| *count > 0)) else {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{}: wrk says {text}{said}", server.name()).into());
        };
        let per_request = |time: fn(&Cpu) -> Duration| {
            time(&after).saturating_sub(time(&before)).as_secs_f64() * 1e6 / f64::from(requests)
        };
        Ok(Round {
            rate,
            user_us: per_request(|cpu| cpu.user),
            kernel_us: per_request(|cpu| cpu.kernel),
        })
    }
}

fn number_after(text: &str, label: &str) -> Option<f64> {
    let (_, after) = text.split_once(label)?;
    after.split_whitespace().next()?.parse().ok()
}
