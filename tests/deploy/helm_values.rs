//! What the values of the chart do: what they refuse, and what they bring and take away.

use serde_json::Value;

use crate::files;
use crate::helm::ALL;
use crate::helm::Helm;
use crate::helm::LEAST;
use crate::helm::named;
use crate::helm::objects;
use crate::helm::pods;

#[test]
fn what_must_be_given_or_cannot_be_is_refused() {
    let Some(helm) = Helm::found() else {
        return;
    };
    for (set, problem) in [
        ("serve.replicas=2", "shards"),
        ("shards.existingSecret=x,serve.replicas=-1", "replicas"),
        ("shards.existingSecret=x,shards.count=65", "count"),
        ("shards.existingSecret=x,serv.replicas=2", "serv"),
        ("shards.urls={mysql://x}", "urls"),
        (
            "shards.existingSecret=x,ingress.enabled=true",
            "ingress.host",
        ),
        ("shards.existingSecret=x,redis.url=http://x", "redis"),
        (
            "shards.existingSecret=x,kafka.bootstrapServers=k0",
            "bootstrapServers",
        ),
        ("shards.existingSecret=x,serve.spool.size=big", "size"),
        (
            "shards.existingSecret=x,trustedProxies={everybody}",
            "trustedProxies",
        ),
        // What contradicts each other.
        (
            "shards.existingSecret=x,serve.autoscaling.minReplicas=20",
            "minReplicas 20 is above maxReplicas 10",
        ),
        (
            "shards.existingSecret=x,serve.stopDelaySeconds=60",
            "terminationGracePeriodSeconds: 90 is not more than the 120 s",
        ),
        (
            "shards.existingSecret=x,config.stop\\.ship_seconds=60",
            "terminationGracePeriodSeconds",
        ),
        (
            "shards.existingSecret=x,publicUrl=https://a.b,ingress.enabled=true,ingress.host=c.d",
            "its host a.b is not ingress.host c.d",
        ),
    ] {
        let done = helm.command(&["template", "links"], set).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success(), "{set} was taken");
        assert!(said.contains(problem), "{set}: {said}");
    }
}

/// Whole numbers of a file come to helm as floats, and large ones of them with an exponent.
#[test]
fn numbers_of_the_configuration_arrive_as_they_were_written() {
    let Some(helm) = Helm::found() else {
        return;
    };
    let mut command = helm.command(&["template", "links"], LEAST);
    let config =
        r#"config={"cache.near_bytes": 268435456, "links.some_share": 0.25, "events.fsync": true}"#;
    let text = files::run(command.args(["--set-json", config]));
    let found = objects(&text);
    let environment = pods(&found)["serve"]["containers"][0]["env"].clone();
    let of = |name: &str| {
        let mut all = environment.as_array().unwrap().iter();
        all.find(|variable| variable["name"] == name).unwrap()["value"].clone()
    };
    assert_eq!(of("URLSHORT__CACHE__NEAR_BYTES"), "268435456");
    assert_eq!(of("URLSHORT__LINKS__SOME_SHARE"), "0.25");
    assert_eq!(of("URLSHORT__EVENTS__FSYNC"), "true");
}

/// What a role needs is there with it, and gone with it.
#[test]
fn every_role_that_runs_has_all_of_its_own_and_no_other_has_any() {
    let Some(helm) = Helm::found() else {
        return;
    };
    let on = "networkPolicy.enabled=true,metrics.serviceMonitor.enabled=true";
    let without = format!("{LEAST},{on},classify.enabled=false,serve.preStopSeconds=0");
    let without = objects(&helm.rendered(&without));
    let with = objects(&helm.rendered(ALL));
    for role in ["analytics", "classify"] {
        let name = format!("links-urlshort-{role}");
        assert!(
            !without
                .iter()
                .any(|one| one["metadata"]["name"] == name.as_str())
        );
        for kind in ["Deployment", "Service", "NetworkPolicy", "ServiceMonitor"] {
            named(&with, kind, &name);
        }
    }
    // Zero seconds of sleep are none that Kubernetes knows.
    let serve = pods(&without)["serve"]["containers"][0]["lifecycle"].clone();
    assert!(serve.is_null(), "{serve}");
    // Migrations run before anything else is there: what lets them through is there before them.
    let policy = named(&with, "NetworkPolicy", "links-urlshort-migrate");
    let weight = |object: &Value| {
        let weight = object["metadata"]["annotations"]["helm.sh/hook-weight"].as_str();
        weight.unwrap().parse::<i32>().unwrap()
    };
    let job = named(&with, "Job", "links-urlshort-migrate");
    let secret = named(&with, "Secret", "links-urlshort-shards");
    assert!(weight(policy) < weight(job) && weight(secret) < weight(job));
    // Other addresses of shards are other pods.
    let mark = |set: &str| {
        let found = objects(&helm.rendered(set));
        let serve = named(&found, "StatefulSet", "links-urlshort-serve");
        serve["spec"]["template"]["metadata"]["annotations"]["urlshort/shards"].clone()
    };
    let one = "shards.urls={postgres://u:p@a/x}";
    assert_eq!(mark(one), mark(one));
    assert_ne!(mark(one), mark("shards.urls={postgres://u:p@b/x}"));
}
