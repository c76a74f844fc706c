/**
 * The whole app over a scripted server and a scripted call, for looking at states that are hard to reach by hand.
 * `?scene=NAME` picks one; the built app contains none of this.
 */
import { QueryClient } from "@tanstack/react-query";
import { createRoot } from "react-dom/client";
import { applyTheme } from "../../../src/features/settings/useTheme";
import { startTranslations } from "../../../src/i18n";
import { ScriptedVoice } from "../../../src/voice/scripted";
import { scenes } from "./scenes";
import { playServer } from "./server";
import "../../../src/index.css";

const name = new URLSearchParams(window.location.search).get("scene") ?? "call";
const scene = scenes[name];
if (!scene) throw new Error(`no scene ${name}; there are ${Object.keys(scenes).join(", ")}`);

playServer(scene);
// The API client takes hold of `fetch` when it is loaded.
const { App } = await import("../../../src/App");
const { useExclusion } = await import("../../../src/api/session");
if (scene.path) window.history.replaceState(null, "", scene.path);
if (scene.me) localStorage.setItem("banter.signed-in", "1");
else localStorage.removeItem("banter.signed-in");
if (scene.excluded) useExclusion.setState({ problem: scene.excluded });

applyTheme();
await startTranslations();
const root = document.getElementById("root");
const queries = new QueryClient({ defaultOptions: { queries: { retry: false, refetchOnWindowFocus: false } } });
if (root) createRoot(root).render(<App queries={queries} voice={new ScriptedVoice(scene.voice, scene.paths)} />);
