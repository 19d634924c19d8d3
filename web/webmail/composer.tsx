/** The writing window: docked at the side, the whole screen on a phone. */
import type { JSX } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { isAddress, shownName } from '../data/address';
import type { Draft, SendResult } from '../data/compose';
import { people } from '../data/people';
import { LABELS } from '../data/types';
import { createEditor, type Editor } from '../kit/editor';
import { fileSize } from '../kit/format';
import { type Key, t } from '../kit/i18n';
import { Icon } from '../kit/icons';
import { Button, IconButton, LabelChip, LabelShape, labelName, Menu, toast } from '../kit/ui';
import { AdviceLine, AdviceWhy, blamed, RefusalDialog } from './advice';
import { drafts, drop, focusBody, front, opening } from './composers';
import { Recipients } from './recipients';
import { live } from './state';

function LabelChoice({ draft, missing }: { draft: Draft; missing: boolean }): JSX.Element {
  const v = draft.label.value;
  const allowed = draft.allowedLabels();
  return (
    <div class={`label-choice ${missing ? 'missing' : ''}`}>
      <span class="field-name" id={`label-${draft.key}`}>
        {t('label.field')}
      </span>
      <Menu
        label={v ? t('label.chosen', { label: labelName(v) }) : t('label.choose')}
        class="label-menu"
        items={LABELS.map((l) => ({
          label: labelName(l),
          mark: (
            <span class={`label-mark label-${l}-mark`}>
              <LabelShape label={l} />
            </span>
          ),
          hint: allowed.includes(l)
            ? t(`label.${l}.hint` as Key)
            : t('label.floor', { label: labelName(draft.floor!) }),
          checked: v === l,
          disabled: !allowed.includes(l),
          onChoose: () => {
            draft.label.value = l;
            draft.touched('people');
          },
        }))}
      >
        {v ? (
          <LabelChip label={v} />
        ) : (
          <span class="label-chip label-none">
            <LabelShape label="open" />
            <span>{t('label.choose')}</span>
          </span>
        )}
        <Icon name="down" />
      </Menu>
      {missing && !v && (
        <span class="field-error" role="alert">
          {t('label.missing')}
        </span>
      )}
    </div>
  );
}

function Tools({
  editor,
  onFiles,
}: {
  editor: () => Editor | null;
  onFiles: (f: FileList) => void;
}): JSX.Element {
  const file = useRef<HTMLInputElement>(null);
  return (
    <div class="compose-tools" role="toolbar" aria-label={t('tools.label')}>
      <IconButton
        icon="bold"
        label={t('tools.bold')}
        keys="Ctrl+B"
        onClick={() => editor()?.toggle('bold')}
      />
      <IconButton
        icon="italic"
        label={t('tools.italic')}
        keys="Ctrl+I"
        onClick={() => editor()?.toggle('italic')}
      />
      <IconButton icon="list" label={t('tools.list')} onClick={() => editor()?.toggle('list')} />
      <IconButton icon="quote" label={t('tools.quote')} onClick={() => editor()?.toggle('quote')} />
      <span class="rule" />
      <IconButton icon="attach" label={t('tools.attach')} onClick={() => file.current?.click()} />
      <input
        ref={file}
        type="file"
        multiple
        hidden
        onChange={(e) => {
          if (e.currentTarget.files) onFiles(e.currentTarget.files);
          e.currentTarget.value = '';
        }}
      />
    </div>
  );
}

function Attached({ draft }: { draft: Draft }): JSX.Element | null {
  if (!draft.attachments.value.length) return null;
  return (
    <ul class="files" aria-label={t('files.label')}>
      {draft.attachments.value.map((a) => (
        <li key={a.key} class={`file ${a.failed ? 'failed' : ''}`}>
          <span class="file-text">
            <span class="file-name">{a.name}</span>
            <small>{a.failed ? t('files.failed') : fileSize(a.size)}</small>
            {a.blobId === null && !a.failed && (
              <progress max={1} value={a.progress} aria-label={t('files.progress', { name: a.name })} />
            )}
          </span>
          <IconButton
            icon="close"
            label={t('files.remove', { name: a.name })}
            onClick={() => draft.detach(a.key)}
          />
        </li>
      ))}
    </ul>
  );
}

function Body({ draft, onReady }: { draft: Draft; onReady: (e: Editor | null) => void }): JSX.Element {
  const root = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const e = createEditor(root.current!, draft.html.peek(), () => {
      draft.html.value = e.html();
      draft.touched('text');
    });
    onReady(e);
    if (focusBody.has(draft)) e.focus('start');
    return () => {
      onReady(null);
      e.destroy();
    };
  }, [draft]);
  return (
    <div
      ref={root}
      class="editor"
      role="textbox"
      aria-multiline="true"
      aria-label={t('field.body')}
      dir="auto"
      contentEditable
    />
  );
}

/** What stops a letter from going out before the server is asked. */
function problem(d: Draft): 'label' | 'nobody' | 'address' | 'uploading' | 'reason' | null {
  if (!d.recipients().length) return 'nobody';
  if (d.recipients().some((a) => !isAddress(a.email))) return 'address';
  if (!d.label.peek()) return 'label';
  if (d.uploading()) return 'uploading';
  if (d.explanation.peek()?.verdict === 'ask-reason' && !d.reason.peek().trim()) return 'reason';
  return null;
}

