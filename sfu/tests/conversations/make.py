"""Makes the conversations beside it: how loud each microphone of a room is, packet by packet, and who speaks when.

Needs espeak-ng and numpy. `NAME.levels` begins with the number of microphones, one byte, and goes on with one for
each of them every 20 ms: decibels below overload (RFC 6464), or 255 where the microphone sends nothing. `NAME.turns`
has a line for each time that somebody says something: the microphone, the frame of the first syllable, the frame after
the last one, and what it is (speech, aside or laughter). The rest of the microphones' sounds are noise.
"""

import io
import subprocess
import wave
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

RATE = 22_050
FRAME = RATE // 50
NOTHING = 255
VOICES = [f"en+{kind}{n}" for n in range(1, 5) for kind in "mf"]
PEAK_TO_EDGE = 20
"""Decibels below a turn's loudest frame at which it begins and ends."""

SENTENCES = [
    "So I was at the top of the tower, right, and there was nobody there.",
    "Take the left path, I will cover the door. Wait for the signal, then run.",
    "No. Absolutely not. We tried that last week, and it took us an hour to get out of there again.",
    "Does anybody still have a healing potion? I am down to two, and that dragon is not going to wait.",
    "Peter said that he would come around nine. Perhaps he forgot.",
    "It was only the rain, fine, everybody back to their places, please.",
    "Can you hear me now? I have changed the microphone, and I think it is better, but my brother says it crackles.",
    "Good game everybody. Shall we play another one, or is it too late for you?",
]
ASIDES = ["Mm hm.", "Yeah.", "Right.", "Oh no.", "Okay."]


@dataclass
class Room:
    """Sound pressure of each microphone, 1.0 being overload, and the turns so far."""

    seconds: float
    noises: list[np.ndarray]
    turns: list[tuple[int, int, int, str]] = field(default_factory=list)
    silent: set[int] = field(default_factory=set)
    """Microphones that transmit no silence."""

    def say(self, microphone: int, at: float, sound: np.ndarray, kind: str) -> float:
        """Adds a sound; returns when it is over."""
        begin = round(at * RATE)
        sound = sound[: max(0, len(self.noises[microphone]) - begin)]
        self.noises[microphone][begin : begin + len(sound)] += sound
        loud = levels(np.concatenate([np.zeros(begin % FRAME), sound]))
        if len(loud):
            heard = np.flatnonzero(loud <= loud.min() + PEAK_TO_EDGE) + begin // FRAME
            self.turns.append((microphone, int(heard[0]), int(heard[-1]) + 1, kind))
        return at + len(sound) / RATE

    def write(self, name: str) -> None:
        rows = np.stack([levels(noise) for noise in self.noises], axis=1)
        for microphone in self.silent:
            rows[rows[:, microphone] > 60, microphone] = NOTHING
        here = Path(__file__).with_name(name)
        here.with_suffix(".levels").write_bytes(bytes([len(self.noises)]) + rows.astype(np.uint8).tobytes())
        lines = [" ".join(map(str, turn)) for turn in sorted(self.turns, key=lambda turn: turn[1])]
        here.with_suffix(".turns").write_text("\n".join(lines) + "\n")
        print(f"{name}: {len(self.noises)} microphones, {len(rows)} frames, {len(lines)} turns")


def main() -> None:
    discussion(np.random.default_rng(1))
    laughter(np.random.default_rng(2))
    open_microphones(np.random.default_rng(3))


def discussion(rng: np.random.Generator) -> None:
    """Twelve people, six of whom talk, loud and soft ones, into each other's words and with asides."""
    room = Room(60, [hiss(rng, 60, level) for level in rng.uniform(-75, -58, 12)])
    gains = [-12, -18, -22, -26, -32, -38]
    at = 0.5
    turn = 0
    while at < room.seconds - 1:
        who = turn * 5 % 6
        began, at = at, room.say(who, at, speech(rng, who, gains[who]), "speech")
        others = [other for other in range(6) if other != who]
        for other in rng.choice(others, 2, replace=False):
            room.say(int(other), rng.uniform(began, at), aside(rng, int(other), gains[other] - 4), "aside")
        # From half a second into the last words to a pause of as much.
        at += rng.uniform(-0.5, 0.5)
        turn += 1
    room.write("discussion")


def laughter(rng: np.random.Generator) -> None:
    """Somebody tells a joke, ten people laugh at once, and somebody speaks before they have finished; twice."""
    room = Room(30, [hiss(rng, 30, level) for level in rng.uniform(-75, -60, 16)])
    at = 0.5
    for teller, next_one in [(0, 1), (2, 3)]:
        at = room.say(teller, at, speech(rng, teller, -20), "speech")
        for who in range(4, 14):
            room.say(who, at + rng.uniform(0, 0.5), laugh(rng, rng.uniform(-30, -14)), "laughter")
        at = room.say(next_one, at + 2.0, speech(rng, next_one, -20), "speech") + 1
    room.write("laughter")


