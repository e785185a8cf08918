//! What labels links, built from the configuration.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::sync::watch;

use crate::classify::Classifier;
use crate::config::Config;
use crate::events::kafka::Kafka;
use crate::pipeline::label::Labeller;
use crate::pipeline::label::READING;
use crate::store::Store;
use crate::telemetry;

/// The rules of the configuration; a model is loaded later, behind the start.
#[must_use]
pub fn classifier(config: &Config) -> Arc<Classifier> {
    let classifier = Classifier::new(config.classify.blocklists.clone());
    for complaint in classifier.lists().reload().complaints {
        tracing::warn!(complaint, "classify.blocklists");
    }
    telemetry::classifier_model(false);
    Arc::new(classifier)
}

/// What labels links, over shards that were judged or not.
#[must_use]
pub fn labeller(config: &Config, store: &Arc<Store>, classifier: &Arc<Classifier>) -> Labeller {
    Labeller {
        store: Arc::clone(store),
        classifier: Arc::clone(classifier),
        fetcher: config.classify.fetch.then(Arc::default),
        reading: Arc::new(Semaphore::new(READING as usize)),
        lists: Arc::new(watch::Sender::default()),
    }
}

/// The bus of link events, if there is one.
#[must_use]
pub fn link_bus(config: &Config) -> Option<Kafka> {
    let brokers = &config.events.kafka_brokers;
    (!brokers.is_empty()).then(|| Kafka::new(brokers.clone(), config.classify.topic.clone()))
}
