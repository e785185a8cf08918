//! What the shards come to together, by the table of `README.md` ("First start").

use std::collections::BTreeMap;
use std::collections::HashSet;

use serde_json::json;

use crate::commands::diagnose::finding::Finding;
use crate::commands::diagnose::finding::Remedy;
use crate::commands::diagnose::finding::millis;
use crate::commands::diagnose::shards::Look;
use crate::commands::diagnose::shards::Verdict;
use crate::slots::SLOTS;
use crate::slots::SlotMap;
use crate::store::clock::SKEW_WARNING;
use crate::store::rows::ClusterRow;
use crate::store::shard::Sighting;

const CLUSTER: &str = "cluster";

/// Judges every shard by what all of them say.
pub(super) fn judge(looks: &[Look]) -> (Vec<Finding>, Verdict) {
    let known: Vec<Known<'_>> = looks.iter().filter_map(Known::of).collect();
    if known.is_empty() {
        return not_started(looks);
    }
    let map = known.iter().filter_map(Known::map).max_by_key(|m| m.epoch);
    let ids: HashSet<&str> = known.iter().map(|k| k.row.shard_id.as_str()).collect();
    let missing: Vec<&str> = map.as_ref().map_or_else(Vec::new, |map| {
        let owners = map.shards.iter().map(|shard| shard.id.as_str());
        owners
            .filter(|id| !ids.contains(id) && !map.slots_of(id).is_empty())
            .collect()
    });
    let n_away = looks.iter().filter(|look| look.answer.is_err()).count();
    let n_empty = looks.len() - known.len() - n_away;
    let mut findings: Vec<Finding> = looks
        .iter()
        .map(|look| match (&look.answer, Known::of(look)) {
            (Err(why), _) => away(look, why),
            (Ok(_), Some(known)) => known.finding(),
            (Ok(_), None) => {
                let fresh = known.iter().all(|known| !known.seen.has_links);
                empty(look, missing.len(), n_away, fresh)
            }
        })
        .collect();
    let contradictions = contradictions(&known);
    let lacks_owner = missing.len() > n_away + n_empty;
    let refused = lacks_owner || !contradictions.is_empty();
    // Whose slots they are cannot be told before that is mended.
    let slots = contradictions.is_empty().then(|| slots(&known));
    findings.extend(contradictions);
    if lacks_owner {
        let what = format!(
            "the configuration lacks shards that own slots: {}",
            missing.join(", ")
        );
        let remedy = Remedy::new(
            "the list of shards is shorter than the cluster's own",
            "add their URLs to [[shards]] again; `serve` refuses to start without them",
            "urlshort diagnose --offline",
        );
        findings.push(Finding::fail(CLUSTER, what, remedy));
    }
    findings.extend(slots);
    let verdict = if refused {
        Verdict::Broken
    } else {
        Verdict::Usable
    };
    (findings, verdict)
}

/// A shard that has an identity.
struct Known<'look> {
    look: &'look Look,
    seen: &'look Sighting,
    row: &'look ClusterRow,
}

impl<'look> Known<'look> {
    fn of(look: &'look Look) -> Option<Self> {
        let seen = look.answer.as_ref().ok()?.as_ref()?;
        let row = seen.identity.as_ref()?;
        Some(Self { look, seen, row })
    }

    fn map(&self) -> Option<SlotMap> {
        serde_json::from_str(self.seen.map.as_ref()?).ok()
    }

    fn n_slots(&self) -> usize {
        self.seen.slots.iter().filter(|slot| slot.active).count()
    }

    fn finding(&self) -> Finding {
        let (name, newest) = (&self.look.name, self.look.newest_schema);
        let (schema, latency) = (self.seen.schema, millis(self.look.latency));
        let skew = self.look.skew / 1_000;
        let n_slots = self.n_slots();
        let finding = if self.look.skew.abs() > SKEW_WARNING {
            Finding::warn(
                name,
                format!("this machine's clock is {skew} ms ahead of the database's"),
                Remedy::new(
                    "one of the two machines does not follow a time server",
                    "synchronise the clocks, here and there",
                    "timedatectl status",
                ),
            )
        } else if schema < newest {
            Finding::warn(
                name,
                format!("has schema {schema}, and this release wants {newest}"),
                Remedy::new(
                    "a migration of this release was not applied there",
                    "apply the migrations: they never stop older processes",
                    "urlshort migrate",
                ),
            )
        } else if schema > newest {
            Finding::warn(
                name,
                format!("has schema {schema}, made by a newer release than this one ({newest})"),
                Remedy::new(
                    "this program is older than the cluster",
                    "update this program",
                    "urlshort --version",
                ),
            )
        } else {
            Finding::ok(
                name,
                format!("{n_slots} slots, schema {schema}, {latency} ms"),
            )
        };
        finding.with(json!({
            "cluster_id": self.row.cluster_id, "shard_id": self.row.shard_id,
            "ordinal": self.row.ordinal, "generation": self.row.generation,
            "schema": schema, "slots": n_slots, "latency_ms": latency, "clock_skew_ms": skew,
        }))
    }
}

fn away(look: &Look, remedy: &Remedy) -> Finding {
    let what = "does not answer; its links answer 503 unless they are cached";
    Finding::fail(&look.name, what, remedy.clone())
}

