//! Links: made, found, changed, deleted and listed.

mod bulk;
mod random;
mod reuse;

use std::sync::Arc;

use serde_json::Value;

use crate::classify::Classifier;
use crate::domain::code::ShortCode;
use crate::domain::key::Scope;
use crate::domain::label::Verdict;
use crate::domain::link::Link;
use crate::domain::link::LinkFields;
use crate::domain::link::NewLink;
use crate::domain::route::LinkState;
use crate::domain::target::TargetPolicy;
use crate::events::links::LinkEventKind;
use crate::events::links::LinkEvents;
use crate::service::keys::Caller;
use crate::service::link_input;
use crate::service::link_input::FieldError;
use crate::service::link_input::NewLinkInput;
use crate::service::link_input::TargetRules;
use crate::service::links::reuse::is_equal;
use crate::service::redirect::Redirector;
use crate::slots::Slot;
use crate::store::Store;
use crate::store::StoreError;
use crate::store::rows::Changed;
use crate::store::rows::Inserted;
use crate::store::rows::ListFilter;
use crate::telemetry;

/// Draws of a random code before it gets one character longer.
const TRIES: usize = 5;
/// Who may say what the classifier is not to say.
const OPERATORS_ONLY: &str = "risk_override and block_reason need the scope keys:admin.";

/// What the API does with links.
#[derive(Debug)]
pub struct Links {
    store: Arc<Store>,
    redirector: Arc<Redirector>,
    policy: TargetPolicy,
    classifier: Arc<Classifier>,
    events: Arc<LinkEvents>,
}

