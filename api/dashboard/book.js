// A job as a book: its text, followed while it is heard, and changed sentence by sentence.

import { html, useEffect, useRef, useState } from './vendor/preact-htm.js';
import { call, useAll, useAnswer, useCalmly, useEvents } from './farm.js';
import { Bar, Deleted, Left, State, Trouble, nameOf, number, path } from './parts.js';
import { Contents, nameOf as titleOf } from './contents.js';
import { Draft, plain } from './draft.js';
import { playOnly, useFollow } from './follow.js';
import { Listen } from './listen.js';
import { Sentence } from './sentence.js';
import { Sheet, sentence, sentenceAt, sheetWith, useSheet } from './sheet.js';

const OPEN = new Set(['queued', 'running', 'assembling']);
const AGAIN_MS = 500; // between two looks for the sentence that is heard
const NOTHING = { drafts: new Map(), out: null, lexicons: null };

export function Book({ id, filter }) {
  const here = `v1/jobs/${encodeURIComponent(id)}`;
  const [job, error, reload] = useAnswer(here);
  const [contents, contentsError, reloadContents] = useAnswer(`${here}/contents`);
  const [progress, setProgress] = useState(null);
  const [gone, setGone] = useState(false);
  const soon = useCalmly(() => gone || (reload(), reloadContents()), 1000);
  useEvents((kind, data) => {
    if (data.status === 'deleted' && data.id === id) setGone(true);
    else if (kind === 'progress' && data.id === id) setProgress(data.progress);
    else if (kind !== 'progress' && (!data.id || data.id === id)) soon();
  });
  useEffect(() => setProgress(null), [job]);
  if (gone) return html`<${Deleted} title="Book" back="#/jobs" />`;
  if (!job || !contents) return html`<h1>Book</h1><${Trouble} of=${error || contentsError} />`;
  const open = OPEN.has(job.status), state = progress || job.progress;
  return html`
    <p class="crumbs"><a href="#/jobs">Jobs</a> / <a href=${path('job', job.id)}>${nameOf(job)}</a></p>
    <h1>${nameOf(job)} <${State} of=${job.status} /></h1>
    <${Trouble} of=${error || contentsError || (job.error && job.error.message)} />
    ${open && html`<p><${Bar} percent=${state.percent} /> ${number(state.segments_done)} of ${number(state.segments_total)} segments. <${Left} seconds=${job.eta_seconds} /></p><p class="quiet">It can be changed once it has ended.</p>`}
    <${Text} key=${filter.at} job=${job} here=${here} chapters=${contents.data} open=${open} first=${filter.at === undefined ? null : Number(filter.at)} heardSoFar=${state.segments_done}
      onChanged=${() => { reload(); reloadContents(); }} />`;
}

