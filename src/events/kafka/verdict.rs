//! This file sorts what the bus says into what a caller can do about it.

use std::error::Error;

use rskafka::client::error::Error as DriverError;
use rskafka::client::error::ProtocolError;
use rskafka::client::error::RequestError;

/// A failure of the bus.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// It did not answer, or not clearly. Sending again is safe: the rollup drops copies.
    #[error("the bus is unavailable")]
    Unavailable {
        /// What the driver said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// It does not take these records, and never will: nothing of them is in the log.
    #[error("the bus refused the records: {why}")]
    Refused {
        /// What it said.
        why: String,
    },
    /// The log does not hold that offset: it was deleted, or was never there.
    #[error("the log does not hold this offset")]
    OutOfRange,
    /// The topic is missing, or has another shape: somebody must act.
    #[error("the topic {0}")]
    WrongTopic(String),
    /// The log holds a batch that cannot be read, and will be the same the next time.
    #[error("a batch of the log cannot be read: {0}")]
    Undecodable(String),
}

impl BusError {
    /// A short word for metrics.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "unavailable",
            Self::Refused { .. } => "refused",
            Self::OutOfRange => "out_of_range",
            Self::WrongTopic(_) => "wrong_topic",
            Self::Undecodable(_) => "undecodable",
        }
    }
}

/// A deadline of ours passed before the bus answered.
#[derive(Debug, thiserror::Error)]
#[error("no answer within the deadline")]
pub(super) struct TooLate;

/// Not tried: it failed a moment ago.
#[derive(Debug, thiserror::Error)]
#[error("not connected, and the last attempt failed a moment ago")]
pub(super) struct NotNow;

/// What an error means, and whether the connections behind it can still be trusted.
#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) error: BusError,
    pub(super) is_sound: bool,
}

/// What a driver's error means for the caller.
pub(super) fn judge(error: DriverError) -> Verdict {
    if let DriverError::ServerError { protocol_error, .. } = error {
        return judge_answer(protocol_error, error);
    }
    // Read whole, and without meaning to this driver: a foreign compression, a bad checksum.
    let is_garbage = matches!(
        error,
        DriverError::Request(
            RequestError::ReadError(_)
                | RequestError::ReadVersionedError(_)
                | RequestError::TooMuchData { .. }
        )
    );
    let error = if is_garbage {
        BusError::Undecodable(error.to_string())
    } else {
        unavailable(error)
    };
    Verdict {
        error,
        is_sound: false,
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "of the protocol's 100 errors these have a meaning here; the rest are outages"
)]
fn judge_answer(answer: ProtocolError, error: DriverError) -> Verdict {
    let (error, is_sound) = match answer {
        ProtocolError::InvalidTimestamp
        | ProtocolError::InvalidRecord
        | ProtocolError::MessageTooLarge
        | ProtocolError::RecordListTooLarge => {
            let why = format!("{answer:?}");
            (BusError::Refused { why }, true)
        }
        ProtocolError::OffsetOutOfRange => (BusError::OutOfRange, true),
        ProtocolError::UnknownTopicOrPartition => {
            (BusError::WrongTopic("does not exist".to_owned()), false)
        }
        // Said by the leader itself: asking through other connections would change nothing.
        ProtocolError::NotEnoughReplicas
        | ProtocolError::NotEnoughReplicasAfterAppend
        | ProtocolError::RequestTimedOut => (unavailable(error), true),
        _ => (unavailable(error), false),
    };
    Verdict { error, is_sound }
}

pub(super) fn unavailable(source: impl Error + Send + Sync + 'static) -> BusError {
    BusError::Unavailable {
        source: Box::new(source),
    }
}
