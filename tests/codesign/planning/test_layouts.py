"""Which layouts there are: what engines refuse is not among them, what they run is."""

import pytest

import codesign
from codesign.planning.layouts import Layout, heads, layouts


@pytest.fixture(scope="module")
def llama():
    return codesign.model("llama-3.1-70b")


@pytest.fixture(scope="module")
def deepseek():
    return codesign.model("deepseek-v3")


def test_every_layout_is_whole_and_within_its_bounds(llama, deepseek):
    for model in (llama, deepseek):
        of = heads(model)
        for one in layouts(model, 8, 64):
            assert one.chips <= 64 and (one.chips <= 8 or one.chips % 8 == 0)
            assert all(count % one.tensor == 0 for count in of.query)
            assert of.layers % one.pipeline == 0
            assert one.expert in (1, one.chips // one.pipeline)
            assert (of.experts * one.copies) % one.expert == pytest.approx(0.0)
        assert len(set(layouts(model, 8, 64))) == len(layouts(model, 8, 64))


def test_three_ranks_do_not_divide_64_heads(llama):
    # vLLM refuses: "Total number of attention heads (64) must be divisible by tensor parallel
    # size (3)" (github.com/vllm-project/vllm/issues/5003)
    assert not [one for one in layouts(llama, 8, 64) if one.tensor % 3 == 0]


@pytest.mark.parametrize(("name", "most"), [("qwen3.5-397b-a17b", 16), ("granite-4.0-h-small", 32)])
def test_key_heads_of_recurrent_layers_are_divided_too(name, most):
    """32 query heads and 64 or 128 value heads; 16 key heads in Qwen3.5, one in Granite, of which
    every rank has a copy."""
    assert max(one.tensor for one in layouts(codesign.model(name), 64, 64)) == most


@pytest.mark.parametrize(
    "published",
    [
        Layout(tensor=8),  # DeepSeek-R1 on 8 × H200
        Layout(data=32, expert=32),  # DeepSeek-V3 prefill, arXiv 2412.19437 §3.4.1: EP32
        Layout(tensor=4, data=8, expert=32),  # the same with its tensor degree of 4
        Layout(data=72, expert=72, copies=1.125),  # GB200 NVL72: 256 experts and 32 copies
        Layout(data=144, expert=144, copies=1.125),  # decode of DeepSeek-V3 on 18 nodes
    ],
    ids=Layout.words,
)
def test_published_layouts_are_offered(deepseek, published):
    domain = 72 if published.chips == 72 else 8
    assert published in layouts(deepseek, domain, 144)


def test_dense_models_have_no_data_groups(llama):
    assert all(one.data == 1 and one.expert == 1 for one in layouts(llama, 8, 64))
