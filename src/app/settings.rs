//! The configuration's part of what the handlers share.

use crate::config::Ack;
use crate::config::Config;
use crate::http::Settings;

pub(super) fn of(config: &Config) -> Settings {
    let url = config.http.public_url.as_ref();
    Settings {
        public_url: url.map(|url| url.as_str().to_owned()),
        public_host: url.map(|url| url.host_header().to_owned()),
        trusted_proxies: config.http.trusted_proxies.clone(),
        expose_metrics: config.http.expose_metrics,
        anonymous_create: config.auth.anonymous_create,
        public_stats: config.auth.public_stats,
        permanent_max_age: config.links.permanent_max_age,
        wait_for_spool: config.events.ack == Ack::Spooled,
    }
}
