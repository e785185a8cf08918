//! The files of a model folder: compared with their checksums, and read piece by piece.
//!
//! # Why
//!
//! A file of weights read whole stands in memory twice until its tensors are made: it is hashed
//! through a small buffer, and then each tensor is read when it is asked for.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Seek as _;
use std::io::SeekFrom;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;

use candle_core::DType;
use candle_core::Device;
use candle_core::Shape;
use candle_core::Tensor;
use candle_nn::Init;
use candle_nn::var_builder::SimpleBackend;
use sha2::Digest as _;
use sha2::Sha256;

use crate::classify::ModelError;

/// The file of checksums, as `sha256sum` writes it.
const MANIFEST: &str = "SHA256SUMS";
/// The weights.
pub(super) const WEIGHTS: &str = "model.safetensors";
/// What a model folder must hold.
const FILES: [&str; 3] = ["config.json", "tokenizer.json", WEIGHTS];
/// The largest file that is read, bytes: a small sentence model, not a large one.
const LARGEST: u64 = 2 << 30;
/// The longest description of tensors, bytes.
const LONGEST_HEADER: u64 = 16 << 20;
/// Bytes hashed at once.
const PIECE: usize = 256 << 10;

/// Where a tensor stands, as the file describes it.
#[derive(serde::Deserialize)]
struct Place {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

/// A file of the folder, whole.
pub(super) fn read(folder: &Path, name: &str) -> Result<Vec<u8>, ModelError> {
    let mut bytes = Vec::new();
    let mut file = open(folder, name)?.0;
    match file.read_to_end(&mut bytes) {
        Ok(_length) => Ok(bytes),
        Err(error) => Err(fail(folder, name, &error.to_string())),
    }
}

/// Compares every file of the folder's manifest with its checksum; answers the checksums.
pub(super) fn verify(folder: &Path) -> Result<HashMap<String, String>, ModelError> {
    let wrong = |why: String| ModelError::Unusable {
        folder: folder.to_owned(),
        why,
    };
    if !folder.is_dir() {
        let why = "there is no such folder; `make model` makes models/all-MiniLM-L6-v2";
        return Err(wrong(why.to_owned()));
    }
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
        let found = checksum(folder, name)?;
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

/// The weights of a folder.
pub(super) struct Weights {
    file: Mutex<BufReader<File>>,
    tensors: HashMap<String, Stored>,
}

/// A tensor in the file.
struct Stored {
    kind: DType,
    shape: Vec<usize>,
    from: u64,
    size: usize,
}

impl Weights {
    /// Reads where the tensors stand, and that they do stand there.
    pub(super) fn open(folder: &Path) -> Result<Self, ModelError> {
        let wrong = |why: &str| fail(folder, WEIGHTS, why);
        let (mut file, length) = open(folder, WEIGHTS)?;
        let mut head = [0; 8];
        let short = |error: std::io::Error| wrong(&error.to_string());
        file.read_exact(&mut head).map_err(short)?;
        let header = u64::from_le_bytes(head);
        if header > length.min(LONGEST_HEADER) {
            return Err(wrong("it does not begin as safetensors do"));
        }
        let mut described = Vec::new();
        let mut front = file.by_ref().take(header);
        front.read_to_end(&mut described).map_err(short)?;
        let described: HashMap<String, serde_json::Value> = serde_json::from_slice(&described)
            .map_err(|_error| wrong("it does not begin as safetensors do"))?;
        let begin = 8 + header;
        let mut tensors = HashMap::new();
        let described = described.into_iter();
        for (name, place) in described.filter(|(name, _)| name != "__metadata__") {
            let place: Place = serde_json::from_value(place)
                .map_err(|error| wrong(&format!("{name:?} is not described: {error}")))?;
            let stored = place.checked(begin, length.saturating_sub(begin));
            let stored = stored.map_err(|why| wrong(&format!("{name:?} {why}")))?;
            tensors.extend(stored.map(|stored| (name, stored)));
        }
        Ok(Self {
            file: Mutex::new(file),
            tensors,
        })
    }

    fn read(&self, name: &str) -> candle_core::Result<Tensor> {
        let stored = self.tensors.get(name).ok_or_else(|| {
            let path = name.to_owned();
            candle_core::Error::CannotFindTensor { path }
        })?;
        let mut bytes = vec![0; stored.size];
        {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.seek(SeekFrom::Start(stored.from))?;
            file.read_exact(&mut bytes)?;
        }
        Tensor::from_raw_buffer(&bytes, stored.kind, &stored.shape, &Device::Cpu)
    }
}

impl SimpleBackend for Weights {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _init: Init,
        kind: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let tensor = self.get_unchecked(name, kind, device)?;
        if *tensor.shape() == shape {
            return Ok(tensor);
        }
        Err(candle_core::Error::UnexpectedShape {
            msg: name.to_owned(),
            expected: shape,
            got: tensor.shape().clone(),
        })
    }

    fn get_unchecked(
        &self,
        name: &str,
        kind: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        self.read(name)?.to_dtype(kind)?.to_device(device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }
}

impl Place {
    /// The tensor here, behind `begin`, of a file that holds so much data; `None`: it holds no
    /// weights.
    fn checked(self, begin: u64, data: u64) -> Result<Option<Stored>, &'static str> {
        let kind = match self.dtype.as_str() {
            "F64" => DType::F64,
            "F32" => DType::F32,
            "F16" => DType::F16,
            "BF16" => DType::BF16,
            _ => return Ok(None), // numbers of places, which are counted anyway
        };
        let (from, to) = self.data_offsets;
        let size = to.checked_sub(from).filter(|_| to <= data);
        let size = size.and_then(|size| usize::try_from(size).ok());
        let mut parts = self.shape.iter();
        let wanted = parts.try_fold(kind.size_in_bytes(), |size, part| size.checked_mul(*part));
        match size.filter(|size| Some(*size) == wanted) {
            Some(size) => Ok(Some(Stored {
                kind,
                shape: self.shape,
                from: begin + from,
                size,
            })),
            None => Err("is not where it should be"),
        }
    }
}

fn checksum(folder: &Path, name: &str) -> Result<String, ModelError> {
    let mut file = open(folder, name)?.0;
    let mut piece = vec![0; PIECE];
    let mut sum = Sha256::new();
    loop {
        let read = file.read(&mut piece);
        let length = read.map_err(|error| fail(folder, name, &error.to_string()))?;
        if length == 0 {
            let digest = sum.finalize();
            return Ok(digest.iter().map(|byte| format!("{byte:02x}")).collect());
        }
        sum.update(piece.get(..length).unwrap_or(&[]));
    }
}

/// A file of the folder, and its length.
fn open(folder: &Path, name: &str) -> Result<(BufReader<File>, u64), ModelError> {
    let opened = File::open(folder.join(name)).and_then(|file| {
        let length = file.metadata()?.len();
        Ok((BufReader::new(file), length))
    });
    let opened = opened.map_err(|error| fail(folder, name, &error.to_string()))?;
    if opened.1 > LARGEST {
        return Err(fail(folder, name, "it is larger than 2 GiB"));
    }
    Ok(opened)
}

fn fail(folder: &Path, name: &str, why: &str) -> ModelError {
    ModelError::Unusable {
        folder: folder.to_owned(),
        why: format!("{name}: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use candle_nn::VarBuilder;

    use super::*;

    fn written(header: &str, data: &[u8]) -> std::path::PathBuf {
        let name = format!("urlshort-weights-{}", uuid::Uuid::now_v7());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        std::fs::write(folder.join(WEIGHTS), bytes).unwrap();
        folder
    }

    #[test]
    fn tensors_are_read_one_by_one_and_half_numbers_as_whole_ones() {
        let header = r#"{"__metadata__":{"format":"pt"},
            "a":{"dtype":"F32","shape":[2,1],"data_offsets":[2,10]},
            "b":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]},
            "ids":{"dtype":"I64","shape":[0],"data_offsets":[0,0]}}"#;
        let mut data = vec![0x80, 0x3f]; // 1.0 of two bytes
        data.extend(0.5_f32.to_le_bytes());
        data.extend((-3.0_f32).to_le_bytes());
        let folder = written(header, &data);
        let weights = Weights::open(&folder).unwrap();
        assert!(weights.contains_tensor("b") && !weights.contains_tensor("ids"));
        let weights = VarBuilder::from_backend(Box::new(weights), DType::F32, Device::Cpu);
        let both = weights.get((2, 1), "a").unwrap();
        assert_eq!(both.to_vec2::<f32>().unwrap(), [[0.5], [-3.0]]);
        let half = weights.get(1, "b").unwrap();
        assert_eq!(half.to_vec1::<f32>().unwrap(), [1.0]);
        assert!(weights.get((1, 2), "a").is_err() && weights.get(1, "c").is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn weights_that_lie_about_themselves_are_told() {
        let cases = [
            "no json",
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#,
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}"#,
            r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#,
            r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,18446744073709551615]}}"#,
            r#"{"a":7}"#,
        ];
        for header in cases {
            let folder = written(header, &[0; 4]);
            let error = Weights::open(&folder).err().unwrap().to_string();
            assert!(error.contains(WEIGHTS), "{header}: {error}");
            std::fs::remove_dir_all(folder).unwrap();
        }
        let folder = written("", &[]);
        std::fs::write(folder.join(WEIGHTS), u64::MAX.to_le_bytes()).unwrap();
        assert!(Weights::open(&folder).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
