"""A scenario small enough to be searched in a test."""

SMALL = """
description = "small"
[workload]
model = "llama-3.1-8b"
context = 4096
weight_bits = 8
kv_bits = 8
activation_bits = 8
promise = "20 ms"
[technology]
node = "N3"
memory = "HBM4"
link = "NVLink6"
[space]
memory_bandwidth = ["500 GB/s", "50 TB/s"]
memory_capacity = ["8 GB", "2 TB"]
peak_flops = ["50 TFLOP/s", "20 PFLOP/s"]
link_bandwidth = ["20 GB/s", "4 TB/s"]
chips = [1, 16]
batch = [1, 256]
[choices]
collectives = ["two-shot"]
dies = [1]
pipeline = [1]
[search]
objectives = ["tokens/s/$", "tokens/s/user"]
weights = 4
"""
