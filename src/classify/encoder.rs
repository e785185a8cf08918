//! The layers of a BERT model, over texts that stand one behind the other without padding.
//!
//! # Why
//!
//! The model of `candle-transformers` pads every text to the longest of its batch, copies before
//! each step of the attention, and activates one number at a time: of its time two fifths were
//! matrix products. Here nearly everything is. Its configuration is read as it is, and a test holds
//! that both give the same.

use candle_core::CpuStorage;
use candle_core::CustomOp1;
use candle_core::InplaceOp1;
use candle_core::InplaceOp2;
use candle_core::Layout;
use candle_core::Result;
use candle_core::Shape;
use candle_core::Tensor;
use candle_nn::VarBuilder;
use candle_transformers::models::bert::Config;
use candle_transformers::models::bert::HiddenAct;

use crate::classify::activations::Activation;
use crate::classify::kernels;
use crate::classify::kernels::Heads;
use crate::classify::kernels::Norm;

/// A model's layers.
pub(super) struct Encoder {
    /// A row for each word that the tokenizer knows.
    words: Tensor,
    /// A row for each place in a text; the kind of text, which is always the first, is in it.
    places: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
    activation: Activation,
    heads: usize,
    width: usize,
}

struct Layer {
    /// Queries, keys and values in one product.
    asked: Product,
    taken: Product,
    norm_taken: Norm,
    widened: Product,
    narrowed: Product,
    norm: Norm,
}

/// A matrix that rows are multiplied with, and what is added then.
struct Product {
    matrix: Tensor,
    bias: Vec<f32>,
}

impl Encoder {
    /// Takes the weights by the names that BERT gives them.
    pub(super) fn load(weights: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        let weights = if weights.contains_tensor("embeddings.word_embeddings.weight") {
            weights.clone()
        } else {
            weights.pp("bert")
        };
        let (width, heads) = (config.hidden_size, config.num_attention_heads);
        if heads == 0 || !width.is_multiple_of(heads) {
            candle_core::bail!(
                "num_attention_heads is {heads}, which does not divide the hidden_size of {width}"
            );
        }
        let embeddings = weights.pp("embeddings");
        let rows = |name: &str, count: usize| embeddings.pp(name).get((count, width), "weight");
        let places = rows("position_embeddings", config.max_position_embeddings)?;
        let kind = rows("token_type_embeddings", config.type_vocab_size)?.narrow(0, 0, 1)?;
        let layers = (0..config.num_hidden_layers)
            .map(|number| Layer::load(&weights.pp(format!("encoder.layer.{number}")), config));
        Ok(Self {
            words: rows("word_embeddings", config.vocab_size)?,
            places: places.broadcast_add(&kind)?.flatten_all()?.to_vec1()?,
            norm: norm(&embeddings.pp("LayerNorm"), config)?,
            layers: layers.collect::<Result<_>>()?,
            activation: match config.hidden_act {
                HiddenAct::Gelu => Activation::Gelu,
                HiddenAct::GeluApproximate => Activation::GeluApproximate,
                HiddenAct::Relu => Activation::Relu,
            },
            heads,
            width,
        })
    }

    /// A row for each token of these texts, one text behind the other.
    pub(super) fn forward(&self, texts: &[&[u32]]) -> Result<Vec<f32>> {
        let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        let mut hidden = self.words.apply_op1_no_bwd(&LookUp {
            texts,
            places: &self.places,
            norm: &self.norm,
            width: self.width,
        })?;
        let heads = Heads {
            lengths: &lengths,
            count: self.heads,
            width: self.width,
        };
        for layer in &self.layers {
            hidden = layer.forward(&hidden, &heads, self.activation)?;
        }
        hidden.flatten_all()?.to_vec1()
    }
}

impl Layer {
    fn load(weights: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        let (width, wide) = (config.hidden_size, config.intermediate_size);
        let own = weights.pp("attention.self");
        let parts = ["query", "key", "value"].map(|name| own.pp(name));
        let matrices = parts
            .each_ref()
            .map(|part| part.get((width, width), "weight"));
        let biases = parts.each_ref().map(|part| part.get(width, "bias"));
        let [query, key, value] = matrices;
        let [of_query, of_key, of_value] = biases;
        Ok(Self {
            asked: Product::new(
                &Tensor::cat(&[query?, key?, value?], 0)?,
                &Tensor::cat(&[of_query?, of_key?, of_value?], 0)?,
            )?,
            taken: Product::load(&weights.pp("attention.output.dense"), width, width)?,
            norm_taken: norm(&weights.pp("attention.output.LayerNorm"), config)?,
            widened: Product::load(&weights.pp("intermediate.dense"), width, wide)?,
            narrowed: Product::load(&weights.pp("output.dense"), wide, width)?,
            norm: norm(&weights.pp("output.LayerNorm"), config)?,
        })
    }

