//! The chart, by helm and kubeconform, and what it renders against the program.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::files;
use crate::process::Folder;

const CHART: &str = "deploy/helm/urlshort";

/// The least that must be given, and everything that can be turned on.
pub(crate) const LEAST: &str = "shards.existingSecret=links";
pub(crate) const ALL: &str = "shards.urls={postgres://u:p@a/x,postgres://u:p@b/x},redis.url=redis-cluster://r:6379,\
     kafka.bootstrapServers=k0:9092,auth.existingSecret=key,publicUrl=https://sho.rt,\
     config.cache\\.near_bytes=268435456,config.events\\.ack=spooled,analytics.autoscaling.enabled=true,\
     classify.autoscaling.enabled=true,classify.podDisruptionBudget.enabled=true,\
     classify.modelClaim=model,ingress.enabled=true,ingress.host=sho.rt,ingress.tlsSecret=tls,\
     networkPolicy.enabled=true,metrics.serviceMonitor.enabled=true,\
     metrics.prometheusRule.enabled=true";

pub(crate) struct Helm(PathBuf);

impl Helm {
    pub(crate) fn found() -> Option<Self> {
        files::tool("helm").map(Self)
    }

    pub(crate) fn command(&self, words: &[&str], set: &str) -> Command {
        let mut command = Command::new(&self.0);
        command
            .args(words)
            .arg(files::path(CHART))
            .args(["--kube-version", "1.31.0"]);
        command.args(["--set", set]);
        command
    }

    pub(crate) fn rendered(&self, set: &str) -> String {
        files::run(&mut self.command(&["template", "links"], set))
    }
}

/// The objects of a rendered chart.
pub(crate) fn objects(text: &str) -> Vec<Value> {
    let parts = text
        .split("\n---\n")
        .map(|part| part.trim_start_matches("---\n"));
    parts
        .map(|part| files::parse(part).unwrap_or_else(|error| panic!("{error}:\n{part}")))
        .filter(Value::is_object)
        .collect()
}

#[track_caller]
pub(crate) fn named<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

fn kinds(objects: &[Value]) -> BTreeSet<&str> {
    objects
        .iter()
        .filter_map(|object| object["kind"].as_str())
        .collect()
}

#[test]
fn helm_and_kubernetes_take_the_chart() {
    let (Some(helm), Some(kubeconform)) = (Helm::found(), files::tool("kubeconform")) else {
        return;
    };
    let schemas = kubeconform.parent().unwrap().with_file_name("kubernetes");
    let other = "shards.existingSecret=x,kafka.bootstrapServers=k:9092,classify.enabled=false,\
         serve.autoscaling.enabled=false,migrate.enabled=false,networkPolicy.enabled=true";
    for set in [LEAST, ALL, other] {
        files::run(&mut helm.command(&["lint", "--strict"], set));
        let folder = Folder::new();
        let file = folder.0.join("rendered.yaml");
        fs::write(&file, helm.rendered(set)).unwrap();
        let mut command = Command::new(&kubeconform);
        command.args(["-strict", "-summary", "-schema-location"]);
        command.arg(format!(
            "{}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json",
            schemas.display()
        ));
        // The operator's own kinds; the rules in them are checked by promtool.
        command
            .args(["-skip", "ServiceMonitor,PrometheusRule"])
            .arg(&file);
        let summary = files::run(&mut command);
        assert!(summary.contains("Invalid: 0, Errors: 0"), "{summary}");
        assert!(!summary.contains("Valid: 0"), "{summary}");
    }
}

#[test]
fn the_chart_has_what_is_due() {
    let Some(helm) = Helm::found() else {
        return;
    };
    let all = objects(&helm.rendered(ALL));
    let least = objects(&helm.rendered(LEAST));
    for kind in [
        "NetworkPolicy",
        "ServiceMonitor",
        "PrometheusRule",
        "Ingress",
        "Secret",
    ] {
        assert!(
            kinds(&all).contains(kind) && !kinds(&least).contains(kind),
            "{kind}"
        );
    }
    for kind in [
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "StatefulSet",
        "Job",
        "Service",
    ] {
        assert!(kinds(&least).contains(kind), "{kind}");
    }
    let serve = named(&all, "StatefulSet", "links-urlshort-serve");
    assert_eq!(
        serve["spec"]["volumeClaimTemplates"][0]["metadata"]["name"],
        "spool"
    );
    named(&all, "Deployment", "links-urlshort-analytics");
    named(&all, "Deployment", "links-urlshort-classify");
    // Without Kafka there is nothing for it to do, and it would end at once.
    assert!(!least.iter().any(
        |object| object["metadata"]["name"] == "links-urlshort-analytics"
            && object["kind"] == "Deployment"
    ));
    let job = named(&all, "Job", "links-urlshort-migrate");
    assert_eq!(
        job["metadata"]["annotations"]["helm.sh/hook"],
        "pre-install,pre-upgrade"
    );
    let scaler = named(&all, "HorizontalPodAutoscaler", "links-urlshort-serve");
    assert_eq!(scaler["spec"]["scaleTargetRef"]["kind"], "StatefulSet");
    // As compose has it: the same job names, so that dashboards and alerts fit.
    let monitor = named(&all, "ServiceMonitor", "links-urlshort-serve");
    assert_eq!(
        monitor["spec"]["endpoints"][0]["relabelings"][0]["replacement"],
        "urlshort-app"
    );
}

