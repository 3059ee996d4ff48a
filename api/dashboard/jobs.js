// The list of jobs: the URL holds the filter; what is done to jobs is done to the selected, or to all that match.

import { html, useEffect, useState } from './vendor/preact-htm.js';
import { call, everyJob, forEach, get, query, useCalmly, useEvents } from './farm.js';
import { Ask, Bar, STATES, State, Trouble, When, clock, nameOf, number, path } from './parts.js';

const FIELDS = [['custom_id', 'Title', 'a part of it'], ['model', 'Model', ''], ['voice', 'Voice', ''], ['batch', 'Batch', 'batch_…'],
  ['metadata', 'Metadata', 'book=emma, part=2']];
const OPEN = new Set(['queued', 'running', 'assembling']);
const ACTIONS = {
  cancel: { title: 'Cancel', may: (job) => OPEN.has(job.status), does: (job) => call('POST', `v1/jobs/${job.id}/cancel`),
    words: 'What was rendered stays for a retry.' },
  retry: { title: 'Retry', does: (job) => call('POST', `v1/jobs/${job.id}/retry`),
    may: (job) => ['failed', 'canceled'].includes(job.status) || (job.status === 'succeeded' && job.progress.segments_failed),
    words: 'Only what is missing is rendered.' },
  delete: { title: 'Delete', may: () => true, does: (job) => call('DELETE', `v1/jobs/${job.id}`), danger: true,
    words: 'Their audio goes with them, and does not come back.' },
};

export function Jobs({ filter }) {
  const go = (next) => { location.hash = `#/jobs?${new URLSearchParams(Object.entries(next).filter(([, value]) => value))}`; };
  return html`<h1>Jobs</h1><${Filter} filter=${filter} go=${go} /><${List} filter=${filter} />`;
}

function Filter({ filter, go }) {
  const change = (name) => (event) => go({ ...filter, [name]: event.target.value.trim() });
  return html`<form class="filter" role="search" aria-label="Filter" onSubmit=${(event) => event.preventDefault()}>
    <label>Status <select onChange=${change('status')}>
      <option value="">any</option>${STATES.map((state) => html`<option key=${state} value=${state} selected=${state === filter.status}>${state}</option>`)}</select></label>
    ${FIELDS.map(([name, title, hint]) => html`
      <label key=${name}>${title} <input value=${filter[name] || ''} placeholder=${hint} onChange=${change(name)} /></label>`)}
    ${Object.keys(filter).length > 0 && html`<button type="button" class="plain" onClick=${() => go({})}>Show all</button>`}
  </form>`;
}

/** Jobs that match, with what can be done to them. Of a batch, in its order. */
export function List({ filter }) {
  const said = query(filter);
  const [held, hold] = useState({ said: null, jobs: [], next: null });
  const [error, setError] = useState(null);
  const [chosen, choose] = useState(new Set());
  const read = async (more) => {
    const page = await get(`v1/jobs?${query({ ...filter, limit: more ? 50 : Math.min(100, Math.max(50, held.jobs.length)), after: more ? held.next : null })}`);
    hold((before) => {
      const kept = before.said !== said ? [] : more ? before.jobs : before.jobs.slice(page.data.length);
      if (!more && kept.length && page.has_more) { // the later pages stay as they are, without those that moved
        const fresh = new Set(page.data.map((job) => job.id));
        return { ...before, jobs: [...page.data, ...before.jobs.filter((job) => !fresh.has(job.id))] };
      }
      return { said, jobs: more ? [...kept, ...page.data] : page.data, next: page.has_more ? page.next_cursor : null };
    });
    setError(null);
  };
  const load = (more) => read(more).catch(setError);
  useEffect(() => {
    choose(new Set());
    load(false);
  }, [said]);
  const soon = useCalmly(() => load(false), 1500);
  useEvents((kind, data) => {
    if (kind === 'progress' && data.object === 'job') {
      hold((before) => ({ ...before, jobs: before.jobs.map((job) => job.id === data.id ? { ...job, ...data } : job) }));
    } else if (kind !== 'progress') soon();
  });
  const toggle = (id) => choose((before) => {
    const after = new Set(before);
    if (!after.delete(id)) after.add(id);
    return after;
  });
  const jobs = held.said === said ? held.jobs : [];
  const picked = jobs.filter((job) => chosen.has(job.id));
  const all = jobs.length > 0 && picked.length === jobs.length;
  return html`
    <${Actions} picked=${picked} filter=${filter} onDone=${() => { choose(new Set()); load(false); }} />
    <${Trouble} of=${error} />
    ${jobs.length > 0 && html`<table class="cards jobs">
      <thead><tr>
        <th><input type="checkbox" aria-label="select all that are shown" checked=${all}
          onChange=${() => choose(new Set(all ? [] : jobs.map((job) => job.id)))} /></th>
        <th>Job</th><th>Status</th><th>Progress</th><th>Model, voice</th><th>Metadata</th><th>Made</th></tr></thead>
      <tbody>${jobs.map((job) => html`<${Row} key=${job.id} job=${job} chosen=${chosen.has(job.id)} toggle=${toggle} />`)}</tbody>
    </table>`}
    ${held.said === said && !jobs.length && html`<p class="quiet">No job matches${held.next ? ' so far' : ''}.</p>`}
    ${held.next && html`<p><button type="button" onClick=${() => load(true)}>Show more</button></p>`}`;
}

