import { beforeEach, describe, expect, it } from 'vitest';
import { isAddress, parseAddresses, shownName, unique } from './address';
import { fill, samePath } from './jmap';
import { linkify, splitQuotes } from './quote';
import { forwardSubject, reply, replySubject } from './reply';
import { parseSearch } from './search';
import { domainOf, groupClasses, providerName, standingOf } from './standing';
import { asLabel, type Email, type Mailbox } from './types';

const box = (id: string, name: string, role: Mailbox['role'] = null): Mailbox => ({
  id,
  name,
  role,
  parentId: null,
  sortOrder: 0,
  totalEmails: 0,
  unreadEmails: 0,
  totalThreads: 0,
  unreadThreads: 0,
});
const BOXES = [box('m0', 'Inbox', 'inbox'), box('m7', 'मतदान केंद्र')];

describe('search line', () => {
  const cases: [string, unknown][] = [
    ['बजट', { text: 'बजट' }],
    ['from:ravi', { from: 'ravi' }],
    ['प्रेषक:रवि', { from: 'रवि' }],
    ['subject:"annual report"', { subject: 'annual report' }],
    ['has:attachment', { hasAttachment: true }],
    ['has:संलग्नक', { hasAttachment: true }],
    ['is:unread', { notKeyword: '$seen' }],
    ['in:inbox', { inMailbox: 'm0' }],
    ['में:"मतदान केंद्र"', { inMailbox: 'm7' }],
    ['larger:2m', { minSize: 2 * 1048576 }],
    ['label:secret', { header: ['Mohar-Label', 'secret'] }],
    ['वर्गीकरण:गोपनीय', { header: ['Mohar-Label', 'confidential'] }],
    ['label:nonsense', { text: 'label:nonsense' }],
    ['in:nowhere', { text: 'in:nowhere' }],
    ['http://x/y', { text: 'http://x/y' }],
    ['-spam', { operator: 'NOT', conditions: [{ text: 'spam' }] }],
    ['from:a budget', { operator: 'AND', conditions: [{ from: 'a' }, { text: 'budget' }] }],
    ['"unclosed words', { text: 'unclosed words' }],
  ];
  it.each(cases)('%s', (line, want) => {
    expect(parseSearch(line, BOXES)).toEqual(want);
  });
  it('reads a day in local time', () => {
    const f = parseSearch('after:2026-01-31', BOXES) as { after: string };
    expect(new Date(f.after).getTime()).toBe(new Date('2026-01-31T00:00:00').getTime());
    expect(parseSearch('after:2026-13-99', BOXES)).toEqual({ text: 'after:2026-13-99' });
  });
  it('bounds what a paste can do', () => {
    const f = parseSearch('x '.repeat(10_000), BOXES) as { conditions: unknown[] };
    expect(f.conditions.length).toBeLessThanOrEqual(40);
  });
});

describe('addresses', () => {
  it.each([
    ['a@b.example', true],
    ['मीरा@राज्य.भारत', true],
    ['a@b', false],
    ['a b@c.example', false],
    ['@b.example', false],
    ['a@b.example,c@d.example', false],
    ['a@.example', false],
    ['a@b..example', false],
  ])('%s -> %s', (s, ok) => {
    expect(isAddress(s)).toBe(ok);
  });
  it('splits a pasted line', () => {
    expect(parseAddresses('"Meena, Ravi" <r@x.example>; मीरा <m@x.example>\nz@x.example')).toEqual([
      { name: 'Meena, Ravi', email: 'r@x.example' },
      { name: 'मीरा', email: 'm@x.example' },
      { name: null, email: 'z@x.example' },
    ]);
  });
  it('shows the address when the name is another address', () => {
    expect(shownName({ name: 'cm@rajya.example', email: 'x@evil.example' })).toBe('x@evil.example');
    expect(shownName({ name: 'मीरा', email: 'm@x.example' })).toBe('मीरा');
  });
  it('keeps each address once', () => {
    expect(
      unique([
        { name: null, email: 'A@x.example' },
        { name: 'a', email: 'a@X.example' },
      ]),
    ).toHaveLength(1);
  });
});

