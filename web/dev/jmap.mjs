// A JMAP server of cardboard, for development: enough of RFC 8620 and 8621 to
// exercise the webmail, in memory, for one person.
import { explain } from './policy.mjs';
import { body, MAILBOXES, ME, seed } from './seed.mjs';

const LABEL = 'header:Mohar-Label:asText';
const STANDING = 'header:Mohar-Standing:asText';

export class Mock {
  constructor(count, now = Date.now()) {
    Object.assign(this, seed(count, now));
    this.mailboxes = structuredClone(MAILBOXES);
    this.state = 1;
    this.log = [];
    this.order = [...this.emails.values()];
    this.cache = new Map();
    this.next = 1;
    this.uploads = new Map();
    this.listeners = new Set();
    this.recount();
  }

  changed(type, id) {
    this.state++;
    this.log.push({ state: this.state, type, id });
    this.cache.clear();
  }
  notify() {
    for (const f of this.listeners)
      f({
        '@type': 'StateChange',
        changed: { a1: { Email: String(this.state), Mailbox: String(this.state) } },
      });
  }

  recount() {
    const by = new Map(
      this.mailboxes.map((m) => [
        m.id,
        Object.assign(m, { totalEmails: 0, unreadEmails: 0, totalThreads: 0, unreadThreads: 0 }),
      ]),
    );
    for (const e of this.emails.values())
      for (const id of Object.keys(e.mailboxIds)) {
        const m = by.get(id);
        m.totalEmails++;
        if (!e.keywords.$seen) m.unreadEmails++;
      }
  }

  /** A new letter from outside this page. */
  deliver(from, subject, label = 'official') {
    const id = `n${this.next++}`;
    const at = new Date().toISOString().replace(/\.\d+Z/, 'Z');
    const e = {
      id,
      threadId: `nt${id}`,
      blobId: `B${id}`,
      mailboxIds: { m0: true },
      keywords: {},
      from: [from],
      to: [{ name: ME.name, email: ME.address }],
      cc: null,
      bcc: null,
      replyTo: null,
      subject,
      receivedAt: at,
      sentAt: at,
      preview: subject,
      size: 900,
      hasAttachment: false,
      label,
      standing: null,
      messageId: [`${id}@x`],
      inReplyTo: null,
      references: null,
      kind: 'hi',
    };
    this.emails.set(id, e);
    this.order.unshift(e);
    this.threads.set(e.threadId, [id]);
    this.changed('created', id);
    this.recount();
    this.notify();
  }

  match(f, e) {
    if (!f) return true;
    if (f.operator) {
      const r = f.conditions.map((c) => this.match(c, e));
      return f.operator === 'AND'
        ? r.every(Boolean)
        : f.operator === 'OR'
          ? r.some(Boolean)
          : !r.some(Boolean);
    }
    const has = (list, v) =>
      (list ?? []).some((a) => `${a.name} ${a.email}`.toLowerCase().includes(v.toLowerCase()));
    return Object.entries(f).every(([k, v]) => {
      switch (k) {
        case 'inMailbox':
          return !!e.mailboxIds[v];
        case 'from':
        case 'to':
        case 'cc':
          return has(e[k], v);
        case 'subject':
          return (e.subject ?? '').toLowerCase().includes(v.toLowerCase());
        case 'text':
        case 'body':
          return (
            `${e.subject} ${e.preview}`.toLowerCase().includes(v.toLowerCase()) ||
            has(e.from, v) ||
            has(e.to, v)
          );
        case 'hasAttachment':
          return e.hasAttachment === v;
        case 'hasKeyword':
          return !!e.keywords[v];
        case 'notKeyword':
          return !e.keywords[v];
        case 'before':
          return e.receivedAt < v;
        case 'after':
          return e.receivedAt >= v;
        case 'minSize':
          return e.size >= v;
        case 'maxSize':
          return e.size < v;
        case 'header':
          return v[0] === 'Mohar-Label' ? e.label === v[1] : false;
      }
      return false;
    });
  }

