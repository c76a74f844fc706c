/** Mute and deafen as one state: deafened people are muted, and remember whether they were so before. */
export type Controls = { deafened: false; muted: boolean } | { deafened: true; muted: true; mutedBefore: boolean };

export const INITIAL_CONTROLS: Controls = { deafened: false, muted: false };

/** Unmuting while deafened also undeafens: who wants to speak wants to hear the answer. */
export function toggleMute(controls: Controls): Controls {
  return { deafened: false, muted: !controls.muted };
}

/** Deafening mutes; undeafening brings the earlier mute state back. */
export function toggleDeafen(controls: Controls): Controls {
  return controls.deafened
    ? { deafened: false, muted: controls.mutedBefore }
    : { deafened: true, muted: true, mutedBefore: controls.muted };
}
