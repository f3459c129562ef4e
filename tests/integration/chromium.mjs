// A headless Chromium, Debian's, driven by npm's `playwright-core`, for test_client_chromium.py.
import { chromium } from 'playwright-core';
import { serve } from './library.mjs';

const browser = await chromium.launch({ executablePath: process.argv[2], args: ['--no-sandbox', '--disable-gpu'] });
let context, page, complaints;

async function state() {
  const alert = page.locator('[role=alert]');
  return {
    url: page.url(),
    heading: (await page.locator('h1').count()) ? await page.locator('h1').innerText() : null,
    alert: (await alert.count()) ? await alert.innerText() : null,
    complaints,
  };
}

// When the page is there that has to come: by its heading, by an alert, or by its URL.
async function arrive({ heading, alert, url } = {}) {
  if (heading) await page.getByRole('heading', { name: heading, exact: true }).waitFor();
  if (alert) await page.getByRole('alert').waitFor();
  if (url) await page.waitForURL(url);
  return await state();
}

await serve({
  // Somebody else's browser, with nothing in it.
  async fresh(options) {
    await context?.close();
    context = await browser.newContext({ ignoreHTTPSErrors: true, ...options });
    context.setDefaultTimeout(20000);
    page = await context.newPage();
    complaints = [];
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    page.on('pageerror', (error) => complaints.push(String(error)));
    return {};
  },
  async open({ url }) {
    await page.goto(url);
    return await state();
  },
  async fill({ fields }) {
    for (const [name, value] of Object.entries(fields)) await page.getByLabel(name, { exact: true }).fill(value);
    return {};
  },
  // Presses what is there; `then`: what is to come of it.
  async click({ selector, then }) {
    await page.locator(selector).click();
    return await arrive(then);
  },
  // Typed on a keyboard: a text, or <the name of a key>.
  async type({ keys, then }) {
    for (const key of keys) {
      if (key.startsWith('<')) await page.keyboard.press(key.slice(1, -1));
      else await page.keyboard.type(key);
    }
    return await arrive(then);
  },
  async cookies({ url }) {
    return { cookies: await context.cookies(url) };
  },
  // What is wider than the window; the colour behind all; and what assistive technology is told.
  async look() {
    return {
      overflow: await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth),
      background: await page.evaluate(() => getComputedStyle(document.body).backgroundColor),
      tree: await page.locator('body').ariaSnapshot(),
    };
  },
  async frames() {
    return { frames: page.frames().map((frame) => frame.url()) };
  },
});
await browser.close();
