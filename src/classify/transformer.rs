//! A sentence transformer of the BERT family, loaded offline from a folder and verified.
//!
//! # Why
//!
//! One model is shared by single-threaded replicas, one a core: more threads inside one pass are
//! slower for texts of twenty tokens. The tokenizer's own padding is switched off (the file that
//! comes with `MiniLM` pads everything to 128 tokens, which costs eleven times as much); batches are
//! sorted by length and padded to their own longest text.

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use candle_core::DType;
use candle_core::Device;
use candle_core::Tensor;
use candle_nn::VarBuilder;
use candle_transformers::models::bert::BertModel;
use candle_transformers::models::bert::Config;
use sha2::Digest as _;
use sha2::Sha256;
use tokenizers::Tokenizer;
use tokenizers::TruncationParams;

use crate::classify::ModelError;

/// The file of checksums, as `sha256sum` writes it.
pub const MANIFEST: &str = "SHA256SUMS";
/// What a model folder must hold.
const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];
/// The largest file that is read, bytes: a small sentence model, not a large one.
const LARGEST: u64 = 2 << 30;
/// Texts in one pass.
const BATCH: usize = 16;
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
    model: BertModel,
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
        let sums = verify(folder)?;
        let config = read(folder, "config.json")?;
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
        let mut tokenizer = Tokenizer::from_bytes(read(folder, "tokenizer.json")?)
            .map_err(|error| wrong(format!("tokenizer.json: {error}")))?;
        tokenizer.with_padding(None);
        let cut = TruncationParams {
            max_length: MAX_TOKENS.min(config.max_position_embeddings),
            ..TruncationParams::default()
        };
        tokenizer
            .with_truncation(Some(cut))
            .map_err(|error| wrong(format!("tokenizer.json: {error}")))?;
        if tokenizer.get_vocab_size(true) > config.vocab_size {
            return Err(wrong(format!(
                "the tokenizer knows {} words, the model {}: they do not belong together",
                tokenizer.get_vocab_size(true),
                config.vocab_size
            )));
        }
        let weights = read(folder, "model.safetensors")?;
        let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu)
            .map_err(|error| wrong(format!("model.safetensors: {}", told(&error))))?;
        let model = BertModel::load(weights, &config).map_err(|error| {
            wrong(format!(
                "model.safetensors does not fit config.json: {}",
                told(&error)
            ))
        })?;
        Ok(Self {
            model,
            tokenizer,
            pooling: pooling(folder),
            length: config.hidden_size,
            fingerprint: sums.get("model.safetensors").cloned().unwrap_or_default(),
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
        let batches: Vec<&[(usize, Vec<u32>)]> = encoded.chunks(BATCH).collect();
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

    /// One pass over texts of about the same length, padded to the longest of them.
    fn pass(&self, batch: &[(usize, Vec<u32>)]) -> Result<Placed, ModelError> {
        let longest = batch
            .iter()
            .map(|(_, ids)| ids.len())
            .max()
            .unwrap_or(0)
            .max(1);
        let mut ids = Vec::with_capacity(batch.len() * longest);
        let mut mask = Vec::with_capacity(batch.len() * longest);
        for (_, tokens) in batch {
            for at in 0..longest {
                ids.push(tokens.get(at).copied().unwrap_or(0));
                mask.push(u32::from(at < tokens.len()));
            }
        }
        let rows = self
            .vectors(ids, mask, (batch.len(), longest))
            .map_err(|error| ModelError::Inference(error.to_string()))?;
        let rows = batch.iter().zip(rows);
        Ok(rows.map(|((at, _), row)| (*at, row.into())).collect())
    }

    fn vectors(
        &self,
        ids: Vec<u32>,
        mask: Vec<u32>,
        shape: (usize, usize),
    ) -> candle_core::Result<Vec<Vec<f32>>> {
        let device = &Device::Cpu;
        let ids = Tensor::from_vec(ids, shape, device)?;
        let mask = Tensor::from_vec(mask, shape, device)?;
        let kinds = ids.zeros_like()?;
        let hidden = self.model.forward(&ids, &kinds, Some(&mask))?;
        let pooled = match self.pooling {
            Pooling::Cls => hidden.narrow(1, 0, 1)?.squeeze(1)?,
            Pooling::Mean => {
                let mask = mask.to_dtype(DType::F32)?.unsqueeze(2)?;
                let sums = hidden.broadcast_mul(&mask)?.sum(1)?;
                sums.broadcast_div(&mask.sum(1)?)?
            }
        };
        let length = pooled.sqr()?.sum_keepdim(1)?.sqrt()?;
        pooled.broadcast_div(&length)?.to_vec2::<f32>()
    }
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

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, ModelError> {
    let path = folder.join(name);
    let fail = |why: String| ModelError::Unusable {
        folder: folder.to_owned(),
        why: format!("{name}: {why}"),
    };
    let facts = std::fs::metadata(&path).map_err(|error| fail(error.to_string()))?;
    if facts.len() > LARGEST {
        return Err(fail("it is larger than 2 GiB".to_owned()));
    }
    std::fs::read(&path).map_err(|error| fail(error.to_string()))
}

/// Compares every file of the folder's manifest with its checksum; answers the checksums.
pub(super) fn verify(folder: &Path) -> Result<HashMap<String, String>, ModelError> {
    let wrong = |why: String| ModelError::Unusable {
        folder: folder.to_owned(),
        why,
    };
    let manifest = String::from_utf8_lossy(&read(folder, MANIFEST)?).into_owned();
    let mut sums = HashMap::new();
    for line in manifest.lines().filter(|line| !line.trim().is_empty()) {
        let entry = line.split_once(char::is_whitespace);
        let Some((sum, name)) = entry.map(|(sum, name)| (sum, name.trim().trim_start_matches('*')))
        else {
            return Err(wrong(format!("{MANIFEST}: a line is no checksum and name")));
        };
        let name = name.trim_start_matches("./");
        if name.split('/').any(|part| part == "..") || name.starts_with('/') {
            return Err(wrong(format!(
                "{MANIFEST} names {name:?}, outside the folder"
            )));
        }
        let digest = Sha256::digest(read(folder, name)?);
        let found: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        if !found.eq_ignore_ascii_case(sum) {
            return Err(wrong(format!(
                "{name} is damaged: its SHA-256 is {found}, {MANIFEST} says {sum}"
            )));
        }
        sums.insert(name.to_owned(), found);
    }
    match FILES.iter().find(|name| !sums.contains_key(**name)) {
        Some(missing) => Err(wrong(format!("{MANIFEST} has no checksum of {missing}"))),
        None => Ok(sums),
    }
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
