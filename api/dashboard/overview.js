// The farm at a glance: what waits, who works, how fast. The totals of all tenants and the workers are an operator's.

import { html, useEffect, useRef, useState } from './vendor/preact-htm.js';
import { useAnswer, useCalmly, useEvents } from './farm.js';
import { STATES, State, Trouble, When, number, span } from './parts.js';

const KEPT = 720; // samples of the charts: an hour, at one each 5 seconds
const samples = { times: [], speeds: [], waits: [], lefts: [] }; // seconds of Unix time, segments per second, segments that wait, seconds left
const PACE = [{ of: 'speeds', label: 'segments/s', colour: '--accent', faint: '--accent-faint', least: 1 },
  { of: 'waits', label: 'segments that wait', colour: '--running', dash: [5, 4], least: 10 }];
const LEFT = [{ of: 'lefts', label: 'time left', colour: '--accent', faint: '--accent-faint', least: 60, words: (seconds) => seconds == null ? '–' : span(seconds) }];

export function Overview({ session }) {
  const [queue, error, reload] = useAnswer('v1/queue', 5);
  const soon = useCalmly(reload, 2000);
  useEvents((kind) => kind === 'status' && soon());
  if (queue) sample(queue);
  if (!queue) return html`<h1>Overview</h1><${Trouble} of=${error} />`;
  const counted = STATES.filter((state) => queue.jobs[state]);
  const render = queue.workers.filter((worker) => worker.kind === 'render');
  const desks = queue.workers.filter((worker) => worker.kind === 'desk');
  return html`
    <h1>Overview</h1>
    <${Trouble} of=${error} />
    ${!session.operator && html`<p><a href="#/jobs">Your jobs</a></p>`}
    ${session.operator && html`<p class="counts">${counted.map((state) => html`
      <a key=${state} href=${`#/jobs?status=${state}`}><b>${number(queue.jobs[state])}</b> <${State} of=${state} /></a>`)}
      ${!counted.length && html`<span class="quiet">No jobs yet. <a href="#/submit">Submit a text</a>.</span>`}</p>`}
    <section aria-labelledby="queue"><h2 id="queue">Queue</h2><${Depths} queue=${queue} operator=${session.operator} /></section>
    <section aria-labelledby="pace"><h2 id="pace">Throughput</h2>
      <${Chart} tick=${queue} series=${PACE} label="segments per second and segments that wait, since this page was opened" /></section>
    <section aria-labelledby="left"><h2 id="left">Time left</h2>
      <${Chart} tick=${queue} series=${LEFT} label="time until all that waits is rendered, since this page was opened" /></section>
    ${session.operator && html`<section aria-labelledby="workers"><h2 id="workers">Workers</h2>
      <${Workers} of=${render} />
      <p class="quiet">${desks.length} ${desks.length === 1 ? 'desk plans and assembles' : 'desks plan and assemble'}.</p>
    </section>`}`;
}

const waiting = (depth) => Object.values(depth.ready).reduce((sum, count) => sum + count, 0);

function Depths({ queue, operator }) {
  const models = Object.entries(queue.models);
  if (!models.length) return html`<p class="quiet">No render worker has announced a model yet.</p>`;
  return html`<table class="cards">
    <thead><tr><th>Model</th><th>Interactive</th><th>Normal</th><th>Bulk</th>${operator && html`<th>In work</th>`}<th>Speed</th><th>Left</th></tr></thead>
    <tbody>${models.map(([name, depth]) => html`<tr key=${name}>
      <th scope="row">${name}</th>
      ${['interactive', 'normal', 'bulk'].map((lane) => html`<td data-label=${lane}>${number(depth.ready[lane] || 0)}</td>`)}
      ${operator && html`<td data-label="in work">${number(depth.leased)}</td>`}
      <td data-label="speed">${depth.segments_per_second.toFixed(1)} segments/s</td>
      <td data-label="left">${left(depth, operator)}</td></tr>`)}</tbody></table>`;
}

function left(depth, operator) {
  const seconds = secondsLeft(depth);
  if (seconds === 0) return 'nothing';
  if (operator && !depth.workers) return 'no worker';
  return seconds == null ? 'not known yet' : `about ${span(seconds)}`;
}

/** Until all that waits is rendered; null where that is not known. */
function secondsLeft(depth) {
  const count = waiting(depth) + depth.leased;
  if (!count) return 0;
  return depth.segments_per_second ? count / depth.segments_per_second : null;
}

function Workers({ of }) {
  if (!of.length) return html`<p class="trouble">No render worker runs: jobs wait.</p>`;
  return html`<table class="cards">
    <thead><tr><th>Worker</th><th>Model</th><th>Device</th><th>Batch fill</th><th>Real-time factor</th><th>Segments</th><th>Last seen</th></tr></thead>
    <tbody>${of.map((worker) => html`<tr key=${worker.id}>
      <th scope="row" class="id">${worker.id}</th>
      <td data-label="model">${worker.model}</td>
      <td data-label="device">${worker.device || '–'}</td>
      <td data-label="batch fill">${fill(worker)}</td>
      <td data-label="real-time factor">${worker.real_time_factor ? Number(worker.real_time_factor.toPrecision(2)) : '–'}</td>
      <td data-label="segments">${number(worker.segments)}</td>
      <td data-label="last seen"><${When} at=${worker.seen_at} /></td></tr>`)}</tbody></table>`;
}

function fill(worker) {
  if (!worker.batch_mean) return '–';
  return `${worker.batch_mean.toFixed(1)}${worker.capacity ? ` of ${worker.capacity}` : ''}`;
}

function sample(queue) {
  const depths = Object.values(queue.models), lefts = depths.map(secondsLeft), now = Math.round(Date.now() / 1000);
  const { times, speeds, waits } = samples;
  if (times.at(-1) === now) return;
  times.push(now);
  speeds.push(depths.reduce((sum, depth) => sum + depth.segments_per_second, 0));
  waits.push(depths.reduce((sum, depth) => sum + waiting(depth), 0));
  samples.lefts.push(lefts.includes(null) ? null : Math.max(0, ...lefts)); // models work side by side
  if (times.length > KEPT) Object.values(samples).forEach((held) => held.shift());
}

/** One or two series of the samples, since this page was opened. The first has its axis on the left. */
function Chart({ tick, series, label }) {
  const place = useRef(), plot = useRef();
  const [scheme, setScheme] = useState(0);
  const data = () => [samples.times, ...series.map((each) => samples[each.of])];
  useEffect(() => {
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const changed = () => setScheme((times) => times + 1);
    dark.addEventListener('change', changed);
    return () => dark.removeEventListener('change', changed);
  }, []);
  useEffect(() => {
    plot.current = new uPlot(drawing(series, place.current.clientWidth), data(), place.current);
    const fit = new ResizeObserver(() => plot.current.setSize({ width: place.current.clientWidth, height: 200 }));
    fit.observe(place.current);
    return () => {
      fit.disconnect();
      plot.current.destroy();
    };
  }, [scheme]);
  useEffect(() => plot.current.setData(data()), [tick]);
  return html`<div class="chart" ref=${place} role="img" aria-label=${label}></div>`;
}

/** The options of uPlot, in the colours of this moment. */
function drawing(series, width) {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const time = (seconds) => new Date(1000 * seconds).toLocaleTimeString();
  const axis = { stroke: colour('--quiet'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line') } };
  const times = () => {
    const now = samples.times.at(-1) ?? Date.now() / 1000;
    return [Math.min(samples.times[0] ?? now, now - 60), now];
  };
  const scales = series.map(({ of, least }) => [of, { range: (_, low, high) => [0, Math.max(least, high * 1.1)] }]);
  return {
    width, height: 200, cursor: { drag: { x: false } },
    scales: { x: { range: times }, ...Object.fromEntries(scales) },
    axes: [{ ...axis, space: 90, values: (_, ticks) => ticks.map(time) }, ...series.map(({ of, words }, number) => ({
      ...axis, scale: of, size: 56, ...(words && { values: (_, ticks) => ticks.map(words) }), ...(number && { side: 1, grid: { show: false } }),
    }))],
    series: [{ label: 'time', value: (_, seconds) => seconds == null ? '–' : time(seconds) }, ...series.map((each) => ({
      label: each.label, scale: each.of, stroke: colour(each.colour), width: 2, points: { show: true, size: 5 }, dash: each.dash,
      ...(each.faint && { fill: colour(each.faint) }), ...(each.words && { value: (_, value) => each.words(value) }),
    }))],
  };
}
