// Runs inside a page, before anything else does: keeps the loudness of what every <audio data-user-id> element plays, block by
// block with the time of day, and every peer connection, for its statistics.

/** To be given to a browser as an init script; it must not refer to anything outside itself. */
export function installEars({ block, rate }) {
  const ears = { heard: {}, connections: [] };
  window.ears = ears;

  const Connection = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Connection {
    constructor(...given) {
      super(...given);
      ears.connections.push(this);
    }
  };

  let context;
  const listen = (element) => {
    const who = element.dataset.userId;
    const stream = element.srcObject;
    if (!who || !stream || ears.heard[who]?.stream === stream || stream.getAudioTracks().length === 0) return;
    context ??= new AudioContext({ sampleRate: rate });
    context.resume();
    const ear = { stream, blocks: [] };
    ears.heard[who] = ear;
    const source = context.createMediaStreamSource(stream);
    const tap = context.createScriptProcessor(block, 1, 1);
    tap.onaudioprocess = ({ inputBuffer }) => {
      let sum = 0;
      for (const sample of inputBuffer.getChannelData(0)) sum += sample * sample;
      ear.blocks.push([Date.now(), Math.sqrt(sum / block)]);
      if (ear.blocks.length > 5000) ear.blocks.shift();
    };
    source.connect(tap);
    tap.connect(context.destination);
    ear.keep = [source, tap];
  };
  setInterval(() => {
    for (const element of document.querySelectorAll("audio[data-user-id]")) listen(element);
  }, 50);

  /** Blocks heard from `who` since the time `since`: [time of day in ms, rms]. */
  ears.since = (who, since) => (ears.heard[who]?.blocks ?? []).filter(([at]) => at >= since);

  /** Received audio over all connections. */
  ears.received = async () => {
    const sum = { packets: 0, lost: 0, energy: 0, streams: [] };
    for (const connection of ears.connections) {
      for (const report of (await connection.getStats()).values()) {
        if (report.type !== "inbound-rtp" || report.kind !== "audio") continue;
        sum.packets += report.packetsReceived ?? 0;
        sum.lost += report.packetsLost ?? 0;
        sum.energy += report.totalAudioEnergy ?? 0;
        // Stream by stream, for the one who reads why a test failed.
        const { mid, ssrc, packetsReceived, totalAudioEnergy, jitterBufferEmittedCount, concealedSamples } = report;
        sum.streams.push({ mid, ssrc, packetsReceived, totalAudioEnergy, jitterBufferEmittedCount, concealedSamples });
      }
    }
    return sum;
  };
}

/** Also runs inside a page: the microphone is the sound in the WAV file whose base64 is `wav`, played round and round. */
export function installMicrophone({ wav, rate }) {
  // Blank pages have no devices.
  if (!navigator.mediaDevices) return;
  navigator.mediaDevices.getUserMedia = async () => {
    const context = new AudioContext({ sampleRate: rate });
    const bytes = Uint8Array.from(atob(wav), (letter) => letter.charCodeAt(0));
    const source = context.createBufferSource();
    source.buffer = await context.decodeAudioData(bytes.buffer);
    source.loop = true;
    const microphone = context.createMediaStreamDestination();
    source.connect(microphone);
    source.start();
    await context.resume();
    return microphone.stream;
  };
}
