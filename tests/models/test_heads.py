"""Classes for a task: the body of a family under a small head, by the names of its tensors."""

import pytest

from llmplanner.core.errors import BadInput
from llmplanner.core.tensors import inventory, parameters
from llmplanner.models.config import from_config


def tensors(model_type: str, name: str, **entries: object) -> dict[str, tuple[int, ...]]:
    model = from_config({"model_type": model_type, "architectures": [name], **entries}, "a", "a.json")
    return {tensor.name: tensor.shape for tensor in inventory(model)}


def test_a_classifier_has_an_output_for_each_class_that_the_file_names() -> None:
    found = tensors("roberta", "RobertaForSequenceClassification", id2label={"0": "no", "1": "yes", "2": "?"})
    assert found["classifier.out_proj.weight"] == (3, 768)
    assert "roberta.pooler.dense.weight" not in found
    assert "lm_head.dense.weight" not in found
    assert "roberta.embeddings.word_embeddings.weight" in found


def test_a_decoder_that_scores_has_no_output_matrix() -> None:
    found = tensors("llama", "LlamaForSequenceClassification", num_labels=1, vocab_size=128)
    assert found["score.weight"] == (1, 4096)
    assert "lm_head.weight" not in found
    assert "model.embed_tokens.weight" in found


def test_a_question_answering_decoder_calls_its_body_otherwise() -> None:
    assert "transformer.layers.0.mlp.up_proj.weight" in tensors("llama", "LlamaForQuestionAnswering")


def test_bert_keeps_its_pooler_for_sequences_alone() -> None:
    pooler = "bert.pooler.dense.weight"
    assert pooler in tensors("bert", "BertForSequenceClassification")
    assert pooler not in tensors("bert", "BertForTokenClassification")


def test_a_reward_model_of_qwen_scores_with_two_matrices() -> None:
    """Qwen2.5-Math-RM-72B: a matrix as wide as the hidden state, and one to a score, with biases."""
    entries = {
        "hidden_size": 8192,
        "intermediate_size": 29568,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "vocab_size": 152064,
    }
    config = {"model_type": "qwen2", "architectures": ["Qwen2ForRewardModel"], **entries}
    model = from_config(config, "a", "a.json")
    body = from_config({**config, "architectures": ["Qwen2Model"]}, "a", "a.json")
    assert parameters(model).total - parameters(body).total == 8192 * 8192 + 8192 + 8192 + 1


@pytest.mark.parametrize("labels", [{}, [], "many"])
def test_classes_that_are_none_are_refused(labels: object) -> None:
    with pytest.raises(BadInput, match="id2label"):
        tensors("bert", "BertForSequenceClassification", id2label=labels)


def test_an_unknown_body_counts_as_its_type_and_says_so() -> None:
    config = {"model_type": "mistral", "architectures": ["MistralBidirectionalModel"]}
    model = from_config(config, "a", "a.json")
    assert "MistralBidirectionalModel" in model.note
    assert model.head.linear is None
