//! This file holds what Redis decides itself: whether a value may replace the one that is there.
//!
//! # Why
//!
//! Versions are compared as two numbers of 32 bits: a number of Lua holds 53 bits, and its strings
//! are ordered by the server's locale. Something there that has no version counts as older.

use std::time::Duration;

use fred::clients::Client;
use fred::clients::WithOptions;
use fred::error::Error;
use fred::interfaces::LuaInterface as _;
use fred::types::Value;
use fred::types::scripts::Script;

/// Writes unless something newer is there, or (`strict`) something at least as new.
/// `KEYS[1]`, `ARGV`: version, payload, lifetime in ms, `strict` or empty.
const SET_IF_NEWER: &str = "\
local function halves(text)
  return tonumber(string.sub(text, 1, 8), 16), tonumber(string.sub(text, 9, 16), 16)
end
local there = redis.call('GET', KEYS[1])
if there then
  local high, low = halves(there)
  local new_high, new_low = halves(ARGV[1])
  if high and low then
    if high > new_high or (high == new_high and low > new_low) then return 0 end
    if ARGV[4] == 'strict' and high == new_high and low == new_low then return 0 end
  end
end
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3])
return 1";

/// Writes only over exactly the value that was seen.
/// `KEYS[1]`, `ARGV`: version, payload, lifetime in ms, the value seen.
const REPLACE_IF_SAME: &str = "\
if redis.call('GET', KEYS[1]) ~= ARGV[4] then return 0 end
redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2], 'PX', ARGV[3])
return 1";

/// No value lives longer, whatever is asked for.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// The scripts with their digests.
#[derive(Debug)]
pub(super) struct Scripts {
    set_if_newer: Script,
    replace_if_same: Script,
}

/// On what condition a value is written.
#[derive(Debug)]
pub(super) enum Unless {
    /// Not if something newer is there.
    Newer,
    /// Not if something newer or just as new is there.
    AsNew,
    /// Not if something else than these bytes is there.
    Changed(bytes::Bytes),
}

/// One write.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) key: String,
    pub(super) version: String,
    pub(super) payload: Vec<u8>,
    pub(super) lifetime: Duration,
    pub(super) unless: Unless,
}

impl Scripts {
    pub(super) fn new() -> Self {
        Self {
            set_if_newer: Script::from_lua(SET_IF_NEWER),
            replace_if_same: Script::from_lua(REPLACE_IF_SAME),
        }
    }

    /// Runs one write and says whether it was done; a server that forgot the script gets it again.
    pub(super) async fn write(
        &self,
        client: &WithOptions<Client>,
        write: Write,
    ) -> Result<bool, Error> {
        let (script, condition) = match write.unless {
            Unless::Newer => (&self.set_if_newer, Value::from("")),
            Unless::AsNew => (&self.set_if_newer, Value::from("strict")),
            Unless::Changed(seen) => (&self.replace_if_same, Value::Bytes(seen)),
        };
        let lifetime = write.lifetime.clamp(Duration::from_millis(1), LONGEST);
        let lifetime = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
        let arguments = vec![
            Value::from(write.version),
            Value::Bytes(write.payload.into()),
            Value::from(lifetime),
            condition,
        ];
        let hash = script.sha1().clone();
        let done: Result<i64, Error> = client
            .evalsha(hash, write.key.as_str(), arguments.clone())
            .await;
        match (done, script.lua()) {
            // EVAL leaves the script where the key lives; SCRIPT LOAD would need every node.
            (Err(error), Some(lua)) if error.details().starts_with("NOSCRIPT") => {
                let done: i64 = client.eval(lua.clone(), write.key, arguments).await?;
                Ok(done == 1)
            }
            (done, _) => Ok(done? == 1),
        }
    }
}
