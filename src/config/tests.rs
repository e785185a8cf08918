//! The layers together: what wins, what is refused, and who is blamed.

use std::time::Duration;

use super::*;

/// Loads `file` and `pairs` of the environment.
fn loaded(file: &str, pairs: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
    let environment = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    parse(Some(("my.toml", file)), environment, Vec::new())
}

#[track_caller]
fn check_env(pairs: &[(&str, &str)], key: &str, expected: (&str, &str)) {
    check_shown(&loaded("", pairs).unwrap(), key, expected);
}

#[track_caller]
fn check_shown(loaded: &Loaded, key: &str, expected: (&str, &str)) {
    let all = loaded.effective();
    let setting = all.iter().find(|setting| setting.key == key).unwrap();
    assert_eq!(
        (setting.value.as_str(), setting.source.to_string().as_str()),
        expected
    );
}

#[track_caller]
fn check_refused(file: &str, pairs: &[(&str, &str)], complaints: &[(&str, &str, &str)]) {
    let error = loaded(file, pairs).unwrap_err();
    let got = error.complaints();
    assert_eq!(got.len(), complaints.len(), "{error}");
    for (complaint, (key, problem, source)) in got.iter().zip(complaints) {
        assert_eq!(complaint.key, *key);
        assert!(complaint.problem.contains(problem), "{complaint}");
        assert_eq!(complaint.source.to_string(), *source, "{complaint}");
    }
}

#[test]
fn the_compiled_in_file_holds_the_documented_defaults() {
    let config = parse(None, std::iter::empty(), Vec::new()).unwrap().config;
    assert_eq!(config.http.listen.to_string(), "0.0.0.0:8000");
    assert_eq!(config.http.public_url, None);
    assert_eq!(config.http.workers, None);
    let proxies: Vec<_> = config
        .http
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(proxies, ["127.0.0.0/8", "::1/128"]);
    assert!(config.http.expose_metrics);
    assert_eq!(config.admin.listen.to_string(), "127.0.0.1:8001");
    assert_eq!(config.data_dir.to_str(), Some("data"));
    let shard = ShardConfig {
        url: ShardUrl::Sqlite("data/shard-0.db".into()),
        weight: 1.0,
    };
    assert_eq!(config.shards, [shard]);
    assert_eq!(config.cache.redis, None);
    assert_eq!(config.cache.near_bytes, 64 << 20);
    assert_eq!(config.cache.stale, Duration::from_secs(86_400));
    assert!(config.events.kafka_brokers.is_empty());
    assert_eq!(config.events.topic, "urlshort.clicks");
    assert_eq!(config.events.ack, Ack::Queued);
    assert_eq!(config.events.drain, Duration::from_millis(5));
    assert!(!config.events.fsync);
    assert_eq!(config.events.spool_bytes, 1 << 30);
    assert_eq!(config.auth.admin_key, None);
    assert!(config.auth.anonymous_create && config.auth.public_stats);
    assert_eq!(config.limits.anonymous_creates_per_minute, 60);
    assert_eq!(config.limits.misses_per_minute, 600);
    assert_eq!(config.classify.model_dir, None);
    assert!(config.classify.blocklists.is_empty() && !config.classify.fetch);
    assert_eq!(config.classify.sweep, Duration::from_secs(5));
    assert_eq!(config.classify.topic, "urlshort.links");
    assert!(!config.links.allow_private_targets);
    assert_eq!(config.links.permanent_max_age, 60);
    assert_eq!(config.log.level, "info");
    assert_eq!(config.log.format, LogFormat::Auto);
    assert_eq!(config.stop.delay, Duration::ZERO);
    assert_eq!(config.stop.ship, Duration::from_secs(10));
}

#[test]
fn the_compiled_in_file_mentions_every_key() {
    for key in KEYS {
        let name = key.name.rsplit('.').next().unwrap();
        let mentioned = DEFAULTS.lines().any(|line| {
            line.trim_start_matches("# ")
                .starts_with(&format!("{name} = "))
        });
        assert!(mentioned, "{}", key.name);
    }
}

#[test]
fn a_stronger_layer_wins() {
    let file = "[http]\nlisten = '1.1.1.1:1'\n[admin]\nlisten = '1.1.1.1:2'";
    let pairs = [("URLSHORT__HTTP__LISTEN".to_owned(), "2.2.2.2:2".to_owned())];
    let flags = vec![("log.level".to_owned(), "DEBUG".to_owned())];
    let loaded = parse(Some(("my.toml", file)), pairs.into_iter(), flags).unwrap();
    check_shown(
        &loaded,
        "http.listen",
        ("2.2.2.2:2", "URLSHORT__HTTP__LISTEN"),
    );
    check_shown(&loaded, "admin.listen", ("1.1.1.1:2", "my.toml"));
    check_shown(&loaded, "log.level", ("DEBUG", "command line"));
    check_shown(&loaded, "log.format", ("auto", "default"));
    check_shown(&loaded, "http.workers", ("", "default"));
    assert_eq!(loaded.config.log.level, "debug");
}

