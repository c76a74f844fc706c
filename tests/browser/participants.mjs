// Participants on livekit-client in one browser, a tab for each, driven over pipes (see `sdk/lines.mjs`). The browser is named
// by the first argument: chromium, to which further ones are given, or firefox.
import { say, serveLines } from "../sdk/lines.mjs";
import { launchChromium, launchFirefox } from "./browsers.mjs";
import { servePages } from "./pages.mjs";
import { startSound } from "./sound.mjs";

const pages = await servePages();
const sound = process.argv[2] === "firefox" ? await startSound() : undefined;
const browser = sound ? await launchFirefox(sound) : await launchChromium(...process.argv.slice(3));

const idle = [];
const tabs = new Map();

await serveLines(async ({ person, command, ...given }) => {
  if (command === "join") tabs.set(person, await takeTab(person));
  const tab = tabs.get(person);
  const answer = await tab.page.evaluate(([name, it]) => window.commands[name](it), [command, given]);
  if (command === "leave") {
    tabs.delete(person);
    idle.push(tab);
  }
  return answer;
});
await browser.close();
pages.stop();
sound?.stop();

/** A tab with a page that knows nothing yet. */
async function takeTab(person) {
  const tab = idle.pop() ?? (await openTab());
  await tab.page.goto(`${pages.origin}/participant`);
  // What the page before it had still to tell was about whoever was there before.
  tab.person = person;
  await tab.page.waitForFunction(() => window.commands !== undefined);
  return tab;
}

async function openTab() {
  const tab = { page: await browser.newPage() };
  await tab.page.exposeFunction("tell", (notice) => say({ person: tab.person, ...notice }));
  tab.page.on("pageerror", (error) => process.stderr.write(`${error?.stack ?? error}\n`));
  return tab;
}
