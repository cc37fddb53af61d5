"""One instance, step by step: requests arrive at random times, wait for their prefill in line, and
decode one token a step."""

from collections import deque

import numpy as np


def simulate(decode, prompt, chunks, output, rate, slots, requests, seed):
    """Times to the first token and per token of every request after a warm-up [s]."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1.0 / rate, requests))
    waiting, running = deque(), deque()  # running: (step at which it ends, start time, index)
    first, per_token = np.full(requests, np.nan), np.full(requests, np.nan)
    now, steps, following, left = 0.0, 0, 0, 0
    chunk = prompt / chunks
    while following < requests or waiting or running:
        while following < requests and arrivals[following] <= now:
            waiting.append(following)
            following += 1
        if not waiting and not running:  # nothing to do: idle steps of an empty batch
            now += decode(0)
            continue
        if not left and waiting and len(running) < slots:
            left = chunks
        now += decode(len(running)) + (chunk if left else 0.0)
        steps += 1
        while running and running[0][0] <= steps:
            _, start, index = running.popleft()
            per_token[index] = (now - start) / output
        if left:
            left -= 1
            if not left:
                index = waiting.popleft()
                first[index] = now - arrivals[index]
                running.append((steps + output, now, index))
    warm = slice(requests // 10, requests - requests // 20)
    return first[warm], per_token[warm]
