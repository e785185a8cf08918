//! A sentence transformer of the BERT family, loaded offline from a folder and verified.
//!
//! # Why
//!
//! One model is shared by single-threaded replicas, one a core: more threads inside one pass are
//! slower for texts of twenty tokens. The tokenizer's own padding is switched off (the file that
//! comes with `MiniLM` pads everything to 128 tokens, which costs eleven times as much); batches are
//! sorted by length, and their texts stand one behind the other.

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use candle_core::DType;
use candle_core::Device;
use candle_nn::VarBuilder;
use candle_transformers::models::bert::Config;
use tokenizers::Tokenizer;
use tokenizers::TruncationParams;

use crate::classify::ModelError;
use crate::classify::encoder::Encoder;
use crate::classify::model_files;

/// Tokens in one pass: what they become then fits into the caches of a core.
const PASS: usize = 384;
/// Tokens that are read of a text.
const MAX_TOKENS: usize = 64;
/// Embeddings that are remembered.
const REMEMBERED: usize = 4_096;

/// How the vectors of the tokens become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pooling {
    Mean,
    Cls,
}

/// Embeddings and the places of their texts.
type Placed = Vec<(usize, Arc<[f32]>)>;

/// A loaded model.
pub struct Transformer {
    encoder: Encoder,
    tokenizer: Tokenizer,
    pooling: Pooling,
    length: usize,
    fingerprint: String,
    folder: PathBuf,
    /// One thread each: what the model's kernels split up among the threads of the pool that they
    /// run in then stays where it is.
    replicas: Vec<rayon::ThreadPool>,
    remembered: Mutex<HashMap<String, Arc<[f32]>>>,
}

impl std::fmt::Debug for Transformer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Transformer")
            .field("folder", &self.folder)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl Transformer {
    /// Loads the model of a folder, after its files were compared with the checksums beside them.
    ///
    /// # Errors
    /// [`ModelError`], which says what to do.
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let wrong = |why: String| ModelError::Unusable {
            folder: folder.to_owned(),
            why,
        };
        let sums = model_files::verify(folder)?;
        let config = model_files::read(folder, "config.json")?;
        let facts: serde_json::Value = serde_json::from_slice(&config)
            .map_err(|error| wrong(format!("config.json: {error}")))?;
        let family = facts.get("model_type").and_then(|kind| kind.as_str());
        if family != Some("bert") {
            return Err(wrong(format!(
                "config.json names the architecture {:?}; only BERT models can be used",
                family.unwrap_or("unknown")
            )));
        }
        let config: Config = serde_json::from_slice(&config)
            .map_err(|error| wrong(format!("config.json: {error}")))?;
        let mut tokenizer = Tokenizer::from_bytes(model_files::read(folder, "tokenizer.json")?)
            .map_err(|error| wrong(format!("tokenizer.json: {error}")))?;
        tokenizer.with_padding(None);
        let cut = TruncationParams {
            max_length: MAX_TOKENS.min(config.max_position_embeddings),
            ..TruncationParams::default()
        };
        tokenizer
            .with_truncation(Some(cut))
            .map_err(|error| wrong(format!("tokenizer.json: {error}")))?;
        let largest = largest_id(&tokenizer);
        if largest >= config.vocab_size {
            return Err(wrong(format!(
                "tokenizer.json has the token number {largest}, and the model only {} tokens: \
                 they do not belong together",
                config.vocab_size
            )));
        }
        let weights = Box::new(model_files::Weights::open(folder)?);
        let weights = VarBuilder::from_backend(weights, DType::F32, Device::Cpu);
        let encoder = Encoder::load(&weights, &config).map_err(|error| {
            wrong(format!(
                "model.safetensors does not fit config.json: {}",
                told(&error)
            ))
        })?;
        Ok(Self {
            encoder,
            tokenizer,
            pooling: pooling(folder),
            length: config.hidden_size,
            fingerprint: sums.get(model_files::WEIGHTS).cloned().unwrap_or_default(),
            folder: folder.to_owned(),
            replicas: replicas().map_err(|error| wrong(format!("no thread for it: {error}")))?,
            remembered: Mutex::default(),
        })
    }

    /// Numbers of an embedding.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length
    }

    /// The SHA-256 of the weights, in hex.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The folder's name, for people.
    #[must_use]
    pub fn name(&self) -> String {
        let name = self.folder.file_name();
        name.map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// The embeddings of `texts`, in order: mean or CLS vectors of length 1.
    ///
    /// # Errors
    /// [`ModelError::Inference`] where the model fails on a text.
    pub fn embed(&self, texts: &[String]) -> Result<Vec<Arc<[f32]>>, ModelError> {
        let mut found: Vec<Option<Arc<[f32]>>> = {
            let remembered = self
                .remembered
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            texts
                .iter()
                .map(|text| remembered.get(text).cloned())
                .collect()
        };
        let mut due: Vec<usize> = (0..texts.len())
            .filter(|at| matches!(found.get(*at), Some(None)))
            .collect();
        // Equal texts of one call are read once.
        due.sort_by_key(|at| texts.get(*at));
        due.dedup_by_key(|at| texts.get(*at));
        let new: Vec<&String> = due.iter().filter_map(|at| texts.get(*at)).collect();
        let vectors = self.embed_new(&new)?;
        let fresh: HashMap<&str, Arc<[f32]>> =
            new.iter().map(|text| text.as_str()).zip(vectors).collect();
        for (place, text) in found.iter_mut().zip(texts) {
            if place.is_none() {
                *place = fresh.get(text.as_str()).cloned();
            }
        }
        let mut remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if remembered.len() + fresh.len() > REMEMBERED {
            remembered.clear();
        }
        let few = fresh.into_iter().take(REMEMBERED);
        remembered.extend(few.map(|(text, vector)| (text.to_owned(), vector)));
        Ok(found.into_iter().flatten().collect())
    }

    /// Embeds texts that are not remembered, on all replicas.
    fn embed_new(&self, texts: &[&String]) -> Result<Vec<Arc<[f32]>>, ModelError> {
        let mut encoded = Vec::with_capacity(texts.len());
        for (at, text) in texts.iter().enumerate() {
            let tokens = self
                .tokenizer
                .encode_fast(text.as_str(), true)
                .map_err(|error| ModelError::Inference(error.to_string()))?;
            encoded.push((at, tokens.get_ids().to_vec()));
        }
        encoded.sort_by_key(|(_, ids)| ids.len());
        let mut tokens = 0;
        let batches: Vec<&[(usize, Vec<u32>)]> = encoded
            .chunk_by(|(_, one), (_, next)| {
                tokens += one.len();
                let fits = tokens + next.len() <= PASS;
                tokens = if fits { tokens } else { 0 };
                fits
            })
            .collect();
        let next = std::sync::atomic::AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                // The longest first, so that no replica ends up alone with them.
                let Some(batch) = batches
                    .len()
                    .checked_sub(at + 1)
                    .and_then(|at| batches.get(at))
                else {
                    return Ok(done);
                };
                done.extend(self.pass(batch)?);
            }
        };
        let replicas = self.replicas.iter().take(batches.len().max(1));
        let parts: Vec<Result<Placed, ModelError>> = std::thread::scope(|scope| {
            let running: Vec<_> = replicas
                .map(|replica| scope.spawn(|| replica.install(work)))
                .collect();
            let ended = running.into_iter().map(|thread| {
                let broken = |_| ModelError::Inference("a replica panicked".to_owned());
                thread.join().map_err(broken)?
            });
            ended.collect()
        });
        let mut vectors: Vec<Option<Arc<[f32]>>> = vec![None; texts.len()];
        for part in parts {
            for (at, vector) in part? {
                if let Some(place) = vectors.get_mut(at) {
                    *place = Some(vector);
                }
            }
        }
        Ok(vectors.into_iter().flatten().collect())
    }

    /// One pass over texts of about the same length.
    fn pass(&self, batch: &[(usize, Vec<u32>)]) -> Result<Placed, ModelError> {
        let texts: Vec<&[u32]> = batch.iter().map(|(_, ids)| ids.as_slice()).collect();
        let rows = self
            .encoder
            .forward(&texts)
            .map_err(|error| ModelError::Inference(told(&error)))?;
        let mut rest = rows.as_slice();
        let mut placed = Vec::with_capacity(batch.len());
        for (at, ids) in batch {
            let (rows, behind) = rest.split_at(rest.len().min(ids.len() * self.length));
            rest = behind;
            placed.push((*at, self.pooled(rows).into()));
        }
        Ok(placed)
    }

    /// One vector of length 1 of the rows of a text's tokens.
    fn pooled(&self, rows: &[f32]) -> Vec<f32> {
        let mut pooled = vec![0.0_f32; self.length];
        let rows = rows.chunks_exact(self.length.max(1));
        let counted = match self.pooling {
            Pooling::Cls => 1,
            Pooling::Mean => rows.len(),
        };
        for row in rows.take(counted) {
            for (sum, value) in pooled.iter_mut().zip(row) {
                *sum += value;
            }
        }
        // The mean is the sum made shorter, and so is what has the length 1.
        let length = pooled.iter().map(|value| value * value).sum::<f32>().sqrt();
        for value in &mut pooled {
            *value /= length.max(f32::MIN_POSITIVE);
        }
        pooled
    }
}

