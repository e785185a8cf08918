//! What Linux says of this process, under the names every dashboard knows.

use std::fmt::Write as _;
use std::fs;

/// Ticks per second in `/proc`: fixed to 100 for user space on every architecture we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The process metrics as Prometheus text; what `/proc` does not tell is left out.
pub(super) fn render() -> String {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let mut text = String::new();
    let help = "CPU time of this process.";
    add(
        &mut text,
        "process_cpu_seconds_total",
        "counter",
        help,
        cpu_seconds(&stat),
    );
    let help = "Memory in use.";
    add(
        &mut text,
        "process_resident_memory_bytes",
        "gauge",
        help,
        resident_bytes(),
    );
    let help = "Open file descriptors.";
    add(&mut text, "process_open_fds", "gauge", help, open_files());
    let help = "File descriptors that may be open.";
    add(&mut text, "process_max_fds", "gauge", help, open_limit());
    let help = "Threads.";
    add(
        &mut text,
        "process_threads",
        "gauge",
        help,
        field(&stat, 20),
    );
    let help = "Address space.";
    add(
        &mut text,
        "process_virtual_memory_bytes",
        "gauge",
        help,
        field(&stat, 23),
    );
    let (received, sent) = network_bytes().unzip();
    let help = "Bytes received in the network namespace of this process.";
    let name = "process_network_receive_bytes_total";
    add(&mut text, name, "counter", help, received);
    let help = "Bytes sent in the network namespace of this process.";
    let name = "process_network_transmit_bytes_total";
    add(&mut text, name, "counter", help, sent);
    let help = "Start of this process, since the epoch.";
    add(
        &mut text,
        "process_start_time_seconds",
        "gauge",
        help,
        start_seconds(&stat),
    );
    text
}

fn add(text: &mut String, name: &str, kind: &str, help: &str, value: Option<f64>) {
    if let Some(value) = value {
        writeln!(
            text,
            "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}"
        )
        .expect("a String takes every write");
    }
}

/// A field of `/proc/self/stat` by its number in proc(5), from 3 on.
fn field(stat: &str, number: usize) -> Option<f64> {
    // The second field is the program's name and may hold spaces and brackets.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace()
        .nth(number.checked_sub(3)?)?
        .parse()
        .ok()
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, 14)? + field(stat, 15)?) / TICKS_PER_SECOND)
}

fn start_seconds(stat: &str) -> Option<f64> {
    let system = fs::read_to_string("/proc/stat").ok()?;
    let boot = system
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?;
    Some(boot.trim().parse::<f64>().ok()? + field(stat, 22)? / TICKS_PER_SECOND)
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? * 1024.0)
}

fn open_files() -> Option<f64> {
    // One of them is the folder that is being read.
    let count = fs::read_dir("/proc/self/fd")
        .ok()?
        .count()
        .saturating_sub(1);
    u32::try_from(count).ok().map(f64::from)
}

fn open_limit() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// What all interfaces but the loopback received and sent: in a container, this process alone.
fn network_bytes() -> Option<(f64, f64)> {
    Some(sum_interfaces(
        &fs::read_to_string("/proc/self/net/dev").ok()?,
    ))
}

fn sum_interfaces(table: &str) -> (f64, f64) {
    let interfaces = table.lines().filter_map(|line| line.split_once(':'));
    let figures = interfaces
        .filter(|(name, _)| name.trim() != "lo")
        .filter_map(|(_, figures)| {
            let mut figures = figures.split_whitespace();
            let received: f64 = figures.next()?.parse().ok()?;
            let sent: f64 = figures.nth(7)?.parse().ok()?;
            Some((received, sent))
        });
    figures.fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_brackets_moves_no_field() {
        let stat = "7 (a b) c) S 4 5 6 7 8 9 10 11 12 13 140 60 16 17 18 19 20 21 2200 23";
        assert_eq!(field(stat, 22), Some(2200.0));
        assert_eq!(cpu_seconds(stat), Some(2.0));
        assert_eq!(field("", 14), None);
    }

    #[test]
    fn the_network_is_all_interfaces_but_the_loopback() {
        let table = "Inter-| Receive | Transmit\n face |bytes packets|bytes packets\n\
            lo: 9 1 0 0 0 0 0 0 9 1 0 0 0 0 0 0\n\
            eth0: 100 2 0 0 0 0 0 0 30 4 0 0 0 0 0 0\n\
            eth1:5 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n";
        assert_eq!(sum_interfaces(table), (105.0, 37.0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_tells_everything() {
        let text = render();
        for name in [
            "\nprocess_cpu_seconds_total ",
            "\nprocess_resident_memory_bytes ",
            "\nprocess_open_fds ",
            "\nprocess_max_fds ",
            "\nprocess_threads ",
            "\nprocess_virtual_memory_bytes ",
            "\nprocess_network_receive_bytes_total ",
            "\nprocess_network_transmit_bytes_total ",
            "\nprocess_start_time_seconds ",
        ] {
            assert!(text.contains(name), "{name} in {text}");
        }
    }
}