/// Why a request about a link cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Fields that are wrong, all of them.
    #[error("the request is not valid")]
    Invalid(Vec<FieldError>),
    /// The wished code is somebody's.
    #[error("the code is taken")]
    Taken,
    /// Nobody made it, or the caller may not know.
    #[error("there is no such link")]
    NotFound,
    /// A tombstone.
    #[error("the link was deleted")]
    Gone,
    /// `If-Match` named another version.
    #[error("the link has another version")]
    VersionMismatch,
    /// Its target is certainly dangerous.
    #[error("the target is blocked")]
    Blocked(Vec<FieldError>),
    /// The caller's key may not change this.
    #[error("the key lacks a scope")]
    Forbidden(&'static str),
    /// Its shard is away.
    #[error("the link's shard is unavailable")]
    Unavailable(#[source] StoreError),
    /// A shard refused or holds what cannot be right.
    #[error("the link cannot be stored")]
    Damaged(#[source] StoreError),
}

/// A link that was made, or found to be equal.
#[derive(Clone, Debug, PartialEq)]
pub struct Created {
    /// The link.
    pub link: Link,
    /// Whether it was there before.
    pub reused: bool,
}

impl From<StoreError> for LinkError {
    fn from(error: StoreError) -> Self {
        if error.is_outage() {
            Self::Unavailable(error)
        } else {
            Self::Damaged(error)
        }
    }
}

impl Links {
    /// The use cases over `store`; changes are told to the caches of `redirector`.
    #[must_use]
    pub const fn new(
        store: Arc<Store>,
        redirector: Arc<Redirector>,
        policy: TargetPolicy,
        classifier: Arc<Classifier>,
        events: Arc<LinkEvents>,
    ) -> Self {
        Self {
            store,
            redirector,
            policy,
            classifier,
            events,
        }
    }

    /// The policy for targets.
    #[must_use]
    pub const fn policy(&self) -> &TargetPolicy {
        &self.policy
    }

    /// Makes a link from a request's body.
    ///
    /// # Errors
    /// [`LinkError`]; nothing is half-made.
    pub async fn create(
        &self,
        body: &Value,
        host: Option<&str>,
        caller: &Caller,
    ) -> Result<Created, LinkError> {
        let rules = TargetRules {
            policy: &self.policy,
            host,
        };
        let input = link_input::new_link(body, rules).map_err(LinkError::Invalid)?;
        self.make(input, caller.owner()).await
    }

    /// Makes a link from checked input.
    ///
    /// # Errors
    /// [`LinkError`]; nothing is half-made.
    pub async fn make(
        &self,
        input: NewLinkInput,
        owner: Option<&str>,
    ) -> Result<Created, LinkError> {
        self.make_elsewhere(input, owner, None).await
    }

    /// The same while the shard at `sick` is known not to answer: a random code avoids it.
    async fn make_elsewhere(
        &self,
        input: NewLinkInput,
        owner: Option<&str>,
        sick: Option<usize>,
    ) -> Result<Created, LinkError> {
        self.refuse_danger(&input.fields)?;
        let created = match (&input.code, input.reuse_existing) {
            (Some(code), _) => self.make_custom(code, &input, owner).await?,
            (None, true) => self.make_or_reuse(&input, owner).await?,
            (None, false) => self.make_random(&input, owner, sick).await?,
        };
        if !created.reused {
            telemetry::links_created(1);
            self.events.tell(LinkEventKind::Created, &created.link);
        }
        Ok(created)
    }

    async fn make_custom(
        &self,
        code: &ShortCode,
        input: &NewLinkInput,
        owner: Option<&str>,
    ) -> Result<Created, LinkError> {
        let new = new_link(code.clone(), owner, &input.fields);
        if let Inserted::New(link) = self.store.insert(&new, true).await? {
            self.redirector.publish(code, &link.route).await;
            return Ok(Created {
                link: *link,
                reused: false,
            });
        }
        if input.reuse_existing
            && let Some(link) = self.store.find(code).await?
            && is_equal(&link, owner, &input.fields, self.store.clock().now())
        {
            return Ok(Created { link, reused: true });
        }
        Err(LinkError::Taken)
    }

    /// Refuses targets that are certainly dangerous: rules alone, in microseconds.
    pub(super) fn refuse_danger(&self, fields: &LinkFields) -> Result<(), LinkError> {
        let urls = [
            ("/long_url", Some(&fields.target)),
            ("/expired_url", fields.expired_url.as_ref()),
        ];
        let mut complaints = Vec::new();
        for (pointer, url) in urls {
            let Some(url) = url else { continue };
            let found = self.classifier.assess(url);
            if found.certain {
                complaints.extend(found.risk.reasons.into_iter().map(|detail| FieldError {
                    pointer: pointer.to_owned(),
                    code: "url_blocked",
                    detail,
                }));
            }
        }
        if complaints.is_empty() {
            return Ok(());
        }
        telemetry::links_blocked();
        Err(LinkError::Blocked(complaints))
    }

    /// The link, if the caller may see it; tombstones too.
    ///
    /// # Errors
    /// [`LinkError::NotFound`] or an outage.
    pub async fn find(&self, code: &ShortCode, caller: &Caller) -> Result<Link, LinkError> {
        let link = self.store.find(code).await?.ok_or(LinkError::NotFound)?;
        if caller.sees(link.owner.as_deref()) {
            Ok(link)
        } else {
            Err(LinkError::NotFound)
        }
    }

    /// The link, whoever asks: for its public pages and statistics.
    ///
    /// # Errors
    /// [`LinkError::NotFound`] or an outage.
    pub async fn find_public(&self, code: &ShortCode) -> Result<Link, LinkError> {
        self.store.find(code).await?.ok_or(LinkError::NotFound)
    }

    /// Applies a merge patch. Without `if_match`, a change that comes in between is built upon.
    ///
    /// # Errors
    /// [`LinkError`]; nothing is half-changed.
    pub async fn change(
        &self,
        code: &ShortCode,
        body: &Value,
        if_match: Option<i64>,
        host: Option<&str>,
        caller: &Caller,
    ) -> Result<Link, LinkError> {
        for _ in 0..TRIES {
            let link = self.find(code, caller).await?;
            check_version(&link, if_match)?;
            if matches!(link.route.state, LinkState::Deleted | LinkState::Purged) {
                return Err(LinkError::Gone);
            }
            let rules = TargetRules {
                policy: &self.policy,
                host,
            };
            let before = LinkFields::of(&link);
            let mut fields =
                link_input::patch(body, before.clone(), rules).map_err(LinkError::Invalid)?;
            if fields == before {
                return Ok(link); // nothing changes, so nobody needs to hear of it
            }
            let overruled = |fields: &LinkFields| (fields.risk_override, fields.legal);
            if overruled(&fields) != overruled(&before) && !caller.may(Scope::KeysAdmin) {
                return Err(LinkError::Forbidden(OPERATORS_ONLY));
            }
            let leads = |fields: &LinkFields| (fields.target.clone(), fields.expired_url.clone());
            if leads(&fields) != leads(&before) {
                self.refuse_danger(&fields)?;
                // An operator cleared the page that was there, not the one that somebody else puts
                // in its place.
                if fields.risk_override == Some(Verdict::Clean) && !caller.may(Scope::KeysAdmin) {
                    fields.risk_override = None;
                }
            }
            if let Changed::Done(link) =
                self.store.update(code, link.route.version, &fields).await?
            {
                telemetry::links_changed(1);
                self.redirector.publish(code, &link.route).await;
                if leads(&fields) != leads(&before) || fields.title != before.title {
                    self.events.tell(LinkEventKind::TargetChanged, &link);
                }
                return Ok(*link);
            }
        }
        Err(LinkError::VersionMismatch)
    }

    /// Deletes a link; `purge` also blanks it, and its statistics.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn delete(
        &self,
        code: &ShortCode,
        if_match: Option<i64>,
        purge: bool,
        caller: &Caller,
    ) -> Result<(), LinkError> {
        for _ in 0..TRIES {
            let link = self.find(code, caller).await?;
            check_version(&link, if_match)?;
            match link.route.state {
                LinkState::Purged => return Err(LinkError::Gone),
                LinkState::Deleted if !purge => return Err(LinkError::Gone),
                LinkState::Active | LinkState::Disabled | LinkState::Deleted => (),
            }
            if let Changed::Done(link) = self.store.delete(code, link.route.version, purge).await? {
                telemetry::links_deleted(1);
                self.redirector.publish(code, &link.route).await;
                self.events.tell(LinkEventKind::Deleted, &link);
                return Ok(());
            }
        }
        Err(LinkError::VersionMismatch)
    }

    /// A page of links, newest first, and the slots that did not answer.
    pub async fn list(
        &self,
        mut filter: ListFilter,
        limit: usize,
        caller: &Caller,
    ) -> (Vec<Link>, Vec<Slot>) {
        if !caller.may(Scope::KeysAdmin) {
            filter.owner = Some(caller.owner().unwrap_or_default().to_owned());
        }
        self.store.list(&filter, limit).await
    }
}

fn check_version(link: &Link, if_match: Option<i64>) -> Result<(), LinkError> {
    match if_match {
        Some(version) if version != link.route.version => Err(LinkError::VersionMismatch),
        _ => Ok(()),
    }
}

fn new_link(code: ShortCode, owner: Option<&str>, fields: &LinkFields) -> NewLink {
    NewLink {
        code,
        owner: owner.map(str::to_owned),
        fields: fields.clone(),
    }
}
