"""Makes speech.bin: a minute of synthetic speech through Opus with DTX, as lengths and levels of its frames.

Needs espeak-ng, sox and libopus (Debian: espeak-ng sox libopus0). What is in the file is described in `src/speech.rs`.
"""

import ctypes
import math
import struct
import subprocess
from ctypes.util import find_library
from pathlib import Path

RATE = 48_000
FRAME = RATE // 50
OPUS_APPLICATION_VOIP = 2048
OPUS_SET_BITRATE, OPUS_SET_DTX = 4002, 4016
BITRATE = 32_000
MAX_PACKET = 1500
DTX_MAX = 2
"""Encoders that have nothing to say give frames of so many bytes, which are not sent."""

TEXT = """So I was at the top of the tower, right, and there was nobody there. <break time="1600ms"/> Nobody at all.
And then Marlene comes up behind me and says: did you bring the keys? <break time="1600ms"/> I did not bring the keys.
<break time="1200ms"/> Wait. Wait, wait, wait. Who has the keys now? Give me a second, I will look it up. It was on the second page,
below the map, somebody had written it down. All right. We go left here, and down the stairs, slowly. Listen! <break time="2500ms"/>
No, it was only the rain. Fine. Ready when you are. Three, two, one, go!"""


def main() -> None:
    speech = subprocess.run(
        ["espeak-ng", "-m", "-v", "en", "-s", "150", "-g", "6", "--stdout", TEXT], capture_output=True, check=True
    )
    convert = [
        "sox",
        "-t",
        "wav",
        "-",
        "-t",
        "raw",
        "-r",
        str(RATE),
        "-e",
        "signed",
        "-b",
        "16",
        "-c",
        "1",
        "-",
        "pad",
        "1",
        "2",
    ]
    samples = subprocess.run(convert, input=speech.stdout, capture_output=True, check=True).stdout
    frames = [samples[at : at + FRAME * 2] for at in range(0, len(samples) - FRAME * 2, FRAME * 2)]
    lengths = encode(frames)
    rows = [struct.pack(">BH", level(frame), length) for frame, length in zip(frames, lengths, strict=True)]
    Path(__file__).with_name("speech.bin").write_bytes(b"".join(rows))
    sent = sum(length > 0 for length in lengths)
    print(f"{len(rows)} frames, {sent} of them sent, {sum(lengths) / max(1, sent):.0f} bytes each")


def encode(frames: list[bytes]) -> list[int]:
    opus = ctypes.CDLL(find_library("opus"))
    opus.opus_encoder_create.restype = ctypes.c_void_p
    encoder = ctypes.c_void_p(opus.opus_encoder_create(RATE, 1, OPUS_APPLICATION_VOIP, None))
    opus.opus_encoder_ctl(encoder, OPUS_SET_BITRATE, BITRATE)
    opus.opus_encoder_ctl(encoder, OPUS_SET_DTX, 1)
    packet = ctypes.create_string_buffer(MAX_PACKET)
    lengths = [opus.opus_encode(encoder, frame, FRAME, packet, MAX_PACKET) for frame in frames]
    return [length if length > DTX_MAX else 0 for length in lengths]


def level(frame: bytes) -> int:
    """Decibels below overload, as RFC 6464 has them."""
    samples = struct.unpack(f"<{FRAME}h", frame)
    power = sum(sample * sample for sample in samples) / FRAME / 32_768**2
    return 127 if power == 0 else min(127, max(0, round(-10 * math.log10(power))))


if __name__ == "__main__":
    main()
