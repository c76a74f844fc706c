/**
 * Draws every scene of the gallery, dark and light, wide and narrow: `npm run screenshots -- DIR [scene …]`.
 * Fails if a page writes to the console.
 */
import { mkdir } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { createServer } from "vite";

const root = fileURLToPath(new URL("../..", import.meta.url));
const [folder = "screenshots", ...wanted] = process.argv.slice(2);
const WIDE = { width: 1100, height: 720 };
const NARROW = { width: 390, height: 760 };
/** What to do in a scene before the picture is taken. */
const STEPS = {
  "dialog-channel": { scene: "idle", act: (page) => page.getByTestId("channel-create").click() },
  "dialog-channel-errors": {
    scene: "idle",
    act: async (page) => {
      await page.getByTestId("channel-create").click();
      await page.getByTestId("channel-max-participants").fill("101");
      await page.getByTestId("channel-save").click();
    },
  },
  "dialog-invite": {
    scene: "idle",
    act: async (page) => {
      await page.getByTestId("invite-create").click();
      await page.getByTestId("invite-link").waitFor();
    },
  },
  "dialog-settings": { scene: "call", act: (page) => page.getByTestId("settings-open").click() },
  "dialog-paths-good": { scene: "paths-good", act: testConnection },
  "dialog-paths-detour": { scene: "paths-detour", act: testConnection },
  "dialog-paths-closed": { scene: "paths-closed", act: testConnection },
  "dialog-bans": { scene: "idle", act: (page) => page.getByTestId("moderation-open").click() },
  "dialog-bans-none": { scene: "no-bans", act: (page) => page.getByTestId("moderation-open").click() },
  "dialog-audit-log": {
    scene: "idle",
    act: async (page) => {
      await page.getByTestId("moderation-open").click();
      await page.getByRole("radio", { name: "Audit log" }).click();
    },
  },
  "person-menu": { scene: "call", act: (page) => page.getByTestId("person-u1").click({ button: "right" }) },
  "dialog-move": {
    scene: "call",
    act: async (page) => {
      await act(page, "Move to …");
      await page.getByTestId("choice-c4").click();
    },
  },
  "dialog-kick": { scene: "call", act: (page) => act(page, "Kick") },
  "dialog-ban": { scene: "call", act: (page) => act(page, "Ban") },
  menu: {
    scene: "idle",
    act: async (page) => {
      await page.getByTestId("channel-c1").hover();
      await page.getByRole("button", { name: "Channel menu for Lobby" }).click();
    },
  },
  "dialog-delete": {
    scene: "idle",
    act: async (page) => {
      await page.getByTestId("channel-c1").hover();
      await page.getByRole("button", { name: "Channel menu for Lobby" }).click();
      await page.getByRole("menuitem", { name: "Delete channel" }).click();
    },
  },
};

const server = await createServer({
  root,
  configFile: path.join(root, "vite.config.ts"),
  server: { port: 0, watch: null, hmr: false },
  logLevel: "error",
});
await server.listen();
const base = new URL("tests/dev/gallery/", server.resolvedUrls.local[0]).href;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
await mkdir(folder, { recursive: true });
const complaints = [];

try {
  for (const name of wanted.length > 0 ? wanted : await allScenes()) {
    const { scene, act } = STEPS[name] ?? { scene: name };
    await draw(name, scene, act, { colorScheme: "dark", viewport: WIDE }, "dark");
    await draw(name, scene, act, { colorScheme: "light", viewport: WIDE }, "light");
    await draw(name, scene, act, { colorScheme: "dark", viewport: NARROW }, "narrow");
  }
} finally {
  await browser.close();
  await server.close();
}
if (complaints.length > 0) {
  console.error(complaints.join("\n"));
  process.exit(1);
}

/** Picks something from the menu of a person. */
async function act(page, name) {
  await page.getByTestId("person-u1").click({ button: "right" });
  await page.getByRole("menuitem", { name }).click();
}

async function testConnection(page) {
  await page.getByTestId("settings-open").click();
  await page.getByTestId("connection-test-run").click();
  await page.getByTestId("connection-test-verdict").waitFor();
}

async function allScenes() {
  const { scenes } = await server.ssrLoadModule(path.join(root, "tests/dev/gallery/scenes.ts"));
  return [...Object.keys(scenes), ...Object.keys(STEPS)];
}

async function draw(name, scene, act, options, kind) {
  const page = await browser.newPage({ ...options, reducedMotion: "reduce" });
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`${name} (${kind}): ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`${name} (${kind}): ${error.message}`));
  await page.goto(`${base}?scene=${scene}`);
  await page.waitForFunction(() => document.querySelector("#root")?.childElementCount);
  await act?.(page);
  await page.evaluate(() => document.fonts.ready);
  await page.screenshot({ path: path.join(folder, `${name}-${kind}.png`) });
  await page.close();
}