function Window({ draft }: { draft: Draft }): JSX.Element {
  const editor = useRef<Editor | null>(null);
  const [copies, setCopies] = useState(draft.cc.peek().length > 0 || draft.bcc.peek().length > 0);
  const [why, setWhy] = useState<ReturnType<typeof problem>>(null);
  const [refusal, setRefusal] = useState<Extract<SendResult, { why: 'policy' }> | null>(null);
  const [over, setOver] = useState(false);
  const x = draft.explanation.value;
  const classes = new Map((x?.recipients ?? []).map((r) => [r.address.toLowerCase(), r.class]));
  const bad = blamed(x);
  const changed = () => draft.touched('people');
  useEffect(() => {
    opening.value = false;
  }, []);

  const send = async () => {
    // A half-typed recipient becomes a chip first.
    (document.activeElement as HTMLElement | null)?.blur();
    const p = problem(draft);
    setWhy(p);
    if (p === 'label') document.querySelector<HTMLElement>('.composer .label-menu > button')?.focus();
    if (p) return;
    const r = await draft.send();
    if (r.ok) {
      people.meet(draft.recipients(), 5);
      drop(draft);
      toast.value = {
        text:
          draft.explanation.peek()?.verdict === 'hold'
            ? t('sent.held')
            : t('sent.done', { n: draft.recipients().length, name: shownName(draft.recipients()[0]!) }),
      };
      void live.sync();
    } else if (r.why === 'policy') setRefusal(r);
    else
      toast.value = {
        text: r.why === 'offline' ? t('sent.offline') : t('sent.failed', { text: r.text }),
        alert: true,
      };
  };
  const close = async () => {
    drop(draft);
    await draft.close();
    if (draft.serverId) toast.value = { text: t('draft.kept') };
  };
  const discard = async () => {
    drop(draft);
    await draft.discard();
    toast.value = { text: t('draft.discarded') };
    void live.sync();
  };
  const attach = (files: FileList) => {
    for (const f of files) void draft.attach(f);
  };
  const state = draft.saved.value;
  return (
    <section
      class={`composer ${over ? 'over' : ''}`}
      role="dialog"
      aria-modal="false"
      aria-label={draft.subject.value || t('compose.new')}
      onKeyDown={(e) => {
        if (e.key === 'Escape' && !e.defaultPrevented) void close();
        else if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) {
          e.preventDefault();
          void send();
        }
      }}
      onDragOver={(e) => {
        if (!e.dataTransfer?.types.includes('Files')) return;
        e.preventDefault();
        setOver(true);
      }}
      onDragLeave={() => setOver(false)}
      onDrop={(e) => {
        setOver(false);
        if (!e.dataTransfer?.files.length) return;
        e.preventDefault();
        attach(e.dataTransfer.files);
      }}
    >
      <header class="composer-head">
        <h2>{draft.subject.value || t('compose.new')}</h2>
        <span class="saved" role="status">
          {state === 'empty' || state === 'dirty' ? '' : t(`saved.${state}` as Key)}
        </span>
        <IconButton icon="close" label={t('compose.close')} keys="Esc" onClick={() => void close()} />
      </header>
      <div class="composer-scroll">
        <div class="composer-fields">
          <Recipients
            label={t('field.to')}
            value={draft.to}
            classes={classes}
            blamed={bad}
            onChange={changed}
            autoFocus={!focusBody.has(draft)}
            end={
              !copies && (
                <button type="button" class="link-button" onClick={() => setCopies(true)}>
                  {t('field.copies')}
                </button>
              )
            }
          />
          {copies && (
            <Recipients
              label={t('field.cc')}
              value={draft.cc}
              classes={classes}
              blamed={bad}
              onChange={changed}
            />
          )}
          {copies && (
            <Recipients
              label={t('field.bcc')}
              value={draft.bcc}
              classes={classes}
              blamed={bad}
              onChange={changed}
            />
          )}
          <AdviceLine draft={draft} />
          <LabelChoice draft={draft} missing={why === 'label'} />
          <div class="subject-field">
            <label for={`subject-${draft.key}`}>{t('field.subject')}</label>
            <input
              id={`subject-${draft.key}`}
              type="text"
              dir="auto"
              value={draft.subject.value}
              onInput={(e) => {
                draft.subject.value = e.currentTarget.value;
                draft.touched('text');
              }}
            />
          </div>
        </div>
        <Body draft={draft} onReady={(e) => (editor.current = e)} />
        <Attached draft={draft} />
      </div>
      {why && why !== 'label' && (
        <p class="field-error compose-problem" role="alert">
          {t(`problem.${why}` as Key)}
        </p>
      )}
      <AdviceWhy draft={draft} />
      <footer class="composer-foot">
        <Button
          kind="primary"
          icon="sent"
          title="Ctrl+Enter"
          disabled={draft.sending.value}
          onClick={() => void send()}
        >
          {draft.sending.value ? t('sending') : x?.verdict === 'hold' ? t('send.hold') : t('send')}
        </Button>
        <Tools editor={() => editor.current} onFiles={attach} />
        <span class="grow" />
        <IconButton icon="trash" label={t('compose.discard')} onClick={() => void discard()} />
      </footer>
      {refusal && (
        <RefusalDialog
          draft={draft}
          reasons={refusal.reasons}
          text={refusal.text}
          onClose={() => setRefusal(null)}
        />
      )}
    </section>
  );
}

export function Composer(): JSX.Element {
  const all = drafts.value;
  const current = all.find((d) => d.key === front.value);
  return (
    <aside class={`dock ${current ? 'open' : 'folded'}`} aria-label={t('compose.dock')}>
      {all.length > (current ? 1 : 0) && (
        <div class="dock-tabs">
          {all.map((d) => (
            <button
              type="button"
              key={d.key}
              class="dock-tab"
              aria-pressed={d === current}
              onClick={() => (front.value = d === current ? null : d.key)}
            >
              <Icon name="drafts" />
              <span>{d.subject.value || t('compose.new')}</span>
            </button>
          ))}
        </div>
      )}
      {current && <Window key={current.key} draft={current} />}
    </aside>
  );
}
