import { create } from "zustand";

export const THEMES = ["system", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const STORED = "banter.theme";

/** The chosen appearance; `system` follows the device. Kept in this browser. */
export const useTheme = create<{ theme: Theme }>()(() => ({ theme: stored() }));

export function setTheme(theme: Theme) {
  localStorage.setItem(STORED, theme);
  useTheme.setState({ theme });
  applyTheme();
}

/** Called before the first drawing too, so that no other theme flashes up. */
export function applyTheme() {
  const { theme } = useTheme.getState();
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

function stored(): Theme {
  const text = localStorage.getItem(STORED);
  return THEMES.find((theme) => theme === text) ?? "system";
}
