//! A model with its head: whether a folder holds one that can be used, and why not.

use std::path::PathBuf;

#[cfg(feature = "classify")]
use crate::classify::GENERATION;
#[cfg(feature = "classify")]
use crate::classify::HEAD_FILE;
#[cfg(feature = "classify")]
use crate::classify::head::Head;
#[cfg(feature = "classify")]
use crate::classify::transformer::Transformer;

/// The head of the model that the compiled-in weights were trained with.
#[cfg(feature = "classify")]
const MODEL_HEAD: &[u8] = include_bytes!("data/minilm.head");

/// A loaded model with its head.
#[derive(Debug)]
pub(super) struct Model {
    #[cfg(feature = "classify")]
    pub(super) transformer: Transformer,
    #[cfg(feature = "classify")]
    pub(super) head: Head,
    /// What stands in the labels that it makes.
    pub(super) name: String,
}

/// Why a model cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The folder does not hold a model that this program can use.
    #[error("classify.model_dir: {} cannot be used: {why}", folder.display())]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// The model failed on a text.
    #[error("the model failed: {0}")]
    Inference(String),
}

#[cfg(feature = "classify")]
impl Model {
    /// Loads what the folder holds: a head of its own, or the compiled-in one.
    ///
    /// # Errors
    /// [`ModelError::Unusable`].
    pub(super) fn load(folder: &std::path::Path) -> Result<Self, ModelError> {
        let transformer = Transformer::load(folder)?;
        let wrong = |why: String| ModelError::Unusable {
            folder: folder.to_owned(),
            why,
        };
        let shown = folder.display();
        let again =
            format!("run `urlshort classify train --beside-model --model-dir {shown}` once");
        let own = folder.join(HEAD_FILE);
        let head = if own.exists() {
            let bytes = std::fs::read(&own).map_err(|error| wrong(error.to_string()))?;
            Head::from_bytes(&bytes)
                .map_err(|error| wrong(format!("{HEAD_FILE}: {error}; {again}")))?
        } else {
            Head::from_bytes(MODEL_HEAD).expect("the compiled-in weights are ours")
        };
        if head.embedding != transformer.length() || head.fingerprint != transformer.fingerprint() {
            return Err(wrong(format!(
                "its weights are not those that the head was trained with; {again}"
            )));
        }
        let fingerprint = transformer.fingerprint().get(..8).unwrap_or("").to_owned();
        let name = format!("{}-{fingerprint}-{GENERATION}", transformer.name());
        Ok(Self {
            transformer,
            head,
            name,
        })
    }
}

/// Whether the model of a folder can be used: it is loaded, and forgotten again. Takes a second.
///
/// # Errors
/// What would keep the rules alone.
#[cfg(feature = "classify")]
pub fn verify_model(folder: &std::path::Path) -> Result<(), ModelError> {
    Model::load(folder).map(drop)
}

/// Without the cargo feature `classify` no model can be used.
///
/// # Errors
/// Always.
#[cfg(not(feature = "classify"))]
pub fn verify_model(folder: &std::path::Path) -> Result<(), ModelError> {
    Err(ModelError::Unusable {
        folder: folder.to_owned(),
        why: "this program was built without the cargo feature `classify`".to_owned(),
    })
}
