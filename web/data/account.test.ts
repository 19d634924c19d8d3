import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
// @ts-expect-error the cardboard server is plain JavaScript
import { Mock } from '../dev/jmap.mjs';
import { lastDone, move, setKeyword } from './actions';
import { Draft } from './compose';
import { clearAllLocal, setDraftOwner, takeLeftovers } from './draftstore';
import { MessageList, PAGE } from './list';
import { Live } from './live';
import {
  emailSignal,
  forget,
  jmap,
  loadIdentities,
  loadMailboxes,
  mailboxById,
  mailboxWithRole,
  me,
} from './store';

const SESSION = {
  apiUrl: 'https://elsewhere.example/api',
  downloadUrl: '/d/{blobId}',
  uploadUrl: '/u',
  eventSourceUrl: '/e',
  username: 'meera.joshi@rajya.example',
  primaryAccounts: { 'urn:ietf:params:jmap:mail': 'a1' },
  capabilities: { 'urn:mohar:params:jmap:policy': {} },
  state: '1',
};

let mock: InstanceType<typeof Mock>;
/** Requests seen, as lists of method names. */
let seen: string[][];
/** Set to make the next requests fail: a status, or 'network'. */
let broken: number | 'network' | null;

beforeEach(async () => {
  vi.useFakeTimers();
  mock = new Mock(5000, Date.UTC(2026, 10, 23));
  seen = [];
  broken = null;
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    if (broken === 'network') throw new TypeError('network');
    if (broken) return new Response('', { status: broken });
    expect(new Headers(init.headers).get('X-Mohar')).toBe('1');
    if (url === '/.well-known/jmap') return Response.json(SESSION);
    expect(url).toBe('/api');
    const body = JSON.parse(String(init.body));
    seen.push(body.methodCalls.map((c: [string]) => c[0]));
    return Response.json(mock.api(body));
  });
  me.value = {
    address: 'meera.joshi@rajya.example',
    name: 'मीरा जोशी',
    post: '',
    lang: 'hi',
    category: 'employee',
  };
  setDraftOwner('meera.joshi@rajya.example');
  await jmap.start();
  await Promise.all([loadMailboxes(), loadIdentities()]);
});