/// Nobody has an identity.
fn not_started(looks: &[Look]) -> (Vec<Finding>, Verdict) {
    let n_away = looks.iter().filter(|look| look.answer.is_err()).count();
    let finding = |look: &Look| match &look.answer {
        Err(why) => away(look, why),
        Ok(seen) => {
            let what = match seen {
                None => "not started yet: there is no file",
                Some(_) => "not started yet: an empty database",
            };
            let remedy = if n_away == 0 {
                Remedy::new(
                    "nobody has started a process on it",
                    "start one: it makes the cluster",
                    "urlshort serve",
                )
            } else {
                Remedy::new(
                    "a new cluster needs every shard once",
                    "bring back the shards that do not answer, then start",
                    "urlshort diagnose --watch",
                )
            };
            Finding::warn(&look.name, what, remedy)
        }
    };
    let verdict = if n_away == 0 {
        Verdict::NotStarted
    } else {
        Verdict::Broken
    };
    (looks.iter().map(finding).collect(), verdict)
}

/// An empty database beside others that are not.
fn empty(look: &Look, n_missing: usize, n_away: usize, fresh: bool) -> Finding {
    let name = &look.name;
    if n_missing > n_away && fresh {
        let what = "empty, and the cluster has a shard there, but no link yet";
        let remedy = Remedy::new(
            "its first start was interrupted",
            "start again: that ends the first start",
            "urlshort serve",
        );
        Finding::warn(name, what, remedy)
    } else if n_missing > n_away {
        let what = "an empty database where the cluster has a shard";
        let remedy = Remedy::new(
            "its data was lost, or the URL leads to another database",
            "restore its backup there, or correct its URL; then run `urlshort migrate --restored`",
            "urlshort diagnose --offline",
        );
        Finding::fail(name, what, remedy)
    } else if n_missing > 0 {
        let what = "empty, and it cannot be judged while a shard is away";
        let remedy = Remedy::new(
            "the shard that is away may be the one that belongs here",
            "bring back the shard that does not answer",
            "urlshort diagnose --watch",
        );
        Finding::warn(name, what, remedy)
    } else {
        let what = "empty: it joins the cluster with the next start, without slots";
        let remedy = Remedy::new(
            "it was added to the list since the last start",
            "let it join",
            "urlshort migrate",
        );
        Finding::warn(name, what, remedy)
    }
}

/// What `serve` refuses to start with.
fn contradictions(known: &[Known<'_>]) -> Vec<Finding> {
    let mut clusters: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut shards: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for member in known {
        let name = member.look.name.as_str();
        clusters
            .entry(&member.row.cluster_id)
            .or_default()
            .push(name);
        shards.entry(&member.row.shard_id).or_default().push(name);
    }
    if clusters.len() > 1 {
        let parts: Vec<String> = clusters
            .iter()
            .map(|(id, names)| format!("{} of cluster {id}", names.join(" and ")))
            .collect();
        let what = format!("different clusters: {}", parts.join("; "));
        let remedy = Remedy::new(
            "one of the URLs leads to another deployment's database",
            "configure the shards of one cluster",
            "urlshort diagnose --offline",
        );
        return vec![Finding::fail(CLUSTER, what, remedy)];
    }
    shards
        .into_iter()
        .filter(|(_, names)| names.len() > 1)
        .map(|(id, names)| {
            let what = format!("{} are both the shard {id}", names.join(" and "));
            let remedy = Remedy::new(
                "two URLs lead to one database, or one is a copy of the other",
                "take the copy out of the configuration",
                "urlshort diagnose --offline",
            );
            Finding::fail(CLUSTER, what, remedy)
        })
        .collect()
}

/// Whether every slot has one owner that answers.
fn slots(known: &[Known<'_>]) -> Finding {
    let mut owners = vec![0_usize; usize::from(SLOTS)];
    for slot in known.iter().flat_map(|known| &known.seen.slots) {
        if slot.active
            && let Some(n) = owners.get_mut(slot.slot.index())
        {
            *n += 1;
        }
    }
    let numbers = |wanted: fn(usize) -> bool| -> Vec<usize> {
        let found = owners.iter().enumerate().filter(|(_, n)| wanted(**n));
        found.map(|(slot, _)| slot).collect()
    };
    let (none, several) = (numbers(|n| n == 0), numbers(|n| n > 1));
    let facts = json!({"slots": SLOTS, "without_owner": none, "with_several_owners": several});
    let finding = if !none.is_empty() {
        let n = none.len();
        let what = format!("{n} of {SLOTS} slots have no owner that answers");
        let remedy = Remedy::new(
            "the shards that own them do not answer, or are not in the configuration",
            "bring them back; each says above why it is away",
            "urlshort diagnose --watch",
        );
        Finding::fail("slots", what, remedy)
    } else if !several.is_empty() {
        let what = format!("{} slots have two owners", several.len());
        let remedy = Remedy::new(
            "a shard was restored from before it gave slots away",
            "demote the owner with the lower epoch",
            "urlshort migrate",
        );
        Finding::warn("slots", what, remedy)
    } else {
        Finding::ok("slots", format!("all {SLOTS} have one owner"))
    };
    finding.with(facts)
}