  query(a) {
    const key = JSON.stringify([a.filter, a.collapseThreads]);
    let ids = this.cache.get(key);
    if (!ids) {
      const seen = new Set();
      ids = [];
      for (const e of this.order) {
        if (!this.emails.has(e.id) || !this.match(a.filter, e)) continue;
        if (a.collapseThreads) {
          if (seen.has(e.threadId)) continue;
          seen.add(e.threadId);
        }
        ids.push(e.id);
      }
      this.cache.set(key, ids);
    }
    return {
      accountId: 'a1',
      queryState: String(this.state),
      canCalculateChanges: false,
      position: a.position ?? 0,
      total: ids.length,
      ids: ids.slice(a.position ?? 0, (a.position ?? 0) + (a.limit ?? 50)),
    };
  }

  show(e, props) {
    const full = { ...e, ...body(e), [LABEL]: e.label, [STANDING]: e.standing };
    return Object.fromEntries(
      ['id', ...(props ?? Object.keys(full))].filter((p) => p in full).map((p) => [p, full[p]]),
    );
  }

  setEmails(a, created) {
    const r = {
      accountId: 'a1',
      oldState: String(this.state),
      created: {},
      updated: {},
      destroyed: [],
      notUpdated: null,
      notCreated: null,
    };
    for (const [k, v] of Object.entries(a.create ?? {})) {
      const id = `n${this.next++}`;
      const at = new Date().toISOString().replace(/\.\d+Z/, 'Z');
      const old = [...this.emails.values()].find((x) => (v.inReplyTo ?? []).includes(x.messageId?.[0]));
      const threadId = old?.threadId ?? `nt${id}`;
      const value = (p) => v.bodyValues?.[p]?.value ?? '';
      const e = {
        id,
        threadId,
        blobId: `B${id}`,
        mailboxIds: v.mailboxIds,
        keywords: v.keywords ?? {},
        from: v.from,
        to: v.to,
        cc: v.cc ?? null,
        bcc: v.bcc ?? null,
        replyTo: null,
        subject: v.subject,
        receivedAt: at,
        sentAt: at,
        preview: value('t').slice(0, 200),
        size: 1000,
        hasAttachment: !!v.attachments?.length,
        label: v[LABEL] ?? null,
        standing: null,
        messageId: [`${id}@rajya.example`],
        inReplyTo: v.inReplyTo ?? null,
        references: v.references ?? null,
        bodyValues: Object.fromEntries(
          Object.entries(v.bodyValues ?? {}).map(([p, x]) => [
            p,
            { ...x, isEncodingProblem: false, isTruncated: false },
          ]),
        ),
        textBody: v.textBody,
        htmlBody: v.htmlBody,
        attachments: (v.attachments ?? []).map((x, n) => ({
          ...x,
          partId: `a${n}`,
          size: this.uploads.get(x.blobId)?.length ?? 0,
          cid: null,
          charset: null,
        })),
      };
      this.emails.set(id, e);
      this.order.unshift(e);
      this.threads.set(threadId, [...(this.threads.get(threadId) ?? []), id]);
      created[k] = id;
      r.created[k] = { id, blobId: e.blobId, threadId, size: e.size };
      this.changed('created', id);
    }
    for (const [ref, patch] of Object.entries(a.update ?? {})) {
      const id = ref.startsWith('#') ? created[ref.slice(1)] : ref;
      const e = this.emails.get(id);
      if (!e) {
        r.notUpdated = { ...r.notUpdated, [ref]: { type: 'notFound' } };
        continue;
      }
      for (const [path, v] of Object.entries(patch)) {
        const [prop, k] = path.split('/');
        if (v === null) delete e[prop][k];
        else e[prop][k] = v;
      }
      r.updated[ref] = null;
      this.changed('updated', id);
    }
    for (const id of a.destroy ?? []) {
      const e = this.emails.get(id);
      if (!e) continue;
      this.emails.delete(id);
      const t = (this.threads.get(e.threadId) ?? []).filter((x) => x !== id);
      if (t.length) this.threads.set(e.threadId, t);
      else this.threads.delete(e.threadId);
      r.destroyed.push(id);
      this.changed('destroyed', id);
    }
    r.newState = String(this.state);
    this.recount();
    setTimeout(() => this.notify());
    return r;
  }

