/**
 * A small JMAP client (RFC 8620): one session, one account, same origin only.
 * It knows nothing of mail; data/store.ts does.
 */

export type Invocation = [name: string, args: Record<string, unknown>, callId: string];

/** Why a request failed, in words that the page can act upon. */
export type Trouble = 'signed-out' | 'offline' | 'busy' | 'server' | 'method';

export class JmapError extends Error {
  constructor(
    readonly trouble: Trouble,
    readonly type: string,
    message?: string,
  ) {
    super(message ?? type);
  }
}

export interface Session {
  apiUrl: string;
  downloadUrl: string;
  uploadUrl: string;
  eventSourceUrl: string;
  username: string;
  primaryAccounts: Record<string, string>;
  capabilities: Record<string, Record<string, unknown>>;
  state: string;
}

export const CORE = 'urn:ietf:params:jmap:core';
export const MAIL = 'urn:ietf:params:jmap:mail';
export const SUBMISSION = 'urn:ietf:params:jmap:submission';
export const POLICY = 'urn:mohar:params:jmap:policy';

/** How long a request may take before it counts as offline (a slow line is
 * slow, not dead: GPRS takes seconds for a page of headers). */
const REQUEST_TIMEOUT_MS = 60_000;

/** Sent with every request: a foreign page cannot add it without a CORS
 * preflight, so a cookie alone never acts (cross-site request forgery). */
const OWN_HEADER = { 'X-Mohar': '1' };

/** Keeps the path of a session URL and drops its origin: behind a gateway the
 * server may not know the name by which the browser reached it, and the
 * page's policy (connect-src 'self') allows no other origin. */
export function samePath(url: string): string {
  return url.replace(/^https?:\/\/[^/]+/, '');
}

export class Jmap {
  session!: Session;
  accountId = '';
  /** Called once whenever the server says that the cookie is no longer good. */
  onSignedOut: () => void = () => {};
  lang: () => string = () => 'en';

  constructor(private readonly fetcher: typeof fetch = (...a) => fetch(...a)) {}

  async start(): Promise<void> {
    const s = (await (await this.http('/.well-known/jmap', {})).json()) as Session;
    const account = s.primaryAccounts[MAIL];
    if (!account) throw new JmapError('server', 'noMailAccount');
    this.session = {
      ...s,
      apiUrl: samePath(s.apiUrl),
      downloadUrl: samePath(s.downloadUrl),
      uploadUrl: samePath(s.uploadUrl),
      eventSourceUrl: samePath(s.eventSourceUrl),
    };
    this.accountId = account;
  }

  has(capability: string): boolean {
    return capability in (this.session?.capabilities ?? {});
  }

  /** One HTTP request with some method calls; accountId is filled in. Answers
   * are keyed by call id. A method error throws unless its id is in `lenient`. */
  async call(calls: Invocation[], lenient: string[] = []): Promise<Record<string, Record<string, unknown>>> {
    const using = [CORE, MAIL];
    if (calls.some(([n]) => n.startsWith('EmailSubmission/') || n.startsWith('Identity/')))
      using.push(SUBMISSION);
    if (calls.some(([n]) => n.startsWith('Policy/'))) using.push(POLICY);
    const methodCalls = calls.map(([n, a, id]) => [n, { accountId: this.accountId, ...a }, id]);
    const res = await this.http(this.session.apiUrl, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ using, methodCalls }),
    });
    const body = (await res.json()) as { methodResponses: Invocation[] };
    const out: Record<string, Record<string, unknown>> = {};
    for (const [name, args, id] of body.methodResponses) {
      if (name === 'error') {
        if (!lenient.includes(id))
          throw new JmapError('method', String(args.type), String(args.description ?? args.type));
        out[id] = { error: args.type };
        continue;
      }
      // A call with onSuccessUpdateEmail answers twice under one id (RFC 8621
      // section 7.5); the first answer is the call's own.
      if (!(id in out)) out[id] = args;
      else out[`${id}+${name}`] = args;
    }
    return out;
  }

  private async http(url: string, init: RequestInit): Promise<Response> {
    let res: Response;
    try {
      res = await this.fetcher(url, {
        ...init,
        credentials: 'same-origin',
        signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
        headers: { ...OWN_HEADER, 'Accept-Language': this.lang(), ...init.headers },
      });
    } catch (e) {
      throw new JmapError('offline', 'network', String(e));
    }
    if (res.status === 401) {
      this.onSignedOut();
      throw new JmapError('signed-out', 'unauthorized');
    }
    if (res.status === 429 || res.status === 503) throw new JmapError('busy', String(res.status));
    if (!res.ok) throw new JmapError('server', String(res.status), await res.text().catch(() => ''));
    return res;
  }

  downloadPath(blobId: string, name: string, type: string): string {
    return fill(this.session.downloadUrl, { accountId: this.accountId, blobId, name, type });
  }

  /** The content of a blob, for inline images. */
  async blob(blobId: string, type: string): Promise<Blob> {
    const res = await this.http(this.downloadPath(blobId, 'inline', type), {});
    return new Blob([await res.arrayBuffer()], { type });
  }

  /** Uploads a file; `progress` gets 0..1. XMLHttpRequest, because fetch
   * reports no progress of a request's body. */
  upload(
    file: Blob,
    progress: (part: number) => void,
    abort?: AbortSignal,
  ): Promise<{ blobId: string; size: number; type: string }> {
    return new Promise((resolve, reject) => {
      const x = new XMLHttpRequest();
      x.open('POST', fill(this.session.uploadUrl, { accountId: this.accountId }));
      x.setRequestHeader('X-Mohar', '1');
      x.setRequestHeader('Content-Type', file.type || 'application/octet-stream');
      x.upload.onprogress = (e) => e.lengthComputable && progress(e.loaded / e.total);
      x.onload = () => {
        if (x.status === 401) this.onSignedOut();
        if (x.status < 200 || x.status > 299)
          return reject(new JmapError('server', String(x.status), x.responseText));
        try {
          resolve(JSON.parse(x.responseText));
        } catch {
          reject(new JmapError('server', 'badUploadAnswer'));
        }
      };
      x.onerror = () => reject(new JmapError('offline', 'network'));
      x.onabort = () => reject(new JmapError('offline', 'aborted'));
      abort?.addEventListener('abort', () => x.abort());
      x.send(file);
    });
  }

  eventSourcePath(): string {
    return fill(this.session.eventSourceUrl, { types: 'Email,Mailbox,Thread', closeafter: 'no', ping: '60' });
  }
}

/** Expands a level-1 URI template (RFC 6570), all that RFC 8620 section 2 asks for. */
export function fill(template: string, values: Record<string, string>): string {
  return template.replace(/\{(\w+)\}/g, (_, k: string) => encodeURIComponent(values[k] ?? ''));
}