#[test]
fn the_flat_names_work_as_they_are() {
    let host = ("REDIS_HOST", "redis");
    check_env(
        &[host],
        "cache.redis_url",
        ("redis://redis:6379", "REDIS_HOST"),
    );
    let both = [host, ("REDIS_PORT", "1")];
    check_env(&both, "cache.redis_url", ("redis://redis:1", "REDIS_HOST"));
    check_env(
        &[("REDIS_HOST", "::1")],
        "cache.redis_url",
        ("redis://[::1]:6379", "REDIS_HOST"),
    );
    let stronger = ("URLSHORT__CACHE__REDIS_URL", "redis://:pw@other:1");
    let shown = ("redis://:***@other:1", "URLSHORT__CACHE__REDIS_URL");
    check_env(&[host, stronger], "cache.redis_url", shown);
    let kafka = ("KAFKA_BOOTSTRAP_SERVERS", "a:1, b:2");
    check_env(
        &[kafka],
        "events.kafka_brokers",
        ("a:1, b:2", "KAFKA_BOOTSTRAP_SERVERS"),
    );
    assert_eq!(
        loaded("", &[kafka]).unwrap().config.events.kafka_brokers,
        ["a:1", "b:2"]
    );
    check_env(
        &[("URLSHORT__DATA_DIR", "/d")],
        "data_dir",
        ("/d", "URLSHORT__DATA_DIR"),
    );
    check_env(
        &[("REDIS_HOST", ""), ("URLSHORT__OLD", " ")],
        "cache.redis_url",
        ("", "default"),
    );
    check_env(
        &[("URLSHORT_TEST_PG", "x"), ("HOME", "/")],
        "log.level",
        ("info", "default"),
    );
}

