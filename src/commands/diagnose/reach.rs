//! Why a server does not answer: its name, its port, or the process behind it.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::net::lookup_host;
use tokio::time::timeout;

use crate::commands::diagnose::shell;

/// How long one step may take.
const STEP: Duration = Duration::from_secs(1);

/// How far a connection comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// No address belongs to the name.
    NoName(String),
    /// The machine answers, and nobody listens at the port.
    Refused,
    /// No packet comes back.
    NoPacket,
    /// The system says something else.
    Failed(String),
    /// Somebody accepts the connection.
    Accepted,
}

/// What is the matter with a server, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Away {
    /// Why it does not answer.
    pub(super) cause: String,
    /// An imperative; the caller knows which setting it is about.
    pub(super) next: String,
    /// What to type where that shows more than a client of the server does.
    pub(super) command: Option<String>,
}

/// Connects to `host`, once, within 2 s.
pub(super) async fn reach(host: &str, port: u16) -> Reach {
    let bare = host.trim_matches(['[', ']']);
    let addresses: Vec<_> = match timeout(STEP, lookup_host((bare, port))).await {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => return Reach::NoName(error.to_string()),
        Err(_) => return Reach::NoName("the name server is silent".to_owned()),
    };
    match timeout(STEP, TcpStream::connect(&addresses[..])).await {
        Ok(Ok(_)) => Reach::Accepted,
        Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => Reach::Refused,
        Ok(Err(error)) => Reach::Failed(error.to_string()),
        Err(_) => Reach::NoPacket,
    }
}

/// Why none of `addresses` answers, whose client said `told`, if it said anything; `setting` is what
/// names them.
pub(super) async fn explain_all(
    addresses: &[(String, u16)],
    told: Option<&str>,
    setting: &str,
) -> Away {
    let asked = addresses.iter().map(|(host, port)| async move {
        let reached = reach(host, *port).await;
        reached.explain(host, *port, told, setting)
    });
    let away = futures_util::future::join_all(asked).await;
    let causes: Vec<String> = away.iter().map(|away| away.cause.clone()).collect();
    let first = away.into_iter().next().unwrap_or_else(|| Away {
        cause: String::new(),
        next: format!("correct {setting}"),
        command: None,
    });
    Away {
        cause: causes.join("; "),
        ..first
    }
}

impl Reach {
    /// What that means for the server at `host`, whose client said `told`, if it said anything.
    /// `setting` is what names the server.
    pub(super) fn explain(self, host: &str, port: u16, told: Option<&str>, setting: &str) -> Away {
        let at = format!("{host}:{port}");
        let away = |cause: String, next: String| Away {
            cause,
            next,
            command: None,
        };
        match self {
            Self::NoName(why) => Away {
                cause: format!("the name {host} has no address: {why}"),
                next: format!("correct {setting}, or the name server"),
                command: Some(format!("getent hosts {}", shell::quoted(host))),
            },
            Self::Refused => away(
                format!("{at} refuses connections: the machine is up, and nothing listens there"),
                format!("start the server there, or correct {setting}"),
            ),
            Self::NoPacket => away(
                format!("{at} does not react: the machine is down, or a firewall drops packets"),
                format!("look at that machine and the network, or correct {setting}"),
            ),
            Self::Failed(why) => away(
                format!("{at} cannot be reached: {why}"),
                format!("look at the network, or correct {setting}"),
            ),
            Self::Accepted => match told.filter(|told| !is_silence(told)) {
                None => away(
                    format!(
                        "{at} accepts connections and then says nothing: the process is frozen or overloaded, or another kind of server"
                    ),
                    format!(
                        "look at the process and its log on {host}, and restart it if it stays silent"
                    ),
                ),
                Some(told) => away(
                    format!("{at} answers: {told}"),
                    format!("look at its log, or correct {setting}"),
                ),
            },
        }
    }
}

/// Whether a client only says that its patience ended. They have no common type for it.
fn is_silence(told: &str) -> bool {
    let told = told.to_ascii_lowercase();
    ["timed out", "timeout", "no answer within"]
        .iter()
        .any(|words| told.contains(words))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn each_way_to_be_away_is_told_from_the_others() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(reach("127.0.0.1", port).await, Reach::Accepted);
        drop(listener);
        assert_eq!(reach("127.0.0.1", port).await, Reach::Refused);
        let nobody = reach("no-such-host.invalid", port).await;
        assert!(matches!(nobody, Reach::NoName(_)), "{nobody:?}");
    }

    #[test]
    fn who_accepts_and_is_silent_is_frozen_and_who_speaks_is_quoted() {
        let silent = Reach::Accepted.explain("h", 1, None, "REDIS_HOST");
        assert!(silent.cause.contains("frozen"), "{silent:?}");
        for patience in ["Timeout Error: Request timed out.", "no answer within 2s"] {
            let away = Reach::Accepted.explain("h", 1, Some(patience), "REDIS_HOST");
            assert!(away.cause.contains("frozen"), "{away:?}");
        }
        let spoke = Reach::Accepted.explain("h", 1, Some("NOAUTH"), "REDIS_HOST");
        assert!(spoke.cause.ends_with("NOAUTH"), "{spoke:?}");
        assert!(spoke.next.contains("REDIS_HOST"), "{spoke:?}");
    }
}
