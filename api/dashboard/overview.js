// The farm at a glance: what waits, who works, how fast. The totals of all tenants and the workers are an operator's.

import { html, useEffect, useRef, useState } from './vendor/preact-htm.js';
import { useAnswer, useCalmly, useEvents } from './farm.js';
import { STATES, State, Trouble, When, number, span } from './parts.js';

const KEPT = 720; // samples of the charts: an hour, at one each 5 seconds
const samples = [[], [], []]; // seconds of Unix time, segments per second, segments that wait

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
    <section aria-labelledby="pace"><h2 id="pace">Throughput</h2><${Chart} tick=${queue} /></section>
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
  const count = waiting(depth) + depth.leased;
  if (!count) return 'nothing';
  if (operator && !depth.workers) return 'no worker';
  return depth.segments_per_second ? `about ${span(count / depth.segments_per_second)}` : 'not known yet';
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
      <td data-label="real-time factor">${worker.real_time_factor ? worker.real_time_factor.toFixed(4) : '–'}</td>
      <td data-label="segments">${number(worker.segments)}</td>
      <td data-label="last seen"><${When} at=${worker.seen_at} /></td></tr>`)}</tbody></table>`;
}

function fill(worker) {
  if (!worker.batch_mean) return '–';
  return `${worker.batch_mean.toFixed(1)}${worker.capacity ? ` of ${worker.capacity}` : ''}`;
}

function sample(queue) {
  const depths = Object.values(queue.models);
  const [times, speeds, waits] = samples, now = Math.round(Date.now() / 1000);
  if (times[times.length - 1] === now) return;
  times.push(now);
  speeds.push(depths.reduce((sum, depth) => sum + depth.segments_per_second, 0));
  waits.push(depths.reduce((sum, depth) => sum + waiting(depth), 0));
  if (times.length > KEPT) samples.forEach((series) => series.shift());
}

/** Segments per second, and segments that wait, since this page was opened. */
function Chart({ tick }) {
  const place = useRef(), plot = useRef();
  const [scheme, setScheme] = useState(0);
  useEffect(() => {
    const dark = matchMedia('(prefers-color-scheme: dark)');
    const changed = () => setScheme((times) => times + 1);
    dark.addEventListener('change', changed);
    return () => dark.removeEventListener('change', changed);
  }, []);
  useEffect(() => {
    const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const points = { show: true, size: 5 };
    const axis = { stroke: colour('--quiet'), grid: { stroke: colour('--line'), width: 1 }, ticks: { stroke: colour('--line') } };
    const span = () => {
      const now = samples[0].at(-1) ?? Date.now() / 1000;
      return [Math.min(samples[0][0] ?? now, now - 60), now];
    };
    plot.current = new uPlot({
      width: place.current.clientWidth, height: 200, cursor: { drag: { x: false } },
      scales: { x: { range: span },
        speed: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] },
        wait: { range: (_, low, high) => [0, Math.max(10, high * 1.1)] } },
      axes: [axis, { ...axis, scale: 'speed', size: 44 }, { ...axis, scale: 'wait', side: 1, size: 48, grid: { show: false } }],
      series: [{}, { label: 'segments/s', scale: 'speed', stroke: colour('--accent'), width: 2, points, fill: colour('--accent-faint') },
        { label: 'segments that wait', scale: 'wait', stroke: colour('--running'), width: 2, points, dash: [5, 4] }],
    }, samples, place.current);
    const fit = new ResizeObserver(() => plot.current.setSize({ width: place.current.clientWidth, height: 200 }));
    fit.observe(place.current);
    return () => {
      fit.disconnect();
      plot.current.destroy();
    };
  }, [scheme]);
  useEffect(() => plot.current.setData(samples), [tick]);
  return html`<div class="chart" ref=${place} role="img" aria-label="segments per second and segments that wait, since this page was opened"></div>`;
}
