//! What this cluster's keys of the far cache begin with.

use std::sync::Arc;

use crate::store::Store;
use crate::store::rows::ClusterRow;

/// What [`Store::namespace`] said last, and of what.
#[derive(Debug)]
pub(super) struct Namespace {
    cluster: Arc<ClusterRow>,
    generation: i64,
    text: Arc<str>,
}

impl Store {
    /// `<cluster id>:<generation>`: what the far cache's keys begin with.
    #[must_use]
    pub fn namespace(&self) -> Option<Arc<str>> {
        let generation = self
            .usable()
            .filter_map(|member| Some(member.identity.load().as_ref()?.generation));
        let generation = generation.max()?;
        let cluster = self.cluster()?;
        let known = self.namespace.load();
        if let Some(known) = known
            .as_ref()
            .filter(|known| known.generation == generation && Arc::ptr_eq(&known.cluster, &cluster))
        {
            return Some(Arc::clone(&known.text));
        }
        let text: Arc<str> = format!("{}:{generation}", cluster.cluster_id).into();
        self.namespace.store(Some(Arc::new(Namespace {
            cluster,
            generation,
            text: Arc::clone(&text),
        })));
        Some(text)
    }
}
