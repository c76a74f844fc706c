import { useMutation } from "@tanstack/react-query";
import { useState } from "react";
import { api, body } from "../../api/client";
import { useVoiceClient } from "../call/useVoice";
import type { Outcomes, PathName } from "./verdict";

export type ConnectionTestState = {
  /** Those that the server offers, the one that a call would take first. */
  paths: PathName[];
  outcomes: Outcomes;
};

const NOTHING: ConnectionTestState = { paths: [], outcomes: new Map() };

/** Tries every path that the server offers, all at once, and tells of each as soon as it is known. */
export function useConnectionTest() {
  const voice = useVoiceClient();
  const [state, setState] = useState(NOTHING);
  const run = useMutation({
    mutationFn: async () => {
      setState(NOTHING);
      const { wsUrl, paths } = await body(api.POST("/api/voice/connection-test"));
      setState({ ...NOTHING, paths: paths.map((test) => test.path) });
      const tests = paths.map(async (test) => {
        const outcome = await voice.testPath(wsUrl, test);
        setState((before) => ({ ...before, outcomes: new Map(before.outcomes).set(test.path, outcome) }));
      });
      await Promise.all(tests);
    },
  });
  return { ...state, run };
}
