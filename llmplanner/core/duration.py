"""How long a number of operations takes, and how many devices finish it in a given time."""

import numpy as np

from llmplanner.core.flops import PF_DAY, Number

SECONDS_PER_HOUR = 3600.0
SECONDS_PER_DAY = 86_400.0


def device_hours(flops: Number, peak: Number, efficiency: Number) -> Number:
    """Hours of one device, added over all that share the work.

    `peak` is one device's dense FLOP/s at the precision used; `efficiency` is the share of it that a whole
    run reaches (MFU). Source: Chowdhery et al. 2022 (arXiv:2204.02311) app. B, solved for time.
    """
    return flops / (peak * efficiency * SECONDS_PER_HOUR)


def days(flops: Number, devices: Number, peak: Number, efficiency: Number) -> Number:
    """Days from start to end on `devices` devices that all work at the same efficiency."""
    return flops / (devices * peak * efficiency * SECONDS_PER_DAY)


def devices_for_days(flops: Number, limit: Number, peak: Number, efficiency: Number) -> Number:
    """The fewest devices that finish within `limit` days; the efficiency is taken to stay as they grow."""
    exact = flops / (limit * peak * efficiency * SECONDS_PER_DAY)
    return np.ceil(exact * (1 - 1e-12))  # a quotient that rounding left just above a whole number


def devices_per_pf_day(peak: Number, efficiency: Number = 1.0) -> Number:
    """Devices that do one PF-day in a day: 8 V100 SXM in FP16, 3.2 A100 in dense BF16, at full efficiency."""
    return PF_DAY / (peak * efficiency * SECONDS_PER_DAY)


def implied_efficiency(flops: Number, hours: Number, peak: Number) -> Number:
    """The efficiency of a whole run, from its model operations and its device-hours.

    Restarts and evaluation count against it; above 0.7, units or operations are most likely wrong.
    """
    return flops / (hours * SECONDS_PER_HOUR * peak)
