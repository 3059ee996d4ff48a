// A list that the URL filters: of jobs, or of batches. What is done, is done to the selected, or to all that match.

import { html, useEffect, useState } from './vendor/preact-htm.js';
import { everyOne, forEach, get, query, useCalmly, useEvents } from './farm.js';
import { Ask, Trouble, nameOf, number } from './parts.js';

/** The filter of a page: `fields` are [name, title, hint], `states` the statuses that can be chosen. */
export function Filter({ page, states, fields, filter }) {
  const go = (next) => { location.hash = `#/${page}?${new URLSearchParams(Object.entries(next).filter(([, value]) => value))}`; };
  const change = (name) => (event) => go({ ...filter, [name]: event.target.value.trim() });
  return html`<form class="filter" role="search" aria-label="Filter" onSubmit=${(event) => event.preventDefault()}>
    <label>Status <select onChange=${change('status')}>
      <option value="">any</option>${states.map((state) => html`<option key=${state} value=${state} selected=${state === filter.status}>${state}</option>`)}</select></label>
    ${fields.map(([name, title, hint]) => html`
      <label key=${name}>${title} <input value=${filter[name] || ''} placeholder=${hint} onChange=${change(name)} /></label>`)}
    ${Object.keys(filter).length > 0 && html`<button type="button" class="plain" onClick=${() => go({})}>Show all</button>`}
  </form>`;
}

/**
 * What matches, newest first, with what can be done to it. `of` says of what the list is:
 * {one, many: words; path: of the API; object: as events name it; columns: titles; Cells; actions: name -> {title, may, does, words}}
 */
export function List({ of, filter }) {
  const said = query(filter);
  const [held, hold] = useState({ said: null, rows: [], next: null });
  const [error, setError] = useState(null);
  const [chosen, choose] = useState(new Set());
  const read = async (more) => {
    const page = await get(`${of.path}?${query({ ...filter, limit: more ? 50 : Math.min(100, Math.max(50, held.rows.length)), after: more ? held.next : null })}`);
    hold((before) => {
      const kept = before.said !== said ? [] : more ? before.rows : before.rows.slice(page.data.length);
      if (!more && kept.length && page.has_more) { // the later pages stay as they are, without those that moved
        const fresh = new Set(page.data.map((row) => row.id));
        return { ...before, rows: [...page.data, ...before.rows.filter((row) => !fresh.has(row.id))] };
      }
      return { said, rows: more ? [...kept, ...page.data] : page.data, next: page.has_more ? page.next_cursor : null };
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
    if (kind !== 'progress') soon();
    else if (data.object === of.object) {
      hold((before) => ({ ...before, rows: before.rows.map((row) => row.id === data.id ? { ...row, ...data } : row) }));
    }
  });
  const toggle = (id) => choose((before) => {
    const after = new Set(before);
    if (!after.delete(id)) after.add(id);
    return after;
  });
  const rows = held.said === said ? held.rows : [];
  const picked = rows.filter((row) => chosen.has(row.id));
  const all = rows.length > 0 && picked.length === rows.length;
  return html`
    <${Actions} of=${of} picked=${picked} filter=${filter} onDone=${() => { choose(new Set()); load(false); }} />
    <${Trouble} of=${error} />
    ${rows.length > 0 && html`<table class=${`cards ${of.many}`}>
      <thead><tr>
        <th><input type="checkbox" aria-label="select all that are shown" checked=${all}
          onChange=${() => choose(new Set(all ? [] : rows.map((row) => row.id)))} /></th>
        ${of.columns.map((title) => html`<th key=${title}>${title}</th>`)}</tr></thead>
      <tbody>${rows.map((row) => html`<tr key=${row.id} aria-selected=${chosen.has(row.id)}>
        <td class="pick"><input type="checkbox" aria-label=${`select ${nameOf(row)}`} checked=${chosen.has(row.id)} onChange=${() => toggle(row.id)} /></td>
        <${of.Cells} row=${row} /></tr>`)}</tbody>
    </table>`}
    ${held.said === said && !rows.length && html`<p class="quiet">No ${of.one} matches${held.next ? ' so far' : ''}.</p>`}
    ${held.next && html`<p><button type="button" onClick=${() => load(true)}>Show more</button></p>`}`;
}

/** What can be done, with the count before anything happens. */
function Actions({ of, picked, filter, onDone }) {
  const [asked, ask] = useState(null); // {name, rows} once they are counted
  const [said, say] = useState('');
  const count = async (name) => {
    const { may } = of.actions[name];
    if (picked.length) return ask({ name, rows: picked.filter(may) });
    const rows = [];
    try {
      for await (const row of everyOne(of.path, filter, (number) => say(`${number} counted …`))) if (may(row)) rows.push(row);
      say('');
      return ask({ name, rows });
    } catch (refusal) {
      return say(refusal.message);
    }
  };
  const answer = async (yes) => {
    const { name, rows } = asked, { title, does } = of.actions[name];
    ask(null);
    if (!yes || !rows.length) return;
    const refusals = await forEach(rows, does, (done) => say(`${title}: ${done} of ${rows.length}`));
    const well = rows.length - refusals.length;
    say(`${title}: ${number(well)} done${refusals.length ? `, ${refusals.length} refused (${refusals[0].refusal.message})` : ''}`);
    onDone();
  };
  const whom = picked.length ? `${picked.length} selected` : 'all that match';
  return html`
    <div class="row actions" role="group" aria-label="Actions">
      ${Object.entries(of.actions).map(([name, action]) => html`
        <button key=${name} type="button" onClick=${() => count(name)}>${action.title} ${whom}</button>`)}
      <span role="status" class="quiet">${said}</span>
    </div>
    ${asked && html`<${Question} of=${of} action=${of.actions[asked.name]} count=${asked.rows.length} onAnswer=${answer} />`}`;
}

function Question({ of, action, count, onAnswer }) {
  return html`<${Ask} yes=${count ? `${action.title} ${number(count)}` : 'Good'} danger=${action.danger} onAnswer=${onAnswer}>
    <p><b>${action.title} ${number(count)} ${count === 1 ? of.one : of.many}?</b></p>
    <p>${count ? action.words : 'None of them is in a state in which that can be done.'}</p></${Ask}>`;
}
