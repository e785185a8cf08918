//! How often one client may do something: GCRA in this process.

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::sync::Mutex;
use std::sync::PoisonError;

use crate::domain::time::Timestamp;

/// Clients that are remembered at most; beyond it those without debt are forgotten.
const MAX_CLIENTS: usize = 100_000;

/// A limit of some events a minute for each client. IPv6 clients are their /64.
#[derive(Debug)]
pub struct Limit {
    per_minute: u32,
    /// When each client's debt is paid, microseconds.
    paid_at: Mutex<HashMap<IpAddr, i64>>,
}

/// What a client may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// The limit itself.
    pub limit: u32,
    /// Events that are left now.
    pub remaining: u32,
    /// Seconds until all are back.
    pub reset_seconds: u64,
}

/// The client must wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limited {
    /// Seconds until one more is allowed, at least 1.
    pub retry_after: u64,
    /// The limit itself.
    pub limit: u32,
    /// Events that are left now: fewer than were asked for.
    pub remaining: u32,
}

impl Limit {
    /// A limit; 0 is none.
    #[must_use]
    pub fn per_minute(per_minute: u32) -> Self {
        Self {
            per_minute,
            paid_at: Mutex::default(),
        }
    }

    /// The most events that can ever be charged at once; `None`: any number.
    #[must_use]
    pub const fn most(&self) -> Option<u32> {
        match self.per_minute {
            0 => None,
            most => Some(most),
        }
    }

    /// Charges `cost` events to a client, all or none.
    ///
    /// # Errors
    /// [`Limited`], and nothing is charged.
    pub fn charge(
        &self,
        client: IpAddr,
        cost: u32,
        now: Timestamp,
    ) -> Result<Option<Allowance>, Limited> {
        self.count(client, cost, now, true)
    }

    /// Whether one more event would be allowed; charges nothing.
    ///
    /// # Errors
    /// [`Limited`].
    pub fn check(&self, client: IpAddr, now: Timestamp) -> Result<(), Limited> {
        self.count(client, 1, now, false).map(drop)
    }

    fn count(
        &self,
        client: IpAddr,
        cost: u32,
        now: Timestamp,
        charge: bool,
    ) -> Result<Option<Allowance>, Limited> {
        if self.per_minute == 0 {
            return Ok(None);
        }
        let limit = self.per_minute;
        let interval = 60_000_000 / i64::from(limit);
        let burst = interval * i64::from(limit);
        let now = now.micros();
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        if paid_at.len() >= MAX_CLIENTS {
            paid_at.retain(|_, paid| *paid > now);
        }
        let client = group(client);
        let before = paid_at.get(&client).copied().unwrap_or(now).max(now);
        let after = before + interval * i64::from(cost);
        let over = after - burst - now;
        if over > 0 {
            let seconds = u64::try_from(over).unwrap_or(0).div_ceil(1_000_000);
            return Err(Limited {
                retry_after: seconds.max(1),
                limit,
                remaining: u32::try_from((burst + now - before) / interval).unwrap_or(0),
            });
        }
        if charge {
            paid_at.insert(client, after);
        }
        Ok(Some(Allowance {
            limit,
            remaining: u32::try_from(-over / interval).unwrap_or(0),
            reset_seconds: u64::try_from(after - now).unwrap_or(0).div_ceil(1_000_000),
        }))
    }
}

fn group(client: IpAddr) -> IpAddr {
    match client {
        IpAddr::V4(_) => client,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_its_share_and_then_waits() {
        let limit = Limit::per_minute(60);
        let at = Timestamp::from_micros;
        let client: IpAddr = "2001:db8::1".parse().unwrap();
        let neighbour: IpAddr = "2001:db8::2".parse().unwrap();
        let other: IpAddr = "192.0.2.1".parse().unwrap();
        for _ in 0..60 {
            assert!(limit.charge(client, 1, at(0)).is_ok());
        }
        assert_eq!(
            limit.charge(neighbour, 1, at(0)),
            Err(Limited {
                retry_after: 1,
                limit: 60,
                remaining: 0
            })
        );
        assert!(limit.charge(other, 57, at(0)).is_ok());
        assert_eq!(
            limit.charge(other, 5, at(0)),
            Err(Limited {
                retry_after: 2,
                limit: 60,
                remaining: 3
            })
        );
        assert!(limit.charge(other, 3, at(0)).is_ok());
        assert!(limit.charge(client, 1, at(1_000_000)).is_ok());
        assert!(limit.check(client, at(1_000_000)).is_err());
        assert!(Limit::per_minute(0).charge(client, 9_999, at(0)).is_ok());
        assert_eq!(
            (limit.most(), Limit::per_minute(0).most()),
            (Some(60), None)
        );
    }
}
