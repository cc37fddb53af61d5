"""Rows of measured files: names, traps of the public data, and a reason for every row left out."""

import math

import pytest

from codesign.calibration.cases import INFERENCEX_LENGTH, Case, map_rows
from codesign.calibration.kernel_tables import read_kernels
from codesign.calibration.layers import layer_keys
from codesign.calibration.measurements import read_measurements
from codesign.calibration.names import Formats, engine, formats, model_candidates
from codesign.calibration.structures import formats_of, precision
from codesign.workload.catalogue import index
from hardware_priors.families import catalogue_name
from hardware_priors.machines import find_machine, machine
from tests.codesign.calibration.synthetic import line, write

FP8 = Formats(weights=8.0, experts=8.0, cache=8.0, activations=8.0, product_width=8, expert_width=8)


def mapped(tmp_path, rows):
    return map_rows(read_measurements(write(tmp_path, rows)), find_machine, index().get)


def only(tmp_path, **fields) -> Case:
    cases, unmapped = mapped(tmp_path, [line(**fields)])
    assert not unmapped, unmapped
    return cases[0]


def reason(tmp_path, **fields) -> str:
    cases, unmapped = mapped(tmp_path, [line(**fields)])
    assert not cases
    return unmapped[0].reason


@pytest.mark.parametrize(
    ("printed", "found"),
    [
        ("meta-llama/Llama-3.1-405B-Instruct-FP8", "llama-3.1-405b"),
        ("DeepSeek-R1-0528", "deepseek-r1"),
        ("RedHatAI/Llama-4-Scout-17B-16E-Instruct-FP8-dynamic", "llama-4-scout"),
        ("Meta-Llama-3.1-8B-Instruct-quantized.w4a16", "llama-3.1-8b"),
        ("Qwen/Qwen3-Coder-480B-A35B-Instruct-FP8", "qwen3-coder-480b-a35b"),
        ("Llama 3.1 70B", "llama-3.1-70b"),
    ],
)
def test_printed_model_names_are_found(printed, found):
    names = [index()[name] for name in model_candidates(printed) if name in index()]
    assert names and names[0] == index()[found]


def test_printed_device_names_are_found():
    assert catalogue_name("NVIDIA H100 80GB HBM3") == "h100"
    assert catalogue_name("GB200-NVL72") == "gb200"
    assert catalogue_name("H100 PCIe 80GB") != "h100"  # another machine
    assert catalogue_name("Abacus 9000") is None


def test_releases_are_half_years_by_version_and_else_by_date():
    assert engine("vllm-0.12.0").release == "2025H2"
    assert (
        engine("vllm [vllm-openai:v0.19.0-cu130]", "2025-01").release == "2026H1"
    )  # the version knows better
    assert engine("trtllm", "2025-11-02").release == "2025H2"
    assert engine("vllm").release == ""


def test_4_bit_means_four_things():
    def read(model, hardware, software) -> Formats:
        found = formats("fp4", "", model, hardware, software)
        assert found is not None
        return found

    assert read("gpt-oss-120b", "h200", "vllm").product_width == 16
    assert read("gpt-oss-120b", "b200", "vllm").expert_width == 8
    assert read("deepseek-r1", "b200", "tensorrt-llm").weights == 16.0
    dense = read("llama-3.3-70b", "b200", "tensorrt-llm")
    assert (dense.weights, dense.product_width) == (4.5, 4)
    assert formats("int3?", "", "llama-3.3-70b", "b200", "vllm") is None


@pytest.mark.parametrize(
    ("printed", "hardware"),
    [("fp8", "h100"), ("fp4", "b200"), ("bf16", "h100"), ("q4", "rtx-4090")],
)
def test_a_precision_goes_by_the_name_of_the_formats_that_it_was_made_of(printed, hardware):
    for model in ("llama-3.1-8b", "deepseek-r1", "gpt-oss-120b"):
        measured = formats(printed, "", model, hardware, "vllm")
        assert measured is not None
        again = formats_of(precision(measured))
        assert (again.name, again.cache) == (measured.name, measured.cache)


def test_first_scheduler_of_vllm_is_an_engine_of_its_own():
    assert engine("vLLM", "2024").variant == "vllm-v0"
    assert engine("vllm-0.19.0", "2026-02").variant == "vllm"


def test_kernels_of_other_vendors_are_variants_of_their_engines(tmp_path):
    assert engine("vllm", "2026", "MI300X").variant == "vllm-rocm"
    assert engine("vLLM", "2024", "MI250").variant == "vllm-v0-rocm"
    assert engine("llama.cpp", "", "Intel-Max-1550 (PVC)").variant == "llama.cpp-xpu"
    assert engine("llama.cpp", "", "M3 Ultra").variant == "llama.cpp"


def test_llama_cpp_splits_layers_over_its_chips(tmp_path):
    """``tp`` of 1 on four chips are no four replicas."""
    rows = {"n_chips": 4, "tp": 1, "phase": "static_batch_prefill+decode"}
    split = only(tmp_path, software="llama.cpp", **rows)
    assert (split.pipeline, split.replicas, split.concurrency) == (4.0, 1.0, 8.0)
    served = only(tmp_path, software="vllm", **rows)
    assert (served.pipeline, served.replicas, served.concurrency) == (1.0, 4.0, 2.0)


def test_models_of_one_architecture_share_what_was_learnt():
    keys = [
        layer_keys(machine("h100"), FP8, engine("vllm"), name)
        for name in ("deepseek-v3", "deepseek-r1")
    ]
    assert keys[0] == keys[1]


