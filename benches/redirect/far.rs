//! Redirects that only the far cache answers, beside what Redis itself gives to as many
//! connections.

use std::env;
use std::process::Command;
use std::time::Duration;

use crate::LINKS;
use crate::Options;
use crate::Outcome;
use crate::client;
use crate::load::Wrk;
use crate::median;
use crate::server::Folder;
use crate::server::Server;
use crate::server::Servers;

/// Questions of one turn of `redis-benchmark`.
const QUESTIONS: &str = "300000";

/// Prints the rates of both and their ratio; nothing but a note where one of them is missing.
pub(crate) fn hits(options: &Options, folder: &Folder, wrk: &Wrk) -> Outcome<()> {
    let Ok(redis) = env::var("URLSHORT_TEST_REDIS") else {
        println!("No Redis: eval \"$(deploy/local/backends env)\" names one.");
        return Ok(());
    };
    if Command::new("redis-benchmark")
        .arg("--version")
        .output()
        .is_err()
    {
        println!("redis-benchmark is not installed (Debian's redis-tools has it).");
        return Ok(());
    }
    let variables = [
        ("URLSHORT__CACHE__NEAR_BYTES", "0"),
        ("URLSHORT__CACHE__REDIS_URL", redis.as_str()),
    ];
    let mut servers = Servers::default();
    servers.add(Server::urlshort("urlshort, far hits", folder, &variables)?);
    let server = servers.all().first().ok_or("no server")?;
    client::create_links(server.port(), LINKS)?;
    client::follow_all(server.port(), LINKS)?;
    let (mut ours, mut theirs, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for n in 1..=options.rounds {
        eprintln!("round {n} of {}, far hits", options.rounds);
        let round = wrk.run(server, Duration::from_secs(5))?;
        ours.push(round.rate);
        cpu.push(round.user_us + round.kernel_us);
        servers.pause()?;
        theirs.push(ask_redis(&redis)?);
        servers.resume()?;
    }
    let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs);
    let far = client::metric(server.port(), "urlshort_redirects_total", "tier=\"far\"")?;
    let all = client::metric(server.port(), "urlshort_redirects_total", "")?;
    println!("| what | per second | CPU µs per request |\n|---|--:|--:|");
    println!(
        "| urlshort without its near cache, {:.1} % of the redirects from Redis | {:.0} | {:.2} |",
        far / all * 100.0,
        median(ours.iter().copied()),
        median(cpu.iter().copied())
    );
    println!(
        "| redis-benchmark -P 1 -t get, 64 connections | {:.0} | |",
        median(theirs.iter().copied())
    );
    println!("| ratio | {:.3} | |", median(ratios));
    Ok(())
}

/// What Redis gives to 64 connections that each wait for their answer.
fn ask_redis(url: &str) -> Outcome<f64> {
    let place = url.strip_prefix("redis://").unwrap_or(url);
    let place = place.rsplit('@').next().unwrap_or(place);
    let place = place.split('/').next().unwrap_or(place);
    let (host, port) = place.rsplit_once(':').unwrap_or((place, "6379"));
    let output = Command::new("redis-benchmark")
        .args(["-h", host, "-p", port, "-P", "1", "-c", "64"])
        .args(["-n", QUESTIONS, "-t", "get", "--csv"])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let rate = text.lines().find_map(|line| {
        let rest = line.strip_prefix("\"GET\",\"")?;
        rest.split('"').next()?.parse::<f64>().ok()
    });
    Ok(rate.ok_or_else(|| format!("redis-benchmark says {text}"))?)
}
