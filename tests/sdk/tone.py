"""What a piece of received sound is made of."""

from dataclasses import dataclass
from functools import cache

import numpy as np

RATE = 48_000
"""Samples a second, everywhere in these tests."""

WINDOW = RATE // 2
"""Samples that one measurement takes: half a second, so that spectrum lines are 2 Hz apart."""


@dataclass(frozen=True)
class Tone:
    """The strongest frequency of a piece of sound."""

    hz: float
    rms: float
    """Loudness of the whole piece; a full-scale sine has 0.707."""
    purity: float
    """Share of the piece's energy that lies within 20 Hz of `hz`, 0 to 1."""

    def __str__(self) -> str:
        return f"{self.hz:.1f} Hz (rms {self.rms:.4f}, purity {self.purity:.2f})"


def strongest(samples: np.ndarray) -> Tone:
    """Finds the strongest frequency of `samples`, to about a tenth of a hertz."""
    power = _power(samples)
    power[:10] = 0  # below 20 Hz lies only offset
    peak = int(np.argmax(power))
    hz = (peak + _peak_offset(power, peak)) * RATE / len(samples)
    total = float(power.sum()) or 1.0
    return Tone(hz, rms(samples), _near(power, hz, len(samples)) / total)


def level_db(samples: np.ndarray, hz: float) -> float:
    """How strong `hz` is among `samples`, in decibels below all of them together."""
    power = _power(samples)
    return 10 * float(np.log10((_near(power, hz, len(samples)) + 1e-12) / (power.sum() + 1e-12)))


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0


def _power(samples: np.ndarray) -> np.ndarray:
    return np.square(np.abs(np.fft.rfft(samples * _window(len(samples)))))


@cache
def _window(count: int) -> np.ndarray:
    return np.hanning(count)


def _near(power: np.ndarray, hz: float, count: int) -> float:
    low, high = (int((hz + side) * count / RATE) for side in (-20, 20))
    return float(power[max(low, 0) : high + 1].sum())


def _peak_offset(power: np.ndarray, peak: int) -> float:
    """Where between its neighbours the true peak lies, in spectrum lines: the vertex of a parabola through three."""
    if not 0 < peak < len(power) - 1:
        return 0.0
    left, middle, right = np.log(power[peak - 1 : peak + 2] + 1e-20)
    curvature = left - 2 * middle + right
    return 0.0 if curvature == 0 else 0.5 * float(left - right) / float(curvature)
