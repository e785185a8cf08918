//! Whether a folder holds a model that can be used, and why not.

use std::path::PathBuf;

#[cfg(feature = "classify")]
use crate::classify::model_files;

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

/// Looks at the files of a model without loading them.
///
/// # Errors
/// Where one is missing or is not what the manifest says.
#[cfg(feature = "classify")]
pub fn verify_model(folder: &std::path::Path) -> Result<(), ModelError> {
    model_files::verify(folder).map(drop)
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
