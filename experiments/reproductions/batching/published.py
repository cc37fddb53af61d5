"""What arXiv 2503.08311 measured: summaries of the authors' released logs
(FerranAgulloLopez/vLLMBatchingMemoryGap), one H100, vLLM, FP16, ShareGPT, 2,000 prompts, most
likely of 64 GiB.
"""

from typing import NamedTuple


class Online(NamedTuple):
    """One run with a largest batch (``max-num-seqs``)."""

    batch: int
    running: float  # mean running batch
    rate: float  # input and output tokens [token/s]
    latency: float  # mean time between tokens [ms]
    cache: float  # largest share of the cache in use [%]
    preempted: bool = False


def _runs(text: str) -> tuple[Online, ...]:
    found = []
    for word in text.split():
        batch, running, rate, latency, cache = word.split(":")
        numbers = (int(batch), float(running), float(rate), float(latency))
        found.append(Online(*numbers, float(cache.rstrip("p")), cache.endswith("p")))
    return tuple(found)


ONLINE = {
    "opt-1.3b": _runs(
        "1:1.0:381:3.62:0.6 2:2.0:731:3.78:1.0 4:3.8:1399:3.93:1.4 8:7.5:2400:4.57:2.1"
        " 16:14.3:4042:5.38:3.6 32:27.4:5734:7.51:5.8 64:51.5:8144:10.40:10.2"
        " 96:75.0:9033:13.89:16.0 128:98.5:9507:17.35:18.9 192:141.9:10318:23.58:28.3"
        " 256:183.8:10810:29.27:38.0 384:263.9:11145:40.88:54.3 512:337.2:11204:52.11:70.4"
        " 640:402.4:11298:61.68:85.3 768:459.5:11050:72.89:96.8"
    ),
    "opt-2.7b": _runs(
        "1:1.0:225:6.21:1.1 2:2.0:439:6.36:1.7 4:3.9:775:7.20:3.0 8:7.6:1482:7.51:4.2"
        " 16:14.8:2582:8.53:6.4 32:28.5:3943:11.09:10.3 64:53.9:5425:15.72:18.0"
        " 96:78.9:6185:20.38:27.7 128:102.8:6586:25.18:32.9 192:149.9:7037:34.71:49.6"
        " 256:193.5:7468:42.46:66.2 384:277.3:7746:58.90:96.1 512:304.7:8184:62.82:100p"
    ),
    "llama-2-7b": _runs(
        "1:1.0:124:10.90:2.2 2:2.0:242:11.18:2.6 4:3.9:462:11.70:4.2 8:7.8:860:12.54:6.8"
        " 16:15.3:1489:14.38:10.5 32:29.8:2404:17.64:18.7 64:56.7:3539:23.38:32.0"
        " 96:84.2:3951:31.19:45.8 128:109.3:4412:36.67:60.9 192:159.6:4974:47.84:87.6"
        " 256:198.3:5256:56.75:100p 512:206.4:5374:60.34:100p"
    ),
    "llama-2-13b": _runs(
        "1:1.0:68.9:19.68:4.5 2:2.0:135:20.04:5.9 4:4.0:259:20.86:9.5 8:7.9:489:22.10:13.4"
        " 16:15.4:866:24.69:23.2 32:30.2:1439:29.46:37.8 64:58.7:2158:38.59:71.2"
        " 80:72.3:2375:43.43:86.4 96:85.7:2538:48.37:99.9p 128:101.1:2757:53.74:100p"
        " 192:102.7:2791:55.30:100p 512:102.6:2799:58.12:100p"
    ),
}
"""Throughput against the largest batch (figures 2 and 3)."""

CHOSEN = {
    "opt-1.3b": {(0.1, 2): 96, (0.1, 3): 128, (0.1, 4): 256, (0.2, 3): 96},
    "opt-2.7b": {(0.1, 2): 96, (0.1, 3): 128, (0.1, 4): 256, (0.2, 3): 128},
    "llama-2-7b": {(0.1, 2): 96, (0.1, 3): 192, (0.1, 4): 192, (0.2, 3): 192},
    "llama-2-13b": {(0.1, 2): 80, (0.1, 3): 80, (0.1, 4): 80, (0.2, 3): 80},
}
"""Batches by floor and promise, in multiples of the latency at batch 32; 96 and 256 of both OPT are
those that the authors replicated."""

DECODE = {
    "opt-1.3b": {
        1: 1.357, 2: 1.459, 4: 1.483, 8: 1.548, 16: 1.775, 32: 2.198, 64: 3.132, 96: 4.012,
        128: 4.919, 192: 6.977, 256: 8.884, 384: 12.936, 512: 17.192,
    },
    "opt-2.7b": {
        1: 2.120, 2: 2.189, 4: 2.247, 8: 2.383, 16: 2.678, 32: 3.326, 64: 4.562, 128: 7.185,
        256: 12.569,
    },
}  # fmt: skip
"""Seconds of 337 decode steps by batch; input 161, output 338 tokens."""

STEPS = 337
OFFLINE_CONTEXT = 161 + 338 / 2
AFFINE = {"opt-1.3b": (3.95, 86.9, 5.0), "opt-2.7b": (6.15, 118.8, 2.0)}
"""Step = a + b·B: a [ms], b [µs], largest error [%]; fitted to ``DECODE`` by others."""

REPLICATED = {
    "opt-1.3b": {96: {1: 9121, 2: 12314, 4: 13172}, 256: {1: 10871, 2: 14670, 4: 14720}},
    "opt-2.7b": {96: {1: 6172, 2: 7726}, 128: {1: 6605, 2: 8377}},
}
"""token/s by batch and replicas (table IV)."""

ALL_IN_ONE = {"opt-1.3b": (768, 10968), "opt-2.7b": (384, 7428)}
"""The largest batch, and its token/s without replicas."""

ONLINE_CONTEXT = {"opt-1.3b": 257, "opt-2.7b": 251}
"""Mean prompt and half the mean output of the requests: (221,292 + 584,000 / 2) / 2,000."""