/// The largest number that the tokenizer gives a token: one of its words, or what it puts around
/// every text.
fn largest_id(tokenizer: &Tokenizer) -> usize {
    let around = tokenizer.encode("a", true).ok();
    let around = around
        .iter()
        .flat_map(tokenizers::Encoding::get_ids)
        .copied();
    let words = tokenizer.get_vocab(true).into_values();
    words.chain(around).max().map_or(0, |id| id as usize)
}

fn replicas() -> Result<Vec<rayon::ThreadPool>, rayon::ThreadPoolBuildError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let one = || rayon::ThreadPoolBuilder::new().num_threads(1).build();
    (0..cores).map(|_| one()).collect()
}

/// How the model wants its vectors pooled: the file beside it says so, and mean is usual.
fn pooling(folder: &Path) -> Pooling {
    let cls = std::fs::read(folder.join("1_Pooling").join("config.json"))
        .ok()
        .and_then(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok())
        .and_then(|facts| facts.get("pooling_mode_cls_token")?.as_bool());
    if cls == Some(true) {
        Pooling::Cls
    } else {
        Pooling::Mean
    }
}

/// What candle says, without the stack that it adds where `RUST_BACKTRACE` is set.
fn told(error: &candle_core::Error) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or("").to_owned()
}

#[cfg(test)]
mod tests {
    use std::backtrace::Backtrace;

    use super::*;

    #[test]
    fn an_error_of_candle_is_one_line() {
        let error = candle_core::Error::WithBacktrace {
            inner: Box::new(candle_core::Error::Msg("shape mismatch".to_owned())),
            backtrace: Box::new(Backtrace::force_capture()),
        };
        assert!(error.to_string().lines().count() > 1);
        assert_eq!(told(&error), "shape mismatch");
    }
}
