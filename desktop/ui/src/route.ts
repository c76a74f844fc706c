import { useMemo, useSyncExternalStore } from "react";

/** The pages. Codes travel in the fragment, which browsers send to nobody. */
export type Route = { page: "app" } | { page: "setup"; code: string } | { page: "invite"; code: string };

export function parseRoute(url: URL): Route {
  const fragment = url.hash.slice(1);
  switch (url.pathname.replace(/\/+$/, "")) {
    case "/setup": {
      const code = new URLSearchParams(fragment).get("code") ?? url.searchParams.get("code");
      return { page: "setup", code: code ?? "" };
    }
    case "/invite":
      // What follows tells the desktop app which certificate to expect.
      return { page: "invite", code: decoded(fragment.replace(/&.*/, "")) };
    default:
      return { page: "app" };
  }
}

/** A link may have been mangled on its way; what cannot be decoded is left for the server to refuse. */
function decoded(fragment: string): string {
  try {
    return decodeURIComponent(fragment);
  } catch {
    return fragment;
  }
}

export function useRoute(): Route {
  const href = useSyncExternalStore(subscribe, () => window.location.href);
  return useMemo(() => parseRoute(new URL(href)), [href]);
}

/** Replaces the address: a used code has no place in the history. */
export function goTo(path: string) {
  window.history.replaceState(null, "", path);
  window.dispatchEvent(new PopStateEvent("popstate"));
}

function subscribe(listener: () => void): () => void {
  window.addEventListener("popstate", listener);
  window.addEventListener("hashchange", listener);
  return () => {
    window.removeEventListener("popstate", listener);
    window.removeEventListener("hashchange", listener);
  };
}
