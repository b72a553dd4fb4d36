"""Ratios of paired samples: the geometric mean over blocks, with a 95% t interval of the log ratios."""

import math
import statistics

# 97.5% quantiles of Student's t by degrees of freedom, from 1 (NIST/SEMATECH e-Handbook, 1.3.6.7.2).
T_QUANTILES = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
    2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086,
    2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
]  # fmt: skip


def paired_ratio(numerators, denominators):
    """The ratio with the ends of its interval, which are None for a single pair.

    >>> paired_ratio([2, 2], [1, 1])
    (2.0, 2.0, 2.0)
    >>> paired_ratio([3], [2])
    (1.5, None, None)

    The logs of 2 and 8 are ln 4 - ln 2 and ln 4 + ln 2; half the interval is 12.706 * ln 2.

    >>> ratio, low, high = paired_ratio([2, 8], [1, 1])
    >>> round(ratio, 9), round(math.log(high / ratio) / math.log(2), 6), round(low * high, 6)
    (4.0, 12.706, 16.0)
    """
    logs = [math.log(above / below) for above, below in zip(numerators, denominators, strict=True)]
    mean = statistics.fmean(logs)
    if len(logs) == 1:
        return math.exp(mean), None, None
    # Beyond the table it falls to 1.96 only: its last value is a little cautious.
    quantile = T_QUANTILES[min(len(logs) - 1, len(T_QUANTILES)) - 1]
    half = quantile * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def in_words(ratio, low, high):
    """
    >>> in_words(12.3456, 11.98, 12.71)
    '12.3 (12.0–12.7)'
    >>> in_words(0.98765, None, None)
    '0.988'
    """
    text = three_digits(ratio)
    return text if low is None else f"{text} ({three_digits(low)}–{three_digits(high)})"


def three_digits(value):
    """
    >>> [three_digits(value) for value in (0.0123, 0.9996, 1.5, 123.4, 98765)]
    ['0.0123', '1.00', '1.50', '123', '98,800']
    """
    rounded = float(f"{value:.3g}")
    decimals = 2 - math.floor(math.log10(rounded)) if rounded > 0 else 0
    return f"{rounded:,.{max(decimals, 0)}f}"