    fn forward(&self, hidden: &Tensor, heads: &Heads<'_>, between: Activation) -> Result<Tensor> {
        let asked = hidden.matmul(&self.asked.matrix)?;
        let taken = asked.apply_op1_no_bwd(&Attend {
            bias: &self.asked.bias,
            heads,
        })?;
        let taken = taken.matmul(&self.taken.matrix)?;
        taken.inplace_op2(hidden, &AddAndNorm::of(&self.taken, &self.norm_taken))?;
        let widened = taken.matmul(&self.widened.matrix)?;
        widened.inplace_op1(&Activate {
            bias: &self.widened.bias,
            activation: between,
        })?;
        let narrowed = widened.matmul(&self.narrowed.matrix)?;
        narrowed.inplace_op2(&taken, &AddAndNorm::of(&self.narrowed, &self.norm))?;
        Ok(narrowed)
    }
}

impl Product {
    fn load(weights: &VarBuilder<'_>, from: usize, to: usize) -> Result<Self> {
        Self::new(
            &weights.get((to, from), "weight")?,
            &weights.get(to, "bias")?,
        )
    }

    /// The matrix is kept as the product reads it.
    fn new(matrix: &Tensor, bias: &Tensor) -> Result<Self> {
        Ok(Self {
            matrix: matrix.t()?.contiguous()?,
            bias: bias.to_vec1()?,
        })
    }
}

/// Older files call the two gamma and beta.
fn norm(weights: &VarBuilder<'_>, config: &Config) -> Result<Norm> {
    let either = |name: &str, old: &str| {
        let name = if weights.contains_tensor(old) {
            old
        } else {
            name
        };
        weights.get(config.hidden_size, name)?.to_vec1()
    };
    #[expect(clippy::cast_possible_truncation, reason = "a very small number")]
    let epsilon = config.layer_norm_eps as f32;
    Ok(Norm {
        scale: either("weight", "gamma")?,
        shift: either("bias", "beta")?,
        epsilon,
    })
}

/// The numbers of a tensor that nobody made a view of.
fn numbers<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    let all = storage.as_slice::<f32>()?;
    let part = layout
        .contiguous_offsets()
        .and_then(|(from, to)| all.get(from..to));
    part.ok_or_else(|| candle_core::Error::Msg("a tensor is not contiguous".to_owned()))
}

fn numbers_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    let offsets = layout.contiguous_offsets();
    let CpuStorage::F32(all) = storage else {
        return Err(candle_core::Error::Msg("a tensor is not of f32".to_owned()));
    };
    let part = offsets.and_then(|(from, to)| all.get_mut(from..to));
    part.ok_or_else(|| candle_core::Error::Msg("a tensor is not contiguous".to_owned()))
}

/// Rows of words and places, added and normed.
struct LookUp<'a> {
    texts: &'a [&'a [u32]],
    places: &'a [f32],
    norm: &'a Norm,
    width: usize,
}

impl CustomOp1 for LookUp<'_> {
    fn name(&self) -> &'static str {
        "look-up"
    }

    fn cpu_fwd(&self, words: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let words = numbers(words, layout)?;
        let tokens: usize = self.texts.iter().map(|text| text.len()).sum();
        let mut rows = Vec::with_capacity(tokens * self.width);
        for text in self.texts {
            for (token, place) in text.iter().zip(self.places.chunks_exact(self.width)) {
                let start = *token as usize * self.width;
                let word = words.get(start..start + self.width).ok_or_else(|| {
                    candle_core::Error::Msg(format!("the model has no word {token}"))
                })?;
                rows.extend(word.iter().zip(place).map(|(word, place)| word + place));
            }
        }
        kernels::norm_rows(&mut rows, self.norm);
        Ok((CpuStorage::F32(rows), Shape::from((tokens, self.width))))
    }
}

/// Attention within each text.
struct Attend<'a> {
    bias: &'a [f32],
    heads: &'a Heads<'a>,
}