function Text({ job, here, chapters, open, first, heardSoFar, onChanged }) {
  const [at, setAt] = useState(first || 0); // a sentence of the sheet that is shown
  const [heard, setHeard] = useState(null);
  const [chosen, choose] = useState(null);
  const [follows, follow] = useState(true);
  const [changes, setChanges] = useState(NOTHING);
  const [refusal, setRefusal] = useState(null);
  const [listens, listen] = useState(false);
  const [voices] = useAll('v1/voices');
  const [models] = useAnswer('v1/models');
  const audio = useRef(), stream = useRef(), clip = useRef(), looked = useRef(0), box = useRef();
  const sheet = sheetWith(chapters, at);
  const version = `${job.revision} ${job.status}`;
  const [rows, until, error] = useSheet(here, job.progress.segments_total ? sheet : null, version);
  const { result } = job;
  useFollow(audio, rows, (row, ms) => {
    const inside = row && rows[0].offset_ms != null && ms < until;
    setHeard(inside ? row.index : null);
    if (!follows || inside || audio.current.paused || performance.now() < looked.current) return;
    looked.current = Infinity; // while one answer is awaited, and a moment longer: there is silence before a chapter
    sentenceAt(here, chapters, ms).then(setAt, setRefusal).finally(() => { looked.current = performance.now() + AGAIN_MS; });
  });
  useEffect(() => () => clip.current && clip.current.pause(), []);
  useEffect(() => { if (!open) listen(false); }, [open]);
  const asked = useRef(first); // the sentence that the URL names, until it is there
  useEffect(() => {
    const index = chosen ? chosen.index : asked.current;
    const row = rows.find((each) => each.index === index);
    if (row) choose(row);
    if (rows.length) asked.current = null;
  }, [rows]);
  const streamed = (index) => {
    setHeard(index);
    if (follows) setAt(index);
  };
  const model = models && models.data.find((each) => each.name === job.model);
  const fitting = (voices || []).filter((voice) => voice.models.includes(job.model));
  const hear = (row) => {
    if (listens && stream.current) stream.current(row.index);
    else if (result && audio.current.paused) playOnly(audio.current, row);
    else if (result) {
      delete audio.current.dataset.until;
      audio.current.currentTime = row.offset_ms / 1000;
    } else { // of a job that has no result, or none yet
      clip.current = clip.current || new Audio();
      clip.current.src = `${here}/segments/${row.index}/audio`;
      clip.current.play();
    }
  };
  const canBeHeard = (row) => Boolean(row.audio_url) || listens;
  const pick = (row) => {
    choose(row);
    if (canBeHeard(row)) hear(row);
  };
  const turn = (index) => { // by hand; the page stays there, whatever is heard
    if (heard != null) follow(false);
    setAt(index);
  };
  const close = () => {
    const index = chosen.index;
    choose(null);
    requestAnimationFrame(() => box.current && box.current.querySelector(`.said[data-index='${index}']`)?.focus());
  };
  const draft = (row) => (said) => setChanges((before) => {
    const drafts = new Map(before.drafts);
    if (said) drafts.set(row.index, said);
    else drafts.delete(row.index);
    return { ...before, drafts };
  });
  const toLexicon = (ref) => setChanges((before) => {
    const others = (before.lexicons || []).filter((each) => plain(each) !== plain(ref));
    return { ...before, lexicons: [ref, ...others] };
  });
  const out = new Set(chapters.filter((chapter) => chapter.left_out).map((chapter) => chapter.number));
  const leaveOut = (next) => setChanges((before) => ({ ...before, out: [...next].sort().join() === [...out].sort().join() ? null : next }));
  const take = (row, said) => call('POST', `${here}/segments/${row.index}/retry`, { json: said, headers: { 'If-Match': `"${job.revision}"` } })
    .then(() => { setRefusal(null); onChanged(); }, setRefusal);
  const sent = () => {
    setChanges(NOTHING);
    choose(null);
    onChanged();
  };
  const base = useRef(job.revision); // of which the changes are
  useEffect(() => {
    if (open || base.current === job.revision) return;
    base.current = job.revision;
    if (changes !== NOTHING) kept(here, changes, chapters).then(setChanges, setRefusal);
  }, [job.revision, open]);
  const changed = changes.drafts.size > 0 || changes.out || changes.lexicons;
  const pending = changed && !open && html`<${Draft} here=${here} job=${job} changes=${changes} loose=${!chosen} onSent=${sent} onStale=${onChanged}
    onDrop=${() => setChanges(NOTHING)} />`;
  const panel = chosen && html`<${Sentence} key=${chosen.index} row=${chosen} job=${job} voices=${fitting} draft=${changes.drafts.get(chosen.index)}
    locked=${open} seeded=${Boolean(model && model.parameters.includes('seed'))} onHear=${canBeHeard(chosen) ? () => hear(chosen) : null} onDraft=${draft(chosen)}
    onTake=${take} onLexicon=${toLexicon} onClose=${close} />${pending}`;
  return html`<div class="book" ref=${box}>
    <div class="text">
      <div class="heard">
        ${result && html`<audio class="player" controls preload="metadata" src=${`${here}/audio?revision=${job.revision}`} ref=${audio} aria-label=${`audio of ${nameOf(job)}`}></audio>`}
        ${listens && html`<${Listen} job=${here} name=${nameOf(job)} onHeard=${streamed} seek=${stream} />`}
        <p class="row">${open && heardSoFar > 0 && !listens && html`<button type="button" class="main" onClick=${() => listen(true)}>Listen now</button>`}
        ${(result || listens) && html`<label class="inline"><input type="checkbox" checked=${follows} onChange=${() => follow(!follows)} /> the page follows what is heard</label>`}</p>
      </div>
      <${Trouble} of=${refusal} />
      ${sheet ? html`<h2>${titleOf(sheet.chapter)}</h2>
        <${Sheet} sheet=${sheet} rows=${rows} heard=${heard} chosen=${chosen} drafts=${changes.drafts} follows=${follows} panel=${panel}
          error=${error} onChoose=${pick} onTurn=${turn} />` : html`<p class="quiet">Its text is not divided into sentences yet.</p>`}
      ${!chosen && pending}
    </div>
    <${Contents} chapters=${chapters} at=${sheet && sheet.chapter.index} out=${changes.out || out} locked=${open}
      onOpen=${(chapter) => { turn(chapter.first_segment); choose(null); }} onOut=${leaveOut} />
  </div>`;
}

/** Of the changes those that still mean the same once somebody else has changed the book. */
async function kept(here, { drafts, out, lexicons }, chapters) {
  const still = new Map();
  for (const [index, said] of drafts) {
    const row = await sentence(here, index);
    if (row && row.text === said.was) still.set(index, said);
  }
  return { drafts: still, lexicons, out: out && Math.max(-1, ...out) < chapters.length ? out : null };
}
