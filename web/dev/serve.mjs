// Serves dist with the headers that the real server must send, and the
// cardboard JMAP server beside it. Development and browser tests only.
//   node dev/serve.mjs [--port 8600] [--mails 100000] [--delay 0]

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Mock } from './jmap.mjs';
import { ME } from './seed.mjs';

const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.json': 'application/json',
};

/** The policy of the page; web/README.md explains each word. */
export const PAGE_CSP =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; font-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types default dompurify";
const FRAME =
  "default-src 'none'; style-src 'unsafe-inline'; font-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox; img-src blob: data:";

function csp(path) {
  if (path === '/mailframe.html') return FRAME;
  if (path === '/mailframe-remote.html') return `${FRAME} https:`;
  return PAGE_CSP;
}

const readBody = async (req) => {
  const parts = [];
  for await (const c of req) parts.push(c);
  return Buffer.concat(parts);
};

/** Starts the server; resolves to {url, mock, close}. */
export async function serve({ port = 0, mails = 100_000, delay = 0, now } = {}) {
  const mock = new Mock(mails, now);
  const streams = new Set();
  const pause = () => new Promise((r) => setTimeout(r, delay));

  const server = createServer(async (req, res) => {
    const url = new URL(req.url, 'http://x');
    const send = (code, body, type = 'application/json') => {
      res.writeHead(code, {
        'Content-Type': type,
        'Cache-Control': 'no-store',
        'X-Content-Type-Options': 'nosniff',
        'Content-Security-Policy': csp(url.pathname),
        'Referrer-Policy': 'no-referrer',
      });
      res.end(body);
    };
    const signedIn = /mohar=1/.test(req.headers.cookie ?? '');
    const p = url.pathname;
    try {
      if (p === '/api/me') return send(signedIn ? 200 : 401, JSON.stringify(signedIn ? ME : {}));
      if (p === '/api/signin') {
        const b = JSON.parse(String(await readBody(req)));
        if (b.password !== 'secret')
          return send(
            401,
            JSON.stringify({
              error: { en: 'The address or the password is not right.', hi: 'पता या पासवर्ड सही नहीं है।' },
            }),
          );
        res.setHeader('Set-Cookie', 'mohar=1; HttpOnly; SameSite=Strict; Path=/');
        return send(204, '');
      }
      if (p === '/api/signout') {
        res.setHeader('Set-Cookie', 'mohar=; Max-Age=0; Path=/');
        return send(204, '');
      }
      if (p === '/.well-known/jmap' || p.startsWith('/jmap')) {
        if (!signedIn) return send(401, '{}');
        if (p !== '/jmap/events' && !p.startsWith('/jmap/download') && req.headers['x-mohar'] !== '1')
          return send(403, '{}');
        await pause();
        return jmap(p, req, res, send);
      }
      const file = p === '/' ? 'index.html' : normalize(p).replace(/^\/+/, '');
      const data = await readFile(join(DIST, file)).catch(() => null);
      return data ? send(200, data, TYPES[extname(file)] ?? 'application/octet-stream') : send(404, '');
    } catch (e) {
      send(500, String(e));
    }
  });

  async function jmap(p, req, res, send) {
    if (p === '/.well-known/jmap')
      return send(
        200,
        JSON.stringify({
          capabilities: {
            'urn:ietf:params:jmap:core': {},
            'urn:ietf:params:jmap:mail': {},
            'urn:ietf:params:jmap:submission': {},
            'urn:mohar:params:jmap:policy': {},
          },
          accounts: { a1: { name: ME.address, isPersonal: true } },
          primaryAccounts: { 'urn:ietf:params:jmap:mail': 'a1' },
          username: ME.address,
          apiUrl: 'http://elsewhere.example/jmap/api',
          downloadUrl: '/jmap/download/{accountId}/{blobId}/{name}?type={type}',
          uploadUrl: '/jmap/upload/{accountId}',
          eventSourceUrl: '/jmap/events?types={types}&closeafter={closeafter}&ping={ping}',
          state: '1',
        }),
      );
    if (p === '/jmap/api')
      return send(200, JSON.stringify(mock.api(JSON.parse(String(await readBody(req))))));
    if (p.startsWith('/jmap/upload')) {
      const data = await readBody(req);
      const blobId = `U${mock.uploads.size}`;
      mock.uploads.set(blobId, data);
      return send(
        201,
        JSON.stringify({ accountId: 'a1', blobId, type: req.headers['content-type'], size: data.length }),
      );
    }
    if (p.startsWith('/jmap/download')) return send(200, 'file content', 'application/octet-stream');
    if (p === '/jmap/events') {
      res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
      const f = (v) => res.write(`event: state\ndata: ${JSON.stringify(v)}\n\n`);
      res.write(': hello\n\n');
      mock.listeners.add(f);
      streams.add(res);
      req.on('close', () => {
        mock.listeners.delete(f);
        streams.delete(res);
      });
      return undefined;
    }
    return send(404, '{}');
  }

  await new Promise((r) => server.listen(port, '127.0.0.1', r));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    mock,
    close: () => {
      for (const s of streams) s.end();
      server.closeAllConnections();
      return new Promise((r) => server.close(r));
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const arg = (name, otherwise) => {
    const i = process.argv.indexOf(`--${name}`);
    return i > 0 ? Number(process.argv[i + 1]) : otherwise;
  };
  const s = await serve({ port: arg('port', 8600), mails: arg('mails', 100_000), delay: arg('delay', 0) });
  console.log(`${s.url}  (any address, password "secret")`);
}