afterEach(() => {
  clearAllLocal();
  forget();
  lastDone.value = null;
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const settle = () => vi.advanceTimersByTimeAsync(100);
async function inbox(): Promise<MessageList> {
  const l = new MessageList({ inMailbox: 'm0' });
  l.show(0, 20);
  await settle();
  return l;
}

describe('list window', () => {
  it('fetches one page first, then only what rests in view', async () => {
    const l = await inbox();
    const total = l.total.value!;
    expect(total).toBeGreaterThan(1000);
    expect(l.loadedIds()).toHaveLength(PAGE);
    seen.length = 0;
    // A fast scroll: many positions, one rest.
    for (let i = 100; i < 1500; i += 20) l.show(i, i + 20);
    await settle();
    expect(seen).toHaveLength(1);
    expect(l.idAt(1480)).toBeDefined();
    expect(l.idAt(700)).toBeUndefined();
  });
  it('ends at the last row', async () => {
    const l = await inbox();
    const total = l.total.value!;
    l.show(total - 5, total + 50);
    await settle();
    expect(l.idAt(total - 1)).toBeDefined();
    expect(l.idAt(total)).toBeUndefined();
  });
  it('forgets other windows when the list has changed', async () => {
    const l = await inbox();
    l.show(900, 920);
    await settle();
    mock.deliver({ name: 'x', email: 'x@rajya.example' }, 'new');
    l.show(0, 20);
    await l.refresh();
    expect(emailSignal(l.idAt(0)!).value?.subject).toBe('new');
    expect(l.idAt(905)).toBeUndefined();
  });
  it('keeps what is shown and says so when the line is down', async () => {
    const l = await inbox();
    const first = l.idAt(0);
    broken = 'network';
    await l.refresh();
    expect(l.failed.value).toBe(true);
    expect(l.idAt(0)).toBe(first);
  });
});

describe('actions', () => {
  it('move at once, undo to the same place', async () => {
    const l = await inbox();
    const [a, b, c] = [l.idAt(0)!, l.idAt(1)!, l.idAt(2)!];
    const done = move([a, b], mailboxById.value.get('m0')!, mailboxWithRole('archive')!, 'archived', l);
    expect(l.idAt(0)).toBe(c);
    await done;
    expect(mock.emails.get(a).mailboxIds).toEqual({ m3: true });
    await lastDone.value!.undo();
    expect([l.idAt(0), l.idAt(1), l.idAt(2)]).toEqual([a, b, c]);
    expect(mock.emails.get(a).mailboxIds).toEqual({ m0: true });
  });
  it('are taken back when the server cannot be told', async () => {
    const l = await inbox();
    const a = l.idAt(0)!;
    const unread = mailboxById.value.get('m0')!.unreadEmails;
    broken = 500;
    await move([a], mailboxById.value.get('m0')!, mailboxWithRole('trash')!, 'deleted', l);
    expect(l.idAt(0)).toBe(a);
    expect(emailSignal(a).value?.mailboxIds).toEqual({ m0: true });
    expect(mailboxById.value.get('m0')!.unreadEmails).toBe(unread);
    expect(lastDone.value).toBeNull();
  });
  it('count what is unread', async () => {
    const l = await inbox();
    const a = l.idAt(0)!;
    const before = mailboxById.value.get('m0')!.unreadEmails;
    const p = setKeyword([a], '$seen', true);
    expect(mailboxById.value.get('m0')!.unreadEmails).toBe(before - 1);
    await p;
    expect(mock.emails.get(a).keywords.$seen).toBe(true);
  });
});

describe('drafts', () => {
  const write = (d: Draft, html: string) => {
    d.html.value = html;
    d.touched('text');
  };
  const drafts = () => [...mock.emails.values()].filter((e) => e.mailboxIds.m1);

  it('are saved within a second, one copy only', async () => {
    const d = new Draft({ subject: 'विषय' });
    write(d, '<div>एक</div>');
    await vi.advanceTimersByTimeAsync(1000);
    expect(d.saved.value).toBe('saved');
    write(d, '<div>एक दो</div>');
    await vi.advanceTimersByTimeAsync(1000);
    expect(drafts()).toHaveLength(1);
    expect(drafts()[0].bodyValues.t.value).toBe('एक दो');
    expect(drafts()[0].keywords.$draft).toBe(true);
  });
  it('wait on the machine while the server is away, and go up afterwards', async () => {
    const d = new Draft({});
    broken = 'network';
    write(d, '<div>x</div>');
    await vi.advanceTimersByTimeAsync(1000);
    expect(d.saved.value).toBe('local');
    expect(Object.keys(localStorage).some((k) => k.startsWith('mohar.draft.'))).toBe(true);
    broken = null;
    await vi.advanceTimersByTimeAsync(6000);
    expect(d.saved.value).toBe('saved');
    expect(drafts()).toHaveLength(1);
  });
  it('that are confidential never stay on the machine', () => {
    const d = new Draft({ label: 'confidential' });
    write(d, '<div>x</div>');
    expect(Object.keys(localStorage).filter((k) => k.startsWith('mohar.draft.'))).toEqual([]);
  });
  it('of another person are not handed out', () => {
    localStorage.setItem(
      'mohar.draft.old.1',
      JSON.stringify({ owner: 'other@x.example', subject: 's', html: '', to: [] }),
    );
    expect(takeLeftovers()).toEqual([]);
    setDraftOwner('other@x.example');
    expect(takeLeftovers()).toHaveLength(1);
    expect(takeLeftovers()).toEqual([]);
  });
  it('may not be labelled below the letter answered', () => {
    expect(new Draft({ floor: 'confidential' }).allowedLabels()).toEqual([
      'confidential',
      'secret',
      'top-secret',
    ]);
  });
  it('refused by policy stay drafts, with the reasons', async () => {
    const d = new Draft({ to: [{ name: null, email: 'x@gmail.com' }], label: 'official', subject: 's' });
    const r = await d.send();
    expect(r).toMatchObject({
      ok: false,
      why: 'policy',
      reasons: [{ rule: 'MAIL-03', recipients: ['x@gmail.com'] }],
    });
    expect(drafts()).toHaveLength(1);
    d.label.value = 'open';
    expect(await d.send()).toEqual({ ok: true });
    expect(drafts()).toHaveLength(0);
    expect(
      [...mock.emails.values()].filter((e) => e.subject === 's' && e.mailboxIds.m2 && !e.keywords.$draft),
    ).toHaveLength(1);
  });
  it('ask the policy once for a burst of changes', async () => {
    const d = new Draft({ to: [{ name: null, email: 'a@rajya.example' }], label: 'official' });
    for (let i = 0; i < 5; i++) d.touched('people');
    await vi.advanceTimersByTimeAsync(400);
    expect(seen.filter((m) => m[0] === 'Policy/explain')).toHaveLength(1);
    expect(d.explanation.value?.recipients[0]?.class).toBe('own');
  });
  it('show no verdict without a label, nor the old one while a new one is asked', async () => {
    const d = new Draft({ to: [{ name: null, email: 'x@gmail.com' }] });
    await vi.advanceTimersByTimeAsync(400);
    expect(d.explanation.value?.recipients[0]?.class).toBe('foreign-webmail');
    expect(d.advice.value).toBeNull();
    const relabel = (l: 'open' | 'official') => {
      d.label.value = l;
      d.touched('people');
    };
    relabel('official');
    expect([d.checking.value, d.advice.value]).toEqual([true, null]);
    await vi.advanceTimersByTimeAsync(400);
    expect(d.advice.value?.verdict).toBe('refuse');
    relabel('open');
    expect([d.checking.value, d.advice.value]).toEqual([true, null]);
    expect((await d.settled())?.verdict).toBe('allow');
    broken = 'network';
    relabel('official');
    await vi.advanceTimersByTimeAsync(400);
    expect([d.checking.value, d.advice.value]).toEqual([false, null]);
  });
});

describe('a draft saved beside the list', () => {
  it.each([
    ['does not fetch the inbox again', { inMailbox: 'm0' }, 0],
    ['nor a search', { text: 'बजट' }, 0],
    ['but fetches Drafts', { inMailbox: 'm1' }, 1],
  ])('%s', async (_, filter, queries) => {
    const l = new MessageList(filter);
    l.show(0, 20);
    await settle();
    const live = new Live(() => l);
    const d = new Draft({ subject: 'x' });
    for (const html of ['<div>1</div>', '<div>2</div>']) {
      d.html.value = html;
      d.touched('text');
      await vi.advanceTimersByTimeAsync(1000);
      expect(d.saved.value).toBe('saved');
      seen.length = 0;
      await live.sync();
      expect(seen.flat().filter((m) => m === 'Email/query')).toHaveLength(queries);
    }
  });
});

it('a letter that arrives is in the list, and in its conversation', async () => {
  const l = await inbox();
  mock.deliver({ name: 'x', email: 'x@rajya.example' }, 'new');
  await new Live(() => l).sync();
  expect(emailSignal(l.idAt(0)!).value?.subject).toBe('new');
});

it('a change elsewhere is fetched, and only what changed', async () => {
  const l = await inbox();
  const live = new Live(() => l);
  const id = l.idAt(3)!;
  mock.setEmails({ update: { [id]: { 'keywords/$flagged': true } } }, {});
  await live.sync();
  expect(emailSignal(id).value?.keywords.$flagged).toBe(true);
  seen.length = 0;
  await live.sync();
  expect(seen.flat()).toEqual(['Mailbox/get', 'Email/changes']);
});
