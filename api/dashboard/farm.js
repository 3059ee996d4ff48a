// The API as the pages call it, and the one stream of events that keeps them live.

import { useEffect, useRef, useState } from './vendor/preact-htm.js';

export class Refusal extends Error {
  constructor(status, problem) {
    const fields = (problem.errors || []).map((each) => `${each.pointer} ${each.message}`).join('; ');
    super(fields || problem.detail || problem.title || `the farm answered ${status}`);
    this.status = status;
  }
}

/** The parsed answer, or null of an empty one. Throws Refusal with the words of the problem. */
export async function call(method, path, { json, body, headers = {} } = {}) {
  const sent = { method, headers: { ...headers }, credentials: 'same-origin' };
  if (json !== undefined) {
    sent.headers['Content-Type'] = 'application/json';
    sent.body = JSON.stringify(json);
  } else if (body !== undefined) sent.body = body;
  let answer;
  try {
    answer = await fetch(path, sent);
  } catch {
    throw new Refusal(0, { detail: 'the farm does not answer; is its API running?' });
  }
  const text = await answer.text();
  let parsed = null;
  try {
    parsed = text ? JSON.parse(text) : null;
  } catch { /* a proxy's page */ }
  if (!answer.ok && !(answer.status === 503 && path === 'readyz')) {
    if (answer.status === 401 && path !== 'v1/session') dispatchEvent(new Event('signed-out'));
    throw new Refusal(answer.status, parsed || {});
  }
  return parsed;
}

/** Where a path leads to, which needs no session there. Throws Refusal. */
export async function leadsTo(path) {
  const answer = await fetch(path, { credentials: 'same-origin' });
  if (!answer.ok) throw new Refusal(answer.status, await answer.json().catch(() => ({})));
  return answer.url;
}

export const get = (path) => call('GET', path);

/** Every member of a list that matches, page after page; `onCount` hears how many there are so far. */
export async function* everyOne(path, filter = {}, onCount = () => {}) {
  let after = null, count = 0;
  do {
    const page = await get(`${path}?${query({ ...filter, limit: 100, after })}`);
    count += page.data.length;
    onCount(count);
    yield* page.data;
    after = page.has_more ? page.next_cursor : null;
  } while (after);
}

/** Runs `act` for all items, four at a time. Returns the refusals. */
export async function forEach(items, act, onDone = () => {}) {
  const left = [...items], refusals = [];
  let done = 0;
  await Promise.all(Array.from({ length: 4 }, async () => {
    while (left.length) {
      const item = left.shift();
      try {
        await act(item);
      } catch (refusal) {
        refusals.push({ item, refusal });
      }
      onDone(++done);
    }
  }));
  return refusals;
}

/** `metadata` is text such as `book=emma, part=2`. */
export function query(filter) {
  const said = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) {
    if (value === null || value === undefined || value === '') continue;
    if (name !== 'metadata') said.set(name, value);
    else for (const [key, held] of pairs(value)) said.append(`metadata[${key}]`, held);
  }
  return said.toString();
}

/** [name, value] of each `name=value`, with commas between. */
export const pairs = (text) => text.split(',').map((each) => each.split('='))
  .filter(([name]) => name.trim()).map(([name, ...rest]) => [name.trim(), rest.join('=').trim()]);

// --- live ------------------------------------------------------------------------------------------------------------

const listeners = new Set();
let source = null, latest = null, wanted = false;

function openStream() {
  if (source || !wanted || document.hidden) return;
  source = new EventSource(`v1/events${latest ? `?after=${encodeURIComponent(latest)}` : ''}`);
  for (const kind of ['state', 'status', 'progress', 'reset']) {
    source.addEventListener(kind, (event) => {
      if (event.lastEventId) latest = event.lastEventId;
      const data = JSON.parse(event.data);
      for (const listener of [...listeners]) listener(kind, data);
    });
  }
  source.onerror = () => {
    if (source && source.readyState === EventSource.CLOSED) {
      closeStream();
      latest = null;
      setTimeout(openStream, 5000);
    }
  };
}

function closeStream() {
  if (source) source.close();
  source = null;
}

/** One stream for the whole page, while it can be seen. */
export function live(on) {
  wanted = on;
  if (on) openStream();
  else closeStream();
}

document.addEventListener('visibilitychange', () => {
  if (document.hidden) closeStream();
  else openStream();
});
addEventListener('pagehide', closeStream);

/** Calls `listener(kind, data)` for each event while the component is there. */
export function useEvents(listener) {
  const current = useRef(listener);
  current.current = listener;
  useEffect(() => {
    const hear = (kind, data) => current.current(kind, data);
    listeners.add(hear);
    return () => listeners.delete(hear);
  }, []);
}

/** What a path answers: [answer, error, reload]. Read again each `seconds` while the page can be seen. */
export function useAnswer(path, seconds = 0) {
  const [held, hold] = useState({ path: null, answer: null, error: null });
  const current = useRef(path);
  current.current = path;
  const load = async () => {
    try {
      const answer = await get(path);
      if (current.current === path) hold({ path, answer, error: null });
    } catch (error) {
      if (current.current === path) hold((before) => ({ path, answer: before.path === path ? before.answer : null, error }));
    }
  };
  useEffect(() => {
    load();
    if (!seconds) return undefined;
    const timer = setInterval(() => document.hidden || load(), 1000 * seconds);
    return () => clearInterval(timer);
  }, [path, seconds]);
  return [held.path === path ? held.answer : null, held.error, load];
}

/** All members of a list, page after page: [rows or null, error, reload]. */
export function useAll(path) {
  const [rows, setRows] = useState(null);
  const [error, setError] = useState(null);
  const latest = useRef(); // the reading whose answer counts
  const load = async () => {
    const run = latest.current = {}, found = [];
    try {
      for await (const row of everyOne(path)) found.push(row);
      if (run !== latest.current) return;
      setRows(found);
      setError(null);
    } catch (refusal) {
      if (run === latest.current) setError(refusal);
    }
  };
  useEffect(() => {
    load();
    return () => { latest.current = null; };
  }, [path]);
  return [rows, error, load];
}

/** A function that calls `act` at once, and then no more often than each `ms`; the latest call is never lost. */
export function useCalmly(act, ms) {
  const held = useRef({});
  held.current.act = act;
  useEffect(() => () => clearTimeout(held.current.timer), []);
  return () => {
    const own = held.current;
    if (own.timer) {
      own.again = true;
      return;
    }
    own.act();
    const calm = () => {
      own.timer = null;
      if (!own.again) return;
      own.again = false;
      own.act();
      own.timer = setTimeout(calm, ms);
    };
    own.timer = setTimeout(calm, ms);
  };
}
