//! What stands in Redis may have been written by anybody.

use std::time::Duration;

use crate::process;
use crate::process::Environment;
use crate::process::Folder;
use crate::process::until;
use crate::servers;
use crate::servers::Redis;

/// Puts other bytes where some were within a value; answers whether they were there.
const REPLACE: &str = "local value = redis.call('GET', KEYS[1]) or '' \
     local first, last = string.find(value, ARGV[1], 1, true) \
     if not first then return 0 end \
     redis.call('SET', KEYS[1], string.sub(value, 1, first - 1) .. ARGV[2] .. string.sub(value, last + 1)) \
     return 1";

#[test]
fn a_forged_value_leads_nobody_where_no_link_may_lead() {
    let (Some(redis), Some(database)) = (Redis::start(), servers::database(0)) else {
        return;
    };
    let folder = Folder::new();
    let environment = Environment::default()
        .with("DB_SHARD_0_URL", database)
        .with("REDIS_HOST", "127.0.0.1")
        .with("REDIS_PORT", redis.port)
        .with("URLSHORT__CACHE__NEAR_BYTES", 0);
    let serve = process::serve(&folder.0, &environment);
    serve.ready();
    let mut client = serve.client();
    let target = format!("https://example.com/{}", "a".repeat(40));
    let body = format!("{{\"long_url\":\"{target}\",\"code\":\"forged\"}}");
    assert_eq!(client.post("/api/v1/links", &body).unwrap().status, 201);
    // One that the policy allows shows that the value is what is followed.
    let other = "https://example.org/";
    for begins in [
        other,
        "javascript:alert(1)//",
        "http://127.0.0.1/",
        "http://printer.local/",
        "https://me:pw@example.com/",
        "https://example.com:0/",
    ] {
        let forged = format!("{begins}{}", "a".repeat(target.len() - begins.len()));
        until("Redis holds the link", Duration::from_secs(10), || {
            let answer = client.get("/forged").unwrap();
            assert_eq!(answer.status, 302, "{begins}");
            let key = redis.ask(&["KEYS", "us:*:forged"]);
            let replaced = redis.ask(&["EVAL", REPLACE, "1", &key, &target, &forged]);
            (replaced == "1").then_some(())
        });
        let answer = client.get("/forged").unwrap();
        let expected = if begins == other { &forged } else { &target };
        assert_eq!(
            answer.header("location"),
            Some(expected.as_str()),
            "{begins}"
        );
        if begins == other {
            redis.flush();
        }
    }
}
