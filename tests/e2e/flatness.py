"""Whether what a server takes stays the same over time."""

import statistics

LEAST_SAMPLES = 9
# How much more the last third may have than the second: a part, and an amount.
TOLERANCES = {"resident_bytes": (0.10, 2 << 20), "descriptors": (0.0, 3), "threads": (0.0, 3)}


def thirds(samples, name):
    """The medians of the second and the last third: the first is for growing to size."""
    count = len(samples) // 3
    values = [getattr(sample, name) for sample in samples]
    return statistics.median(values[count : 2 * count]), statistics.median(values[-count:])


def growing(samples):
    """Sentences about what grows. `samples`: Sampled of one run, in equal states; of too few, nothing is said."""
    sentences = []
    if len(samples) >= LEAST_SAMPLES:
        for name, (part, amount) in TOLERANCES.items():
            before, after = thirds(samples, name)
            if after > before * (1 + part) + amount:
                sentences.append(f"{name} grows from {before:.0f} to {after:.0f}, over {len(samples)} samples")
    return sentences
