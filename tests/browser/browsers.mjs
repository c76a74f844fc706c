// Chromium and Firefox behind one face. Each person has a browser process of their own, with a microphone of their own.
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";
import puppeteer from "puppeteer-core";
import { installEars, installMicrophone } from "./ears.mjs";
import { BLOCK, RATE, speech } from "./speech.mjs";
import { until } from "./wait.mjs";

const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const FIREFOX = process.env.FIREFOX ?? "/usr/bin/firefox-esr";

/** Starts Chromium; `more` are further arguments. */
export function launchChromium(...more) {
  return chromium.launch({
    executablePath: CHROMIUM,
    args: [
      "--no-sandbox",
      "--use-fake-ui-for-media-stream",
      "--use-fake-device-for-media-stream",
      "--autoplay-policy=no-user-gesture-required",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
      ...more,
    ],
  });
}

/** Starts Firefox; `sound` is where it plays. */
export function launchFirefox(sound) {
  return puppeteer.launch({
    browser: "firefox",
    executablePath: FIREFOX,
    env: { ...process.env, PULSE_SERVER: sound.address },
    protocolTimeout: 30_000,
    extraPrefsFirefox: {
      "media.navigator.streams.fake": true,
      "media.navigator.permission.disabled": true,
      "media.autoplay.default": 0,
      "media.peerconnection.ice.loopback": true,
      "media.peerconnection.ice.obfuscate_host_addresses": false,
    },
  });
}

/** Opens Chromium, whose microphone plays `voice`'s speech from a file. */
export async function openChromium(voice) {
  const browser = await launchChromium(`--use-file-for-fake-audio-capture=${speech(voice)}`);
  const page = await browser.newPage();
  const errors = collectErrors(page);
  await page.addInitScript(installEars, { block: BLOCK, rate: RATE });
  return new Person(voice, browser, page, errors, {
    fill: (selector, text) => page.fill(selector, text, { timeout: 10_000 }),
  });
}

/** Opens Firefox, whose microphone is made by the page itself, since its fake device only hums. `sound` is where it plays. */
export async function openFirefox(voice, sound) {
  const browser = await launchFirefox(sound);
  const page = await browser.newPage();
  const errors = collectErrors(page);
  await page.evaluateOnNewDocument(installEars, { block: BLOCK, rate: RATE });
  const wav = readFileSync(speech(voice)).toString("base64");
  await page.evaluateOnNewDocument(installMicrophone, { wav, rate: RATE });
  return new Person(voice, browser, page, errors, {
    fill: (selector, text) => page.locator(selector).setTimeout(10_000).fill(text),
  });
}

function collectErrors(page) {
  const errors = [];
  page.on("console", (message) => message.type() === "error" && errors.push(message.text()));
  page.on("pageerror", (error) => errors.push(String(error?.stack ?? error)));
  return errors;
}

/** Somebody at a browser. */
class Person {
  constructor(voice, browser, page, errors, { fill }) {
    Object.assign(this, { voice, browser, page, errors, fill });
  }

  goto(url) {
    return this.page.goto(url);
  }

  evaluate(work, argument) {
    return this.page.evaluate(work, argument);
  }

  /** Waits until an element for `selector` is there, then clicks it; answers the time of day of the click. */
  async click(selector, within = 10_000) {
    await this.see(selector, within);
    return this.evaluate((it) => {
      const at = Date.now();
      document.querySelector(it).click();
      return at;
    }, selector);
  }

  /** Waits until an element for `selector` is there. */
  see(selector, within = 10_000) {
    return until(
      `${this.voice} sees ${selector}`,
      within,
      () => this.evaluate((it) => document.querySelector(it) !== null, selector),
      () => this.evaluate(() => document.body.textContent.slice(0, 600)),
    );
  }

  press(key) {
    return this.page.keyboard.press(key);
  }

  /** Blocks heard from `who` since the time `since`: [time of day in ms, rms]. */
  hearing(who, since = 0) {
    return this.evaluate(([id, from]) => window.ears.since(id, from), [who, since]);
  }

  received() {
    return this.evaluate(() => window.ears.received());
  }

  close() {
    return this.browser.close();
  }
}