  submit(a, created) {
    const r = { accountId: 'a1', created: null, notCreated: null };
    for (const [k, v] of Object.entries(a.create ?? {})) {
      const id = v.emailId.startsWith('#') ? created[v.emailId.slice(1)] : v.emailId;
      const e = this.emails.get(id);
      const to = [...(e.to ?? []), ...(e.cc ?? []), ...(e.bcc ?? [])].map((x) => x.email);
      const x = explain(to, e.label);
      if (x.verdict === 'refuse')
        r.notCreated = {
          [k]: { type: 'forbiddenToSend', description: x.reasons[0].what.en, 'mohar:reasons': x.reasons },
        };
      else {
        r.created = { [k]: { id: `s${this.next++}`, undoStatus: 'final' } };
        const patch = a.onSuccessUpdateEmail?.[`#${k}`];
        if (patch) this.setEmails({ update: { [id]: patch } }, created);
      }
    }
    return r;
  }

  invoke(name, a, created) {
    const st = String(this.state);
    switch (name) {
      case 'Mailbox/get':
        return { accountId: 'a1', state: st, list: this.mailboxes, notFound: [] };
      case 'Mailbox/set': {
        const made = {};
        for (const [k, v] of Object.entries(a.create ?? {})) {
          const id = `m${this.mailboxes.length}`;
          this.mailboxes.push({
            id,
            sortOrder: 50,
            parentId: null,
            role: null,
            totalEmails: 0,
            unreadEmails: 0,
            totalThreads: 0,
            unreadThreads: 0,
            ...v,
          });
          made[k] = { id };
        }
        return { accountId: 'a1', created: made };
      }
      case 'Identity/get':
        return {
          accountId: 'a1',
          state: '1',
          list: [{ id: 'i1', name: ME.name, email: ME.address }],
          notFound: [],
        };
      case 'Email/query':
        return this.query(a);
      case 'Email/get': {
        const list = (a.ids ?? [])
          .map((id) => this.emails.get(id))
          .filter(Boolean)
          .map((e) => this.show(e, a.properties));
        return { accountId: 'a1', state: st, list, notFound: [] };
      }
      case 'Email/changes': {
        const since = Number(a.sinceState);
        const kinds = new Map();
        for (const c of this.log.filter((x) => x.state > since)) {
          const was = kinds.get(c.id);
          if (c.type === 'destroyed' && was === 'created') kinds.delete(c.id);
          else kinds.set(c.id, was === 'created' ? 'created' : c.type);
        }
        const of = (t) => [...kinds].filter(([, v]) => v === t).map(([id]) => id);
        return {
          accountId: 'a1',
          oldState: a.sinceState,
          newState: st,
          hasMoreChanges: false,
          created: of('created'),
          updated: of('updated'),
          destroyed: of('destroyed'),
        };
      }
      case 'Email/set':
        return this.setEmails(a, created);
      case 'Thread/get':
        return {
          accountId: 'a1',
          state: st,
          list: [...new Set(a.ids)]
            .filter((id) => this.threads.has(id))
            .map((id) => ({ id, emailIds: this.threads.get(id) })),
          notFound: [],
        };
      case 'EmailSubmission/set':
        return this.submit(a, created);
      case 'Policy/explain':
        return explain(a.to, a.label);
    }
    return null;
  }

  api({ methodCalls }) {
    const out = [];
    const created = {};
    for (const [name, args, id] of methodCalls) {
      const a = { ...args };
      for (const k of Object.keys(a).filter((x) => x.startsWith('#'))) {
        const ref = a[k];
        if (typeof ref !== 'object' || !ref.resultOf) continue;
        const src = out.find(([n, , i]) => i === ref.resultOf && n === ref.name)?.[1];
        a[k.slice(1)] = pointer(src, ref.path.slice(1).split('/'));
        delete a[k];
      }
      const r = this.invoke(name, a, created);
      out.push(r ? [name, r, id] : ['error', { type: 'unknownMethod' }, id]);
    }
    return { methodResponses: out, sessionState: '1' };
  }
}

function pointer(v, path) {
  const [head, ...rest] = path;
  if (head === undefined) return v;
  if (head === '*') return v.flatMap((x) => pointer(x, rest));
  return pointer(v[head], rest);
}