def open_microphones(rng: np.random.Generator) -> None:
    """Two people talk, and 22 have left their microphones open: fans, a street, keyboards, music, and silence."""
    seconds = 40
    count = round(seconds * RATE)
    noises = [hiss(rng, seconds, -65) for _ in range(2)]
    noises += [hiss(rng, seconds, level) for level in np.linspace(-56, -45, 10)]
    for n in range(3):
        swell = np.sin(np.arange(count) / RATE * 2 * np.pi / (5 + n)) * 5 - 50
        noises.append(hiss(rng, seconds, 0) * 10 ** (swell / 20))
    noises += [hiss(rng, seconds, -64) + clicks(rng, seconds, -14) for _ in range(3)]
    noises.append(music(rng, seconds, -28))
    noises += [np.zeros(count) for _ in range(5)]
    room = Room(seconds, noises, silent={0, *range(19, 24)})
    at, turn = 8.0, 0
    while at < seconds - 1:
        at = room.say(turn % 2, at, speech(rng, turn % 2, -24 - 6 * (turn % 2)), "speech") + rng.uniform(0.2, 2.0)
        turn += 1
    room.write("open_microphones")


def speech(rng: np.random.Generator, who: int, decibels: float) -> np.ndarray:
    return synthesize(SENTENCES[rng.integers(len(SENTENCES))], who, decibels)


def aside(rng: np.random.Generator, who: int, decibels: float) -> np.ndarray:
    return synthesize(ASIDES[rng.integers(len(ASIDES))], who, decibels)


def synthesize(text: str, who: int, decibels: float) -> np.ndarray:
    """Speech whose loud frames are about so many decibels over overload."""
    command = ["espeak-ng", "-v", VOICES[who % len(VOICES)], "-s", str(150 + 7 * who), "--stdout", text]
    with wave.open(io.BytesIO(subprocess.run(command, capture_output=True, check=True).stdout)) as file:
        assert file.getframerate() == RATE, "espeak-ng speaks at another rate"
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16) / 32768
    return scaled(samples, decibels)


def laugh(rng: np.random.Generator, decibels: float) -> np.ndarray:
    """Ha ha ha: five bursts a second, softer and softer."""
    time = np.arange(round(rng.uniform(1.5, 3.5) * RATE)) / RATE
    bursts = np.clip(np.sin(2 * np.pi * rng.uniform(4.5, 5.5) * time), 0, 1) ** 2
    return scaled(bursts * np.exp(-time / 2) * rng.normal(size=len(time)), decibels)


def clicks(rng: np.random.Generator, seconds: float, decibels: float) -> np.ndarray:
    """A keyboard: bursts of six keys a second, each of five milliseconds."""
    samples = np.zeros(round(seconds * RATE))
    at = 0.0
    while at < seconds - 1:
        begin = round(at * RATE)
        samples[begin : begin + 110] += rng.normal(size=110) * 10 ** (decibels / 20)
        at += rng.uniform(0.1, 0.25) if rng.random() < 0.9 else rng.uniform(1, 4)
    return samples


def music(rng: np.random.Generator, seconds: float, decibels: float) -> np.ndarray:
    """Two chords a second that fade."""
    time = np.arange(round(seconds * RATE)) / RATE
    notes = 220 * 2 ** (rng.integers(0, 12, (3, round(seconds * 2))) / 12)
    chord = sum(np.sin(2 * np.pi * np.repeat(voice, RATE // 2)[: len(time)] * time) for voice in notes)
    return scaled(chord * np.exp(-(time % 0.5) * 2), decibels)


def hiss(rng: np.random.Generator, seconds: float, decibels: float) -> np.ndarray:
    return rng.normal(size=round(seconds * RATE)) * 10 ** (decibels / 20)


def scaled(samples: np.ndarray, decibels: float) -> np.ndarray:
    power = np.square(samples[: len(samples) // FRAME * FRAME]).reshape(-1, FRAME).mean(axis=1)
    return samples * 10 ** (decibels / 20) / np.sqrt(np.percentile(power, 80))


def levels(samples: np.ndarray) -> np.ndarray:
    """Decibels below overload of each whole frame."""
    power = np.square(samples[: len(samples) // FRAME * FRAME]).reshape(-1, FRAME).mean(axis=1)
    return np.clip(np.round(-10 * np.log10(power + 1e-13)), 0, 127).astype(int)


if __name__ == "__main__":
    main()
