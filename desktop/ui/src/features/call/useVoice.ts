import { createContext, useContext, useSyncExternalStore } from "react";
import type { VoiceClient, VoiceSnapshot } from "../../voice/client";

export const VoiceContext = createContext<VoiceClient | null>(null);

/** Commands for voice. */
export function useVoiceClient(): VoiceClient {
  const voice = useContext(VoiceContext);
  if (!voice) throw new Error("VoiceContext is missing above this component");
  return voice;
}

/** The present state of voice; draws again with each change. */
export function useVoice(): VoiceSnapshot {
  const voice = useVoiceClient();
  return useSyncExternalStore(
    (listener) => voice.subscribe(listener),
    () => voice.snapshot(),
  );
}