describe('standing', () => {
  const me = 'meera@block.rajya.example';
  it.each([
    ['a@rajya.example', null, 'colleague'],
    ['a@block.rajya.example', null, 'colleague'],
    ['a@rajya.example.evil.example', null, 'outside'],
    ['a@notrajya.example', null, 'outside'],
    ['a@home.example', 'government', 'government'],
    ['a@rajya.example', 'failed; spf=fail', 'failed'],
    [me, null, 'self'],
  ])('%s with %s is %s', (email, field, want) => {
    expect(standingOf({ name: null, email }, field, me)).toBe(want);
  });
  it('compares both forms of an internationalised domain', () => {
    expect(domainOf('a@राज्य.example')).toMatch(/^xn--/);
  });
  it('groups recipients from near to far', () => {
    const g = groupClasses([
      { address: 'x@gmail.com', class: 'foreign-webmail' },
      { address: 'a@rajya.example', class: 'own' },
      { address: 'b@rajya.example', class: 'own' },
    ]);
    expect(g.map((x) => [x.class, x.addresses.length])).toEqual([
      ['own', 2],
      ['foreign-webmail', 1],
    ]);
  });
  it('names providers', () => {
    expect(providerName('x@gmail.com')).toBe('Gmail');
    expect(providerName('x@notgmail.com')).toBe('notgmail.com');
  });
});

describe('plain text', () => {
  it('folds quotations with the line that introduces them', () => {
    const b = splitQuotes('नमस्ते\n\n12 नवंबर को मीरा जोशी ने लिखा:\n> क\n> ख\n\nइति');
    expect(b.map((x) => x.quoted)).toEqual([false, true, false]);
    expect(b.map((x) => x.text).join('\n')).toContain('> ख');
  });
  it('loses no character', () => {
    const text = 'see https://x.example/a?b=1. and m@x.example, (https://y.example)';
    expect(
      linkify(text)
        .map((s) => s.text)
        .join(''),
    ).toBe(text);
    expect(
      linkify(text)
        .filter((s) => s.href)
        .map((s) => s.href),
    ).toEqual(['https://x.example/a?b=1', 'mailto:m@x.example', 'https://y.example']);
  });
});

describe('answers', () => {
  const e = {
    id: 'e1',
    subject: 'Re: उत्तर: बजट',
    from: [{ name: 'रवि', email: 'ravi@rajya.example' }],
    to: [
      { name: null, email: 'Meera@rajya.example' },
      { name: null, email: 'x@rajya.example' },
    ],
    cc: [{ name: null, email: 'c@gmail.com' }],
    messageId: ['1@x'],
    references: ['0@x'],
    label: 'confidential',
    htmlBody: [{ partId: '1', type: 'text/html' }],
    bodyValues: {
      1: { value: '<p onclick="x()">हाँ<script>1</script><img src=https://t.example/p.gif></p>' },
    },
    keywords: {},
    mailboxIds: {},
  } as unknown as Email;
  it('puts Re: once', () => {
    expect(replySubject('Re: RE: Fwd: x')).toBe('Re: x');
    expect(forwardSubject('Re: x')).toBe('Fwd: x');
  });
  it('answers all but oneself, inherits the label as a floor', () => {
    const r = reply(e, 'meera@rajya.example', true, 'x');
    expect(r.to?.map((a) => a.email)).toEqual(['ravi@rajya.example']);
    expect(r.cc?.map((a) => a.email)).toEqual(['x@rajya.example', 'c@gmail.com']);
    expect([r.label, r.floor]).toEqual(['confidential', 'confidential']);
    expect(r.references).toEqual(['0@x', '1@x']);
    expect(r.inReplyTo).toEqual(['1@x']);
  });
  it('quotes without scripts and outside pictures', () => {
    const html = reply(e, 'meera@rajya.example', false, '<intro>').html ?? '';
    expect(html).toContain('हाँ');
    expect(html).toContain('&lt;intro&gt;');
    expect(html).not.toMatch(/script|onclick|img/);
  });
});

describe('labels and urls', () => {
  it('never reads an unknown word as a label', () => {
    expect(asLabel(' Top-Secret ')).toBe('top-secret');
    expect(asLabel('topsecret')).toBeNull();
    expect(asLabel(null)).toBeNull();
  });
  it('keeps to the own origin', () => {
    expect(samePath('https://other.example/jmap/{accountId}/x')).toBe('/jmap/{accountId}/x');
    expect(fill('/d/{blobId}/{name}?t={type}', { blobId: 'B1', name: 'क/ख.pdf', type: 'a/b' })).toBe(
      '/d/B1/%E0%A4%95%2F%E0%A4%96.pdf?t=a%2Fb',
    );
  });
});

beforeEach(() => localStorage.clear());