impl CustomOp1 for Attend<'_> {
    fn name(&self) -> &'static str {
        "attend"
    }

    fn cpu_fwd(&self, asked: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let taken = kernels::attend(numbers(asked, layout)?, self.bias, self.heads);
        let shape = Shape::from((taken.len() / self.heads.width.max(1), self.heads.width));
        Ok((CpuStorage::F32(taken), shape))
    }
}

/// Bias and activation.
struct Activate<'a> {
    bias: &'a [f32],
    activation: Activation,
}

impl InplaceOp1 for Activate<'_> {
    fn name(&self) -> &'static str {
        "activate"
    }

    fn cpu_fwd(&self, values: &mut CpuStorage, layout: &Layout) -> Result<()> {
        kernels::activate(numbers_mut(values, layout)?, self.bias, self.activation);
        Ok(())
    }
}

/// Bias, what stood there before, and norm.
struct AddAndNorm<'a> {
    bias: &'a [f32],
    norm: &'a Norm,
}

impl<'a> AddAndNorm<'a> {
    fn of(product: &'a Product, norm: &'a Norm) -> Self {
        Self {
            bias: &product.bias,
            norm,
        }
    }
}

impl InplaceOp2 for AddAndNorm<'_> {
    fn name(&self) -> &'static str {
        "add and norm"
    }

    fn cpu_fwd(
        &self,
        values: &mut CpuStorage,
        layout: &Layout,
        before: &CpuStorage,
        before_layout: &Layout,
    ) -> Result<()> {
        let before = numbers(before, before_layout)?;
        kernels::add_and_norm(numbers_mut(values, layout)?, self.bias, before, self.norm);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use candle_core::DType;
    use candle_core::Device;
    use candle_nn::VarMap;
    use candle_transformers::models::bert::BertModel;

    use super::*;

    /// Weights that the reference makes up, and the same for us.
    fn check(activation: HiddenAct, hidden: usize, heads: usize, prefix: &str) {
        let config = Config {
            vocab_size: 50,
            hidden_size: hidden,
            num_hidden_layers: 2,
            num_attention_heads: heads,
            intermediate_size: hidden * 4,
            hidden_act: activation,
            max_position_embeddings: 40,
            ..Config::default()
        };
        let made = VarMap::new();
        let weights = VarBuilder::from_varmap(&made, DType::F32, &Device::Cpu);
        let theirs = BertModel::load(weights, &config).unwrap();
        let tensors: HashMap<String, Tensor> = {
            let data = made.data().lock().unwrap();
            let named = data.iter();
            named
                .map(|(name, tensor)| (format!("{prefix}{name}"), tensor.as_tensor().clone()))
                .collect()
        };
        let weights = VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu);
        let ours = Encoder::load(&weights, &config).unwrap();
        let texts: [Vec<u32>; 3] = [
            (0..37).map(|at| at * 7 % 50).collect(),
            vec![3],
            (0..16).collect(),
        ];
        let asked: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
        let together = ours.forward(&asked).unwrap();
        let mut rows = together.chunks_exact(hidden);
        for text in &texts {
            let ids = Tensor::new(text.as_slice(), &Device::Cpu).unwrap();
            let ids = ids.unsqueeze(0).unwrap();
            let kinds = ids.zeros_like().unwrap();
            let wanted = theirs.forward(&ids, &kinds, None).unwrap();
            let wanted: Vec<Vec<f32>> = wanted.squeeze(0).unwrap().to_vec2().unwrap();
            for (number, wanted) in wanted.iter().enumerate() {
                let found = rows.next().unwrap();
                let distances = found.iter().zip(wanted).map(|(a, b)| (a - b).abs());
                let distance = distances.fold(0.0, f32::max);
                assert!(
                    distance < 2e-5,
                    "{activation:?} {hidden} {number}: {distance}"
                );
            }
        }
        assert!(rows.next().is_none());
        assert!(ours.forward(&[&[50]]).is_err());
    }

    #[test]
    fn texts_without_padding_give_what_the_reference_gives_for_each_alone() {
        check(HiddenAct::Gelu, 64, 2, "");
        check(HiddenAct::Gelu, 60, 3, "bert.");
        check(HiddenAct::GeluApproximate, 48, 4, "");
        check(HiddenAct::Relu, 40, 5, "bert.");
    }
}