function Row({ job, chosen, toggle }) {
  const { progress, result } = job;
  return html`<tr aria-selected=${chosen}>
    <td class="pick"><input type="checkbox" aria-label=${`select ${nameOf(job)}`} checked=${chosen} onChange=${() => toggle(job.id)} /></td>
    <th scope="row"><a href=${path('job', job.id)}>${nameOf(job)}</a>
      ${job.error && html`<div class="why">${job.error.message}</div>`}</th>
    <td data-label="status"><${State} of=${job.status} /></td>
    <td data-label="progress">${OPEN.has(job.status)
      ? html`<${Bar} percent=${progress.percent} /> ${number(progress.segments_done)} / ${number(progress.segments_total)}`
      : result ? clock(result.duration_seconds) : html`<span class="quiet">–</span>`}</td>
    <td data-label="model, voice">${job.model}${job.voice && html`, ${job.voice}`}</td>
    <td data-label="metadata" class="meta">${Object.entries(job.metadata).map(([name, value]) => html`<span key=${name}>${name}=${value} </span>`)}</td>
    <td data-label="made"><${When} at=${job.created_at} /></td></tr>`;
}

/** Cancel, retry and delete, with the count before anything happens. */
function Actions({ picked, filter, onDone }) {
  const [asked, ask] = useState(null); // {name, jobs} once they are counted
  const [said, say] = useState('');
  const count = async (name) => {
    if (picked.length) return ask({ name, jobs: picked.filter(ACTIONS[name].may) });
    const jobs = [];
    try {
      for await (const job of everyJob(filter, (number) => say(`${number} counted …`))) if (ACTIONS[name].may(job)) jobs.push(job);
      say('');
      return ask({ name, jobs });
    } catch (refusal) {
      return say(refusal.message);
    }
  };
  const answer = async (yes) => {
    const { name, jobs } = asked;
    ask(null);
    if (!yes || !jobs.length) return;
    const refusals = await forEach(jobs, ACTIONS[name].does, (done) => say(`${ACTIONS[name].title}: ${done} of ${jobs.length}`));
    const well = jobs.length - refusals.length;
    say(`${ACTIONS[name].title}: ${number(well)} done${refusals.length ? `, ${refusals.length} refused (${refusals[0].refusal.message})` : ''}`);
    onDone();
  };
  const whom = picked.length ? `${picked.length} selected` : 'all that match';
  return html`
    <div class="row actions" role="group" aria-label="Actions">
      ${Object.entries(ACTIONS).map(([name, action]) => html`
        <button key=${name} type="button" onClick=${() => count(name)}>${action.title} ${whom}</button>`)}
      <span role="status" class="quiet">${said}</span>
    </div>
    ${asked && html`<${Ask} yes=${asked.jobs.length ? `${ACTIONS[asked.name].title} ${number(asked.jobs.length)}` : 'Good'}
        danger=${ACTIONS[asked.name].danger} onAnswer=${answer}>
      <p><b>${ACTIONS[asked.name].title} ${number(asked.jobs.length)} ${asked.jobs.length === 1 ? 'job' : 'jobs'}?</b></p>
      <p>${asked.jobs.length ? ACTIONS[asked.name].words : 'None of them is in a state in which that can be done.'}</p></${Ask}>`}`;
}
