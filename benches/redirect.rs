//! The redirect path of the release build beside a bare handler and nginx: `make bench`.
//!
//! # Why
//!
//! A machine changes its speed by a fifth for tens of seconds, so a number alone says little. The
//! servers take turns (the others are stopped meanwhile), and what counts is the ratio of
//! neighbouring rounds, with the CPU time of a request beside it.
//!
//! `cargo bench --bench redirect -- --seconds 2 --rounds 3` is a quick look. `--distributed`, or
//! the `URLSHORT_TEST_*` variables of `deploy/local/backends env`, adds a process on `PostgreSQL`,
//! Redis and Kafka. `URLSHORT_BENCH_MILLION=1` also fills the cache with a million links.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its table"
)]

#[path = "redirect/client.rs"]
mod client;
#[path = "redirect/far.rs"]
mod far;
#[path = "redirect/generator.rs"]
mod generator;
#[path = "redirect/load.rs"]
mod load;
#[path = "redirect/server.rs"]
mod server;

use std::env;
use std::error::Error;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use generator::Loadtest;
use load::Round;
use load::Wrk;
use server::Folder;
use server::Server;
use server::Servers;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How many links the load asks for.
const LINKS: usize = 10_000;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// What was asked for on the command line.
struct Options {
    seconds: u64,
    rounds: usize,
    distributed: bool,
    /// How long the steady rate is held, in seconds.
    steady_seconds: u64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        ["bare", port, workers] => server::serve_bare(port, workers),
        _ if !words.contains(&"--bench") => {
            eprintln!("SKIPPED: this measures only under `cargo bench`");
            Ok(())
        }
        _ => options(&words).and_then(|options| measure(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(words: &[&str]) -> Outcome<Options> {
    let mut options = Options {
        // The longest pause between two flushes of the counts: a turn pays for one, as a running
        // service does, and not for more.
        seconds: 15,
        rounds: 5,
        distributed: env::var_os("URLSHORT_TEST_POSTGRES_0").is_some(),
        steady_seconds: 60,
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut number = || -> Outcome<u64> {
            let number = words.next().and_then(|text| text.parse().ok());
            let number = number.filter(|number| *number > 0);
            Ok(number.ok_or_else(|| format!("{word} needs a number above 0"))?)
        };
        match *word {
            "--bench" => (),
            "--seconds" => options.seconds = number()?,
            "--rounds" => options.rounds = usize::try_from(number()?)?,
            "--steady-seconds" => options.steady_seconds = number()?,
            "--distributed" => options.distributed = true,
            other => return Err(format!("{other} is no option of this benchmark").into()),
        }
    }
    Ok(options)
}

fn measure(options: &Options) -> Outcome<()> {
    let folder = Folder::new()?;
    let wrk = Wrk::new(&folder, LINKS)?;
    println!("# Redirects\n");
    println!("{}\n", machine(options));
    rates(options, &folder, &wrk)?;
    println!("\n# Far hits: the near cache off, Redis on\n");
    far::hits(options, &folder, &wrk)?;
    println!("\n# The load test\n");
    load_tests(options, &folder, &wrk)?;
    println!("\n# Start and memory, embedded\n");
    start_and_memory(&folder)
}

fn machine(options: &Options) -> String {
    let model = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .map_or("unknown processor", |line| {
            line.trim_start_matches([' ', '\t', ':'])
        });
    format!(
        "{model}, {} cores, which the load shares; wrk -t2 -c64, {LINKS} links with skew, {} rounds of {} s.",
        server::workers(),
        options.rounds,
        options.seconds
    )
}

/// Lets every server take its turn in every round, and prints what came of it.
fn rates(options: &Options, folder: &Folder, wrk: &Wrk) -> Outcome<()> {
    let mut servers = Servers::default();
    servers.add(Server::bare()?);
    servers.add(Server::urlshort("urlshort, embedded", folder, &[])?);
    match Server::nginx(folder)? {
        Some(nginx) => servers.add(nginx),
        None => println!("nginx is not installed: its row is missing.\n"),
    }
    if options.distributed {
        servers.add(Server::distributed(folder)?);
    }
    for server in servers.all().iter().filter(|server| server.has_links()) {
        client::create_links(server.port(), LINKS)?;
    }
    let mut rounds: Vec<Vec<Round>> = servers.all().iter().map(|_| Vec::new()).collect();
    for n in 1..=options.rounds {
        eprintln!("round {n} of {}", options.rounds);
        for (server, rounds) in servers.all().iter().zip(&mut rounds) {
            servers.only(server)?;
            wrk.warm(server)?;
            rounds.push(wrk.run(server, Duration::from_secs(options.seconds))?);
        }
    }
    servers.resume()?;
    println!(
        "| server | requests/s | to the bare handler | CPU µs per request | user | kernel | RSS MiB |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    let bare: Vec<f64> = rounds
        .first()
        .into_iter()
        .flatten()
        .map(|round| round.rate)
        .collect();
    for (server, rounds) in servers.all().iter().zip(&rounds) {
        let of = |field: fn(&Round) -> f64| median(rounds.iter().map(field));
        let ratios: Vec<f64> = rounds
            .iter()
            .zip(&bare)
            .map(|(round, bare)| round.rate / bare)
            .collect();
        let low = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let high = ratios.iter().copied().fold(0.0, f64::max);
        println!(
            "| {} | {:.0} | {:.3} ({low:.3}–{high:.3}) | {:.2} | {:.2} | {:.2} | {:.1} |",
            server.name(),
            of(|round| round.rate),
            median(ratios.iter().copied()),
            of(|round| round.user_us + round.kernel_us),
            of(|round| round.user_us),
            of(|round| round.kernel_us),
            server.resident_mib()?,
        );
    }
    for (server, rounds) in servers.all().iter().zip(&rounds) {
        let middle = median(rounds.iter().map(|round| round.rate));
        if rounds
            .iter()
            .any(|round| (round.rate / middle - 1.0).abs() > 0.1)
        {
            println!(
                "\nA round of {} left its median by 10 %: repeat the series.",
                server.name()
            );
        }
    }
    Ok(())
}

/// What `urlshort loadtest` reaches, and what it sees at a steady rate.
fn load_tests(options: &Options, folder: &Folder, wrk: &Wrk) -> Outcome<()> {
    let loadtest = Loadtest::new(folder, LINKS)?;
    let embedded = Server::urlshort("urlshort, embedded again", folder, &[])?;
    client::create_links(embedded.port(), LINKS)?;
    client::follow_all(embedded.port(), LINKS)?;
    loadtest.beside_wrk(wrk, &embedded, (options.rounds, options.seconds))?;
    let seconds = options.steady_seconds;
    println!(
        "\n| 1,500 requests/s for {seconds} s | rate | p50 | p99 | errors | clicks counted | missing |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    loadtest.steady(&embedded, "1500", seconds)?;
    if options.distributed {
        drop(embedded);
        let distributed = Server::distributed(folder)?;
        client::create_links(distributed.port(), LINKS)?;
        loadtest.steady(&distributed, "1500", seconds)?;
    }
    Ok(())
}

/// From the start of the process to its first answer, and what it weighs.
fn start_and_memory(folder: &Folder) -> Outcome<()> {
    let (mut first, mut later) = (Vec::new(), Vec::new());
    let mut resident = Vec::new();
    for n in 0..5 {
        let name = format!("start-{n}");
        for times in [&mut first, &mut later] {
            let server = Server::urlshort(&name, folder, &[])?;
            times.push(server.started_in().as_secs_f64() * 1_000.0);
            // What runs behind the first answer has come to rest.
            thread::sleep(Duration::from_secs(1));
            resident.push(server.resident_mib()?);
        }
    }
    println!("| what | median |\n|---|--:|");
    println!(
        "| start to the first 200 of /livez, new data folder | {:.0} ms |",
        median(first)
    );
    println!(
        "| the same, existing data folder | {:.0} ms |",
        median(later)
    );
    println!("| RSS, idle | {:.1} MiB |", median(resident));
    if env::var_os("URLSHORT_BENCH_MILLION").is_some() {
        let gibibyte = ("URLSHORT__CACHE__NEAR_BYTES", "1073741824");
        let server = Server::urlshort("million", folder, &[gibibyte])?;
        client::create_links(server.port(), 1_000_000)?;
        let before = server.resident_mib()?;
        client::follow_all(server.port(), 1_000_000)?;
        println!("| RSS with 1,000,000 links made, none cached | {before:.1} MiB |");
        println!(
            "| RSS with all of them cached | {:.1} MiB |",
            server.resident_mib()?
        );
    }
    Ok(())
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
    if values.len() % 2 == 1 {
        at(middle)
    } else {
        f64::midpoint(at(middle.wrapping_sub(1)), at(middle))
    }
}