def test_kernels_of_an_engine_for_a_format_are_learnt_on_every_device():
    half = Formats(16.0, 16.0, 16.0, 16.0, 16, 16)

    def member(device, bits, software):
        return layer_keys(machine(device), bits, engine(software), "llama-3.1-70b")["engine_format"]

    assert member("h100", FP8, "vllm") == member("b200", FP8, "vllm")
    assert member("h100", FP8, "vllm") != member("h100", half, "vllm")
    assert member("h100", FP8, "vllm") != member("h100", FP8, "sglang")


def test_skewed_routing_teaches_no_arithmetic(tmp_path):
    head = "hardware,software,moe_dtype,hidden_size,inter_size,topk,num_experts,moe_tp_size,"
    head += "moe_ep_size,distribution,num_tokens,latency_us"
    row = "H100-SXM,trtllm,fp8,7168,2048,8,256,1,1,{},4096,5227"
    path = tmp_path / "moe.csv"
    path.write_text("\n".join([head, row.format("balanced"), row.format("power_law_1.2")]) + "\n")
    read = read_kernels(path, find_machine)
    assert read is not None and len(read.seconds) == 1
    assert read.keys[0]["expert_format"] == "hopper/8x8"


def test_lengths_of_inferencex_are_nine_tenths_of_nominal(tmp_path):
    case = only(tmp_path, source="InferenceX(SemiAnalysis)-via-AIC", input_len=8192)
    assert case.prompt == pytest.approx(8192 * INFERENCEX_LENGTH)
    assert only(tmp_path, input_len=8192).prompt == 8192


@pytest.mark.parametrize(
    ("fields", "bits"),
    [
        ({"model": "MiniMax-M2.5", "precision_weights": "fp4", "hardware": "B200-SXM"}, 8.0),
        ({"model": "Llama-3.3-70B", "precision_weights": "fp8", "hardware": "MI355X"}, 8.0),
        ({"model": "DeepSeek-R1-0528", "precision_weights": "fp8", "hardware": "B200-SXM"}, 8.0),
        ({"model": "gpt-oss-120b", "precision_weights": "fp4", "hardware": "B200-SXM"}, 8.0),
        ({"model": "gpt-oss-120b", "precision_weights": "fp4", "hardware": "H200-SXM"}, 16.0),
        ({"model": "Llama-3.3-70B", "precision_weights": "bf16", "hardware": "B200-SXM"}, 16.0),
        ({"model": "Llama-3.3-70B", "precision_weights": "fp8", "precision_kv": "bf16"}, 16.0),
    ],
)
def test_caches_of_inferencex_are_those_of_its_recipes(tmp_path, fields, bits):
    source = "InferenceX(SemiAnalysis)-via-AIC"
    assert only(tmp_path, source=source, software="vllm", **fields).formats.cache == bits


def test_a_cache_that_no_recipe_states_is_that_of_the_engine(tmp_path):
    fields = {"model": "Llama-3.3-70B", "precision_weights": "fp8", "software": "vllm"}
    assert only(tmp_path, **fields).formats.cache == 16.0


def test_speculative_rows_are_left_out_with_their_reason(tmp_path):
    assert "drafts" in reason(tmp_path, phase="decode+interleaved_prefill_MTP")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "Nobody-7B"}, "Nobody-7B"),
        ({"hardware": "Abacus 9000"}, "Abacus 9000"),
        ({"precision_weights": "ternary"}, "ternary"),
        ({"phase": "dreaming"}, "dreaming"),
        ({"metric": "smiles"}, "smiles"),
        ({"batch_or_concurrency": ""}, "concurrency"),
        ({"n_chips": 0}, "number of chips"),
        ({"value": "fast"}, "'fast' is no positive number"),
        ({"value": ""}, "the value is not stated"),
        ({"value": -3.0}, "no positive number"),
        ({"value": "1e999"}, "no positive number"),
        ({"unit": "furlongs"}, "unit 'furlongs' is not known"),
        ({"tp": 0}, "tp is 0"),
        ({"input_len": 1e30}, "input_len is 1e+30"),
        ({"model": "\x1b[31mred\x07"}, "'\\x1b[31mred\\x07'"),
    ],
)
def test_rows_that_cannot_be_read_say_why(tmp_path, fields, words):
    assert words in reason(tmp_path, **fields)


def test_times_are_in_seconds_and_throughput_is_of_one_replica(tmp_path):
    assert only(tmp_path, value=12.5).value == pytest.approx(0.0125)
    case = only(
        tmp_path,
        metric="output_throughput",
        unit="tok/s",
        value=800.0,
        n_chips=8,
        tp=2,
        batch_or_concurrency=64,
    )
    assert (case.replicas, case.value, case.concurrency) == (4.0, 200.0, 16.0)


def test_concurrency_of_max_load_is_what_fits(tmp_path):
    case = only(
        tmp_path,
        phase="mixed_prefill+decode_max_load",
        metric="output_throughput",
        unit="tok/s",
        batch_or_concurrency="",
    )
    assert math.isnan(case.concurrency) and not case.fitted


def test_pools_are_read_by_worker(tmp_path):
    text = line(
        phase="decode(disagg)",
        n_chips=24,
        tp=8,
        batch_or_concurrency=128,
        model="DeepSeek-R1",
        precision_weights="fp8",
    )
    path = tmp_path / "pools.csv"
    header = write(tmp_path, []).read_text().strip()
    path.write_text(
        f"{header},prefill_layout,decode_layout\n{text},1x(tp8 ep8 dpattn1) on 8 GPUs,2x(tp8 ep8"
        " dpattn1) on 16 GPUs\n"
    )
    cases, _ = map_rows(read_measurements(path), find_machine, index().get)
    case = cases[0]
    assert (case.replicas, case.concurrency, case.data, case.tensor, case.expert) == (
        2.0,
        64.0,
        8.0,
        1.0,
        8.0,
    )
    assert case.prefill_chips == 4.0  # of eight, for each of two workers
