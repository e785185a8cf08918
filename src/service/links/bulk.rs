//! Many links at once: one statement for each shard, each item its own outcome.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use serde_json::Value;

use crate::domain::code::RANDOM_LENGTH;
use crate::domain::link::NewLink;
use crate::events::links::LinkEventKind;
use crate::service::keys::Caller;
use crate::service::link_input;
use crate::service::link_input::NewLinkInput;
use crate::service::link_input::TargetRules;
use crate::service::links::Created;
use crate::service::links::LinkError;
use crate::service::links::Links;
use crate::service::links::new_link;
use crate::slots::Slot;
use crate::store::StoreError;
use crate::store::rows::Inserted;
use crate::telemetry;

/// Made links of one statement that are told to the far cache at once.
const SETTLED_AT_ONCE: usize = 64;
/// Targets of one request that may be there already and are looked for at once.
const WISHES_AT_ONCE: usize = 8;

impl Links {
    /// Makes many links; results in request order, each its own outcome.
    pub async fn create_many(
        &self,
        items: &[Value],
        host: Option<&str>,
        caller: &Caller,
    ) -> Vec<Result<Created, LinkError>> {
        let rules = TargetRules {
            policy: &self.policy,
            host,
        };
        let inputs = items
            .iter()
            .map(|item| link_input::new_link(item, rules).map_err(LinkError::Invalid))
            .collect();
        self.make_many(inputs, caller.owner()).await
    }

    /// Makes many links from checked input; results in order.
    pub async fn make_many(
        &self,
        inputs: Vec<Result<NewLinkInput, LinkError>>,
        owner: Option<&str>,
    ) -> Vec<Result<Created, LinkError>> {
        let mut results: Vec<Option<Result<Created, LinkError>>> = Vec::with_capacity(inputs.len());
        let mut plain: Vec<(usize, NewLink, NewLinkInput)> = Vec::new();
        // By target: equal wishes one after the other, so that the later sees the earlier.
        let mut wishes: BTreeMap<String, Vec<(usize, NewLinkInput)>> = BTreeMap::new();
        let mut codes = std::collections::HashSet::new();
        for (index, input) in inputs.into_iter().enumerate() {
            results.push(None);
            let checked = input.and_then(|input| {
                self.refuse_danger(&input.fields)?;
                Ok(input)
            });
            let outcome = match checked {
                Err(error) => Some(Err(error)),
                Ok(input) if input.reuse_existing => {
                    codes.extend(input.code.clone());
                    let equal = wishes.entry(input.fields.target.clone()).or_default();
                    equal.push((index, input));
                    None
                }
                Ok(input) => {
                    let length = input.code_length.unwrap_or(RANDOM_LENGTH);
                    let code = input
                        .code
                        .clone()
                        .unwrap_or_else(|| self.draw(length, None));
                    if codes.insert(code.clone()) {
                        plain.push((index, new_link(code, owner, &input.fields), input));
                        None
                    } else {
                        Some(Err(LinkError::Taken)) // twice in one request
                    }
                }
            };
            if let Some(place) = results.get_mut(index) {
                *place = outcome;
            }
        }
        let mut outcomes = self.insert_grouped(plain, owner).await;
        // After the others: what this request makes may be used again too.
        let reused = wishes.into_values().map(|equal| async move {
            let mut outcomes = Vec::with_capacity(equal.len());
            for (index, input) in equal {
                outcomes.push((index, self.make(input, owner).await));
            }
            outcomes
        });
        let reused = futures_util::stream::iter(reused).buffer_unordered(WISHES_AT_ONCE);
        outcomes.extend(reused.collect::<Vec<_>>().await.into_iter().flatten());
        for (index, outcome) in outcomes {
            if let Some(place) = results.get_mut(index) {
                *place = Some(outcome);
            }
        }
        results
            .into_iter()
            .map(|result| result.unwrap_or(Err(LinkError::Taken)))
            .collect()
    }

    /// One statement for each shard; what did not go in is made one by one.
    async fn insert_grouped(
        &self,
        plain: Vec<(usize, NewLink, NewLinkInput)>,
        owner: Option<&str>,
    ) -> Vec<(usize, Result<Created, LinkError>)> {
        let mut groups: BTreeMap<(Option<usize>, bool), Vec<_>> = BTreeMap::new();
        for item in plain {
            let place = self
                .store
                .owner(Slot::of(item.1.code.as_str()))
                .map(|member| member.place);
            groups
                .entry((place, item.2.announce))
                .or_default()
                .push(item);
        }
        let asked = groups
            .into_iter()
            .map(|((place, announce), group)| async move {
                let mut outcomes = Vec::with_capacity(group.len());
                let mut halves = vec![group];
                while let Some(mut group) = halves.pop() {
                    let rows: Vec<NewLink> = group.iter().map(|(_, new, _)| new.clone()).collect();
                    match self.store.insert_many(&rows, announce).await {
                        Ok(inserted) => {
                            let settled = group.into_iter().zip(inserted).map(
                                |((index, new, input), inserted)| async move {
                                    (index, self.settle(new, input, inserted, owner).await)
                                },
                            );
                            let settled = futures_util::stream::iter(settled);
                            let settled = settled.buffer_unordered(SETTLED_AT_ONCE);
                            outcomes.extend(settled.collect::<Vec<_>>().await);
                        }
                        // One bad row fails a whole statement: halve until it stands alone.
                        Err(StoreError::Refused { .. }) if group.len() > 1 => {
                            let right = group.split_off(group.len() / 2);
                            halves.extend([group, right]);
                        }
                        Err(_) => {
                            for (index, _, input) in group {
                                let made = self.make_elsewhere(input, owner, place).await;
                                outcomes.push((index, made));
                            }
                        }
                    }
                }
                outcomes
            });
        futures_util::future::join_all(asked)
            .await
            .into_iter()
            .flatten()
            .collect()
    }

    async fn settle(
        &self,
        new: NewLink,
        input: NewLinkInput,
        inserted: Inserted,
        owner: Option<&str>,
    ) -> Result<Created, LinkError> {
        match inserted {
            Inserted::New(link) => {
                telemetry::links_created(1);
                self.events.tell(LinkEventKind::Created, &link);
                if input.announce {
                    self.redirector.publish(&new.code, &link.route).await;
                }
                Ok(Created {
                    link: *link,
                    reused: false,
                })
            }
            Inserted::Taken if input.code.is_some() => Err(LinkError::Taken),
            Inserted::Taken => self.make(input, owner).await,
        }
    }
}