#[test]
fn a_list_of_the_environment_has_commas_and_no_brackets() {
    let key = "URLSHORT__CLASSIFY__BLOCKLISTS";
    let loaded = loaded("", &[(key, "/a.txt, /b.txt")]).unwrap();
    let lists = &loaded.config.classify.blocklists;
    assert_eq!(lists, &[Path::new("/a.txt"), Path::new("/b.txt")]);
    check_refused(
        "",
        &[(key, r#"["/a.txt"]"#)],
        &[("classify.blocklists", "as in the file", key)],
    );
}

#[test]
fn flat_shards_replace_the_list_of_the_file() {
    let file = "[[shards]]\nurl = 'sqlite:a.db'\n[[shards]]\nurl = 'sqlite:b.db'\nweight = 2";
    let config = loaded(file, &[]).unwrap().config;
    assert_eq!(
        config.shards.iter().map(|shard| shard.weight).sum::<f64>(),
        3.0
    );
    let many: Vec<_> = (0..12)
        .map(|n| {
            (
                format!("DB_SHARD_{n}_URL"),
                format!("postgres://u:pw@h{n}/d"),
            )
        })
        .collect();
    let loaded = parse(Some(("my.toml", file)), many.into_iter(), Vec::new()).unwrap();
    assert_eq!(loaded.config.shards.len(), 12);
    check_shown(
        &loaded,
        "shards[11].url",
        ("postgres://u:***@h11:5432/d", "DB_SHARD_11_URL"),
    );
    assert!(!format!("{:?}", loaded.effective()).contains("pw"));
}

#[test]
fn shards_that_cannot_be_meant_are_refused() {
    let zero = ("DB_SHARD_0_URL", "postgres://u:pw@h/d");
    let two = ("DB_SHARD_2_URL", "postgres://h2/d");
    let three = ("DB_SHARD_3_URL", "postgres://h3/d");
    let gap = ("DB_SHARD_1_URL", "DB_SHARD_2_URL is set", "DB_SHARD_1_URL");
    check_refused("", &[zero, two, three], &[gap]);
    check_refused("", &[zero, ("DB_SHARD_1_URL", ""), two, three], &[gap]);
    let twice = ("DB_SHARD_1_URL", "postgresql+asyncpg://other@H:5432/d");
    check_refused(
        "",
        &[zero, twice],
        &[("shards[1].url", "shards[0]", "DB_SHARD_1_URL")],
    );
    let odd = ("DB_SHARD_01_URL", "plain number", "DB_SHARD_01_URL");
    check_refused("", &[zero, ("DB_SHARD_01_URL", "postgres://h1/d")], &[odd]);
    let file = "[[shards]]\nurl = 'sqlite:a'\nweight = 0\nsize = 1\n[[shards]]\n[[shards]]\nurl = 'sqlite:./a'";
    let complaints = [
        ("shards[0].size", "no key", "my.toml"),
        ("shards[0].weight", "out of bounds", "my.toml"),
        ("shards[1].url", "missing", "my.toml"),
        ("shards[2].url", "shards[0]", "my.toml"),
    ];
    check_refused(file, &[], &complaints);
}

#[test]
fn every_fault_is_named_in_one_run() {
    let file = "data_dir = ''\nfoo = 1\n[http]\nlisten = 'localhost'\nworkers = 0\ntrusted_proxies = ['x', '10.0.0.1']\n\
                expose_metrics = 'yes'\n[events]\ntopic = 'a b'\nkafka_brokers = 'a'\ndrain_ms = 0\n[log]\nlevel = 'loud'\ntypo = 1";
    let pairs = [
        ("URLSHORT__HTTP__PORT", "1"),
        ("URLSHORT__AUTH__ADMIN_KEY", "short"),
    ];
    let complaints = [
        ("foo", "no key", "my.toml"),
        ("log.typo", "no key", "my.toml"),
        ("URLSHORT__HTTP__PORT", "no key", "URLSHORT__HTTP__PORT"),
        ("data_dir", "empty", "my.toml"),
        ("http.workers", "is 0", "my.toml"),
        ("http.listen", "localhost", "my.toml"),
        ("http.trusted_proxies", "\"x\"", "my.toml"),
        ("http.expose_metrics", "is a text", "my.toml"),
        ("events.kafka_brokers", "\"a\"", "my.toml"),
        ("events.topic", "Kafka", "my.toml"),
        ("events.drain_ms", "is 0", "my.toml"),
        (
            "auth.admin_key",
            "5 characters",
            "URLSHORT__AUTH__ADMIN_KEY",
        ),
        ("log.level", "loud", "my.toml"),
    ];
    check_refused(file, &pairs, &complaints);
    let shown = loaded(file, &pairs).unwrap_err().to_string();
    assert_eq!(shown.lines().count(), complaints.len());
}

#[test]
fn clicks_and_links_do_not_share_a_topic() {
    let pairs = [("URLSHORT__CLASSIFY__TOPIC", "urlshort.clicks")];
    let complaint = (
        "classify.topic",
        "of the clicks too",
        "URLSHORT__CLASSIFY__TOPIC",
    );
    check_refused("", &pairs, &[complaint]);
}

#[test]
fn what_cannot_go_together_is_refused() {
    let port = [("REDIS_PORT", "6379")];
    check_refused(
        "",
        &port,
        &[("REDIS_PORT", "without REDIS_HOST", "REDIS_PORT")],
    );
    let kubernetes = [("REDIS_HOST", "r"), ("REDIS_PORT", "tcp://10.0.0.1:6379")];
    check_refused("", &kubernetes, &[("REDIS_PORT", "no port", "REDIS_PORT")]);
    let commas = [("KAFKA_BOOTSTRAP_SERVERS", " ,,")];
    let complaint = ("events.kafka_brokers", "no name", "KAFKA_BOOTSTRAP_SERVERS");
    check_refused("", &commas, &[complaint]);
    let same = [("URLSHORT__ADMIN__LISTEN", "127.0.0.1:8000")];
    let complaint = ("admin.listen", "http.listen", "URLSHORT__ADMIN__LISTEN");
    check_refused("", &same, &[complaint]);
    check_refused("= 1", &[], &[("my.toml", "no TOML", "my.toml")]);
    let unquoted = loaded("[auth]\nadmin_key = hunter2", &[])
        .unwrap_err()
        .to_string();
    assert!(
        unquoted.contains("line 2") && !unquoted.contains("hunter2"),
        "{unquoted}"
    );
    let missing = load(
        Some(Path::new("/no/such.toml")),
        std::iter::empty(),
        Vec::new(),
    );
    assert_eq!(missing.unwrap_err().complaints().len(), 1);
}

#[test]
fn a_secret_may_come_from_a_file() {
    let path = std::env::temp_dir().join(format!("urlshort-config-{}", std::process::id()));
    fs::write(&path, "  a-key-of-more-than-thirty-two-characters\n").unwrap();
    let name = path.to_str().unwrap();
    let pair = ("URLSHORT__AUTH__ADMIN_KEY_FILE", name);
    check_env(
        &[pair],
        "auth.admin_key",
        ("***", "URLSHORT__AUTH__ADMIN_KEY_FILE"),
    );
    let key = loaded("", &[pair]).unwrap().config.auth.admin_key.unwrap();
    assert_eq!(key.expose(), "a-key-of-more-than-thirty-two-characters");
    let plain = ("URLSHORT__AUTH__ADMIN_KEY", "x");
    let both = (pair.0, "both set", pair.0);
    check_refused("", &[pair, plain], &[both]);
    fs::remove_file(&path).unwrap();
    let absent = (
        "DB_SHARD_0_URL_FILE",
        "cannot be read",
        "DB_SHARD_0_URL_FILE",
    );
    check_refused("", &[("DB_SHARD_0_URL_FILE", name)], &[absent]);
}
