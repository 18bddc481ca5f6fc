"""What a run costs in money and energy, and which of the limits on GPUs, time and money binds.

With limits, the run uses the GPUs at hand, or the plan's count where none are stated. A limit's use is what
the run needs over what there is; what all limits together allow is the least of money and devices x days.
"""

from dataclasses import dataclass, replace
from typing import Literal

from llmplanner.core.duration import SECONDS_PER_DAY, SECONDS_PER_HOUR, days, device_hours, devices_for_days
from llmplanner.core.flops import Number

LimitName = Literal["hardware", "time", "money"]
HOURS_PER_DAY = SECONDS_PER_DAY / SECONDS_PER_HOUR


def money(hours: Number, price: Number) -> Number:
    """Device-hours at a price per device-hour."""
    return hours * price


def energy(hours: Number, watts: Number, pue: Number) -> Number:
    """Kilowatt-hours: device-hours x the device's power x the data centre's power usage effectiveness.

    Source: Touvron et al. 2023 (arXiv:2302.13971) s6 (400 W, PUE 1.1). Hosts and network are left out.
    """
    return hours * watts * pue / 1000.0


@dataclass(frozen=True, slots=True)
class Run:
    """A training run: what is to be computed, and on what."""

    flops: float
    devices: int
    peak: float  # dense FLOP/s of one device
    efficiency: float
    price: float | None  # per device-hour; None: not known

    @property
    def hours(self) -> float:
        """Device-hours."""
        return float(device_hours(self.flops, self.peak, self.efficiency))

    @property
    def days(self) -> float:
        """Days from start to end."""
        return float(days(self.flops, self.devices, self.peak, self.efficiency))

    @property
    def cost(self) -> float | None:
        """Money for all device-hours."""
        return None if self.price is None else float(money(self.hours, self.price))

    def flops_in(self, hours: float) -> float:
        """Operations that `hours` device-hours buy."""
        return hours * SECONDS_PER_HOUR * self.peak * self.efficiency


@dataclass(frozen=True, slots=True)
class Limits:
    """What is at hand. None: no limit."""

    devices: int | None = None  # 1 or more
    days: float | None = None
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class LimitUse:
    """How much of one limit the run takes."""

    name: LimitName
    needed: float
    limit: float
    flops: float | None  # the largest run that this limit allows; None: it sets none by itself

    @property
    def share(self) -> float:
        """Needed over limit; over 1 the limit is broken. A limit of nothing is broken by anything needed."""
        if not self.limit:
            return float("inf") if self.needed else 0.0
        return self.needed / self.limit


def at_hand(run: Run, limits: Limits) -> Run:
    """The run as limits see it: on the devices at hand, or on its own where none are stated."""
    return run if limits.devices is None else replace(run, devices=limits.devices)


def limit_uses(run: Run, limits: Limits) -> tuple[LimitUse, ...]:
    """The limits that are set, in the order hardware, time, money, of the run on the devices at hand.

    Time: its days on those devices. Hardware: the devices that would end it within the days, in fractions;
    where no days are stated, the run's own count. Money: all device-hours, however many devices share them;
    left out where no price is known.
    """
    here = at_hand(run, limits)
    uses: list[LimitUse] = []
    in_days = None if limits.days is None else here.flops_in(here.devices * limits.days * HOURS_PER_DAY)
    if limits.devices is not None:
        needed = run.devices if limits.days is None else here.days / limits.days * here.devices
        uses.append(LimitUse("hardware", needed, limits.devices, in_days))
    if limits.days is not None:
        uses.append(LimitUse("time", here.days, limits.days, in_days))
    if limits.cost is not None and run.price is not None:
        bought = run.flops_in(limits.cost / run.price) if run.price else None
        uses.append(LimitUse("money", run.hours * run.price, limits.cost, bought))
    return tuple(uses)


def binding_limit(uses: tuple[LimitUse, ...]) -> LimitUse | None:
    """The limit that is used most; the first of equals. None where no limit is set.

    Hardware with days is the same limit as time, devices x days, and time speaks for both.
    """
    timed = any(use.name == "time" for use in uses)
    own = [use for use in uses if not (timed and use.name == "hardware")]
    return max(own, key=lambda use: use.share, default=None)


def allowed_flops(uses: tuple[LimitUse, ...]) -> float | None:
    """The largest run that all limits together allow: the least of what devices x days and money allow."""
    return min((use.flops for use in uses if use.flops is not None), default=None)


def devices_to_meet(run: Run, limit_days: float) -> int:
    """The fewest devices with which the run would end within `limit_days`. The money stays the same."""
    return int(devices_for_days(run.flops, limit_days, run.peak, run.efficiency))