/// The pods of a rendered chart: the name of the role, and its specification.
pub(crate) fn pods(objects: &[Value]) -> BTreeMap<String, &Value> {
    let mut pods = BTreeMap::new();
    for object in objects {
        let spec = &object["spec"]["template"]["spec"];
        if let Some(containers) = spec["containers"].as_array() {
            pods.insert(containers[0]["name"].as_str().unwrap().to_owned(), spec);
        }
    }
    pods
}

#[test]
fn every_command_variable_and_port_of_a_pod_is_the_programs() {
    let Some(helm) = Helm::found() else {
        return;
    };
    let all = objects(&helm.rendered(ALL));
    let folder = Folder::new();
    for (name, spec) in pods(&all) {
        let container = &spec["containers"][0];
        let command = files::texts(&container["args"]);
        let later = name == "classify" && !files::has_command("classify");
        assert!(later || files::has_command(&command[0]), "{command:?}");
        let mut program = Command::new(env!("CARGO_BIN_EXE_urlshort"));
        program
            .args(["diagnose", "--offline", "--json"])
            .env_clear()
            .current_dir(&folder.0);
        for variable in container["env"].as_array().unwrap() {
            let key = variable["name"].as_str().unwrap();
            if later && key.starts_with("URLSHORT__CLASSIFY__") {
                continue;
            }
            // What comes from a secret is a long text here.
            let value = variable["value"]
                .as_str()
                .unwrap_or("0123456789abcdef0123456789abcdef");
            let value = match value.strip_prefix("/run/secrets/shards/") {
                Some(file) => {
                    let path = folder.0.join(file);
                    fs::write(&path, format!("postgres://u:p@{file}/x")).unwrap();
                    path.display().to_string()
                }
                None => value.to_owned(),
            };
            program.env(key, value);
        }
        let printed = files::run(&mut program);
        assert!(
            printed.contains("268435456") && printed.contains("spooled"),
            "{name}: {printed}"
        );
        if name == "serve" {
            let ports: Vec<u64> = container["ports"]
                .as_array()
                .unwrap()
                .iter()
                .map(|port| port["containerPort"].as_u64().unwrap())
                .collect();
            assert_eq!(ports, [8000, 8001]);
        }
    }
}

#[test]
fn every_pod_is_hardened_probed_and_given_time() {
    let Some(helm) = Helm::found() else {
        return;
    };
    let all = objects(&helm.rendered(ALL));
    let pods = pods(&all);
    assert_eq!(pods.len(), 4, "{:?}", pods.keys());
    for (name, spec) in &pods {
        let container = &spec["containers"][0];
        assert_eq!(spec["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(
            spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault",
            "{name}"
        );
        assert_eq!(
            container["securityContext"]["readOnlyRootFilesystem"], true,
            "{name}"
        );
        assert_eq!(
            container["securityContext"]["allowPrivilegeEscalation"], false,
            "{name}"
        );
        // Kubernetes would set REDIS_PORT=tcp://… for a service of that name.
        assert_eq!(spec["enableServiceLinks"], false, "{name}");
        assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
        assert!(
            container["resources"]["limits"]["memory"].is_string(),
            "{name}"
        );
        assert!(
            container["resources"]["limits"]["cpu"].is_null(),
            "{name} is throttled"
        );
        if name != "migrate" {
            assert_eq!(
                container["livenessProbe"]["httpGet"]["path"], "/livez",
                "{name}"
            );
            // A start that waits for its shards is not killed for it.
            for (probe, path) in [("startupProbe", "/livez"), ("readinessProbe", "/readyz")] {
                assert_eq!(container[probe]["httpGet"]["path"], path, "{name}: {probe}");
            }
            assert!(spec["topologySpreadConstraints"].is_array(), "{name}");
        }
    }
    let serve = pods["serve"];
    let seconds = |value: &Value| value.as_u64().unwrap();
    let sleep = seconds(&serve["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]);
    // The delay, and what a stop may take at worst after it (compose_checks.rs).
    assert!(seconds(&serve["terminationGracePeriodSeconds"]) > sleep + 5 + 55);
}

#[test]
fn the_rules_of_the_chart_are_those_of_compose() {
    for file in files::list("deploy/prometheus/rules", ".yml") {
        let name = file.rsplit('/').next().unwrap();
        let copy = format!("{CHART}/rules/{name}");
        let same = files::text(&copy) == files::text(&file);
        assert!(same, "cp {file} {copy}");
    }
    let Some(helm) = Helm::found() else {
        return;
    };
    let all = objects(&helm.rendered(ALL));
    let rules = named(&all, "PrometheusRule", "links-urlshort");
    let groups = rules["spec"]["groups"].as_array().unwrap();
    let n_groups: usize = files::list("deploy/prometheus/rules", ".yml")
        .iter()
        .map(|file| files::yaml(file)["groups"].as_array().unwrap().len())
        .sum();
    assert_eq!(groups.len(), n_groups);
    let text = rules.to_string();
    assert!(
        text.contains("{{ $labels.instance }}"),
        "templates of alerts stay as they are"
    );
}
