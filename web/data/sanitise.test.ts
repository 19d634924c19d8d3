import { describe, expect, it } from 'vitest';
import { htmlToText, isOddLink, linkHost, sanitise } from './sanitise';

const none = new Map<string, string>();
const clean = (html: string, remote = false) => sanitise(html, none, remote);

describe('sanitise takes out what can run', () => {
  it.each([
    '<script>alert(1)</script>ok',
    '<img src=x onerror=alert(1)>ok',
    '<svg><animate onbegin=alert(1) attributeName=x></svg>ok',
    '<svg><a xlink:href="javascript:alert(1)"><text>x</text></a></svg>ok',
    '<math><mi//xlink:href="data:x,<script>alert(1)</script>">ok',
    '<iframe src="https://evil.example"></iframe>ok',
    '<object data="x.swf"></object><embed src=x>ok',
    '<form action="https://evil.example"><input name=password></form>ok',
    '<a href="javascript:alert(1)">ok</a>',
    '<a href=" java&#10;script:alert(1)">ok</a>',
    '<a href="vbscript:x">ok</a>',
    '<a href="data:text/html,<script>alert(1)</script>">ok</a>',
    '<meta http-equiv=refresh content="0;url=https://evil.example">ok',
    '<base href="https://evil.example/">ok',
    '<link rel=stylesheet href="https://evil.example/x.css">ok',
    '<details open ontoggle=alert(1)>ok</details>',
    '<div style="behavior:url(x.htc)">ok</div>',
    '<style>@import "https://evil.example/x.css";</style>ok',
    '<style>p{background:url(https://evil.example/x)}</style>ok',
    '<template><img src=x onerror=alert(1)></template>ok',
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">ok',
    '<video src="https://evil.example/v" poster="https://evil.example/p"></video>ok',
  ])('%s', (html) => {
    const r = clean(html).html;
    expect(r).not.toMatch(
      /script:|onerror|onbegin|ontoggle|<script|<svg|<math|<iframe|<object|<embed|<form|<input|<meta|<base|<link|<video|<template|evil\.example|@import|behavior:/i,
    );
  });
});

describe('outside pictures', () => {
  const html =
    '<img src="https://t.example/p.gif"><img src="//t.example/q.gif"><p style="background:url(\'https://t.example/b\')">x</p><table background="https://t.example/c"></table>';
  it('are counted and left out', () => {
    const r = clean(html);
    expect(r.remote).toBe(4);
    expect(r.html).not.toContain('t.example');
  });
  it('come over https only, when asked for', () => {
    const r = clean(`${html}<img src="http://t.example/plain.gif">`, true);
    expect(r.html).toContain('https://t.example/p.gif');
    expect(r.html).not.toContain('http://t.example');
    expect(r.html).not.toContain('srcset');
  });
  it('carried along are shown from the letter itself', () => {
    const r = sanitise('<img src="cid:a@b"><img src="cid:unknown">', new Map([['a@b', 'blob:x']]), false);
    expect(r.html).toContain('src="blob:x"');
    expect(r.html).not.toContain('cid:');
    expect(r.remote).toBe(0);
  });
});

describe('links', () => {
  it('say their true host and open apart', () => {
    const r = clean('<a href="https://evil.example/x">click</a>').html;
    expect(r).toContain('data-host="evil.example"');
    expect(r).toContain('rel="noopener noreferrer nofollow"');
    expect(r).toContain('target="_blank"');
  });
  it('that lie are marked', () => {
    expect(clean('<a href="https://evil.example/x">https://rajya.example</a>').html).toContain('data-odd');
    expect(clean('<a href="https://www.rajya.example/x">rajya.example</a>').html).not.toContain('data-odd');
  });
  it.each([
    ['https://rajya.example/portal', 'evil.example', true],
    ['rajya.example', 'sub.rajya.example', false],
    ['rajya.example', 'rajya.example.evil.example', true],
    ['see the list', 'evil.example', false],
  ])('%s to %s: odd %s', (text, host, odd) => {
    expect(isOddLink(text, host)).toBe(odd);
  });
  it('show mixed-script hosts in their coded form', () => {
    expect(linkHost('https://rаjya.example/')).toMatch(/^xn--/);
  });
});

it('keeps tables and colours, and says that there are some', () => {
  const r = clean('<table border="1"><tr><td bgcolor="#eee" style="color:red">x</td></tr></table>');
  expect(r.html).toContain('border="1"');
  expect(r.coloured).toBe(true);
  expect(clean('<p>x</p>').coloured).toBe(false);
});

it('does not let a letter cover more than its frame', () => {
  expect(clean('<div style="position:fixed;top:0">x</div>').html).toContain('position:static');
});

it('makes text of what was written', () => {
  expect(
    htmlToText(
      '<div>एक</div><div><br></div><ul><li>दो</li></ul><blockquote><div>तीन</div></blockquote><a href="https://x.example">यहाँ</a>',
    ),
  ).toBe('एक\n\n- दो\n\n> तीन\nयहाँ <https://x.example>');
});
