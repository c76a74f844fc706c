import type { Level } from "./speech";

/** Time between two looks at the levels, in milliseconds: a ring has 100 ms to light. */
const INTERVAL = 40;
/** Samples looked at each time: 43 ms at 48 kHz, more than an interval, so that nothing falls between two looks. */
const WINDOW = 2048;

type Meter = {
  source: MediaStreamAudioSourceNode;
  analyser: AnalyserNode;
  receiver: RTCRtpReceiver | undefined;
  onLevel: (level: Level, now: number) => void;
};

/** Measures audio tracks as they sound. Where the browser holds its audio engine back, receivers tell the level. */
export class Meters {
  #context: AudioContext | null = null;
  #meters = new Map<string, Meter>();
  #timer: number | null = null;
  #samples = new Float32Array(WINDOW);

  /** Starts the audio engine; browsers allow that from a click on. */
  resume() {
    this.#context ??= new AudioContext({ latencyHint: "interactive" });
    // It stays pending for as long as the browser blocks sound, and is asked again with the next click.
    if (this.#context.state !== "running") void this.#context.resume().catch(() => undefined);
  }

  /** Measures `track` under `key`, in place of what was measured under it before. */
  watch(key: string, track: MediaStreamTrack, onLevel: Meter["onLevel"], receiver?: RTCRtpReceiver) {
    this.unwatch(key);
    this.resume();
    if (!this.#context) return;
    const source = this.#context.createMediaStreamSource(new MediaStream([track]));
    const analyser = new AnalyserNode(this.#context, { fftSize: WINDOW });
    source.connect(analyser);
    this.#meters.set(key, { source, analyser, receiver, onLevel });
    this.#timer ??= window.setInterval(() => this.#look(), INTERVAL);
  }

  unwatch(key: string) {
    const meter = this.#meters.get(key);
    if (!meter) return;
    meter.source.disconnect();
    this.#meters.delete(key);
    if (this.#meters.size > 0 || this.#timer === null) return;
    window.clearInterval(this.#timer);
    this.#timer = null;
  }

  clear() {
    for (const key of [...this.#meters.keys()]) this.unwatch(key);
  }

  #look() {
    const now = performance.now();
    for (const meter of this.#meters.values()) meter.onLevel(this.#level(meter), now);
  }

  #level(meter: Meter): Level {
    if (this.#context?.state !== "running") {
      const level = meter.receiver?.getSynchronizationSources()[0]?.audioLevel ?? 0;
      // Without a look at the samples nobody can call them all zero.
      return { rms: level, peak: 1 };
    }
    meter.analyser.getFloatTimeDomainData(this.#samples);
    return measure(this.#samples);
  }
}

function measure(samples: Float32Array): Level {
  let energy = 0;
  let peak = 0;
  for (const sample of samples) {
    energy += sample * sample;
    peak = Math.max(peak, Math.abs(sample));
  }
  return { rms: Math.sqrt(energy / samples.length), peak };
}
