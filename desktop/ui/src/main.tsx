import { MutationCache, QueryCache, QueryClient } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./App";
import { api, body } from "./api/client";
import { ProblemError } from "./api/problem";
import { noticeSignedOut } from "./api/session";
import { applyTheme } from "./features/settings/useTheme";
import { startTranslations } from "./i18n";
import { BrowserVoice } from "./voice/browser";
import "./index.css";

const noticeIfSignedOut = (error: unknown): void => noticeSignedOut(queries, error);

const queries: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError: noticeIfSignedOut }),
  mutationCache: new MutationCache({ onError: noticeIfSignedOut }),
  defaultOptions: {
    queries: {
      refetchOnWindowFocus: false,
      // An answer stays the same when it is asked for again; only silence is worth another try.
      retry: (failures, error) => !(error instanceof ProblemError) && failures < 2,
    },
  },
});

const voice = new BrowserVoice((channelId) =>
  body(api.POST("/api/voice/token", { body: { channelId } })).catch((error: unknown) => {
    noticeIfSignedOut(error);
    throw error;
  }),
);

applyTheme();
await startTranslations();

const root = document.getElementById("root");
if (!root) throw new Error("index.html has lost its root element");
createRoot(root).render(
  <StrictMode>
    <App queries={queries} voice={voice} />
  </StrictMode>,
);
