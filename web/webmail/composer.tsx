/** The writing window: docked at the side, the whole screen on a phone. */
import type { JSX } from 'preact';
import { useRef, useState } from 'preact/hooks';
import type { Draft } from '../data/compose';
import { keptLocally } from '../data/draftstore';
import type { Editor } from '../kit/editor';
import { type Key, t } from '../kit/i18n';
import { Icon } from '../kit/icons';
import { Button, IconButton } from '../kit/ui';
import { AdviceLine, AdviceWhy, blamed, RefusalDialog } from './advice';
import { drafts, focusBody, front } from './composers';
import { Attached, Body, LabelChoice, Tools } from './fields';
import { Recipients } from './recipients';
import { type Sending, useSending } from './sending';

/** To, copies, what the policy says of them, label, subject. */
function Fields({ draft, why }: { draft: Draft; why: Sending['problem'] }): JSX.Element {
  const [copies, setCopies] = useState(draft.cc.peek().length > 0 || draft.bcc.peek().length > 0);
  const common = {
    classes: new Map(
      (draft.explanation.value?.recipients ?? []).map((r) => [r.address.toLowerCase(), r.class]),
    ),
    blamed: blamed(draft.advice.value),
    onChange: () => draft.touched('people'),
  };
  return (
    <div class="composer-fields">
      <Recipients
        label={t('field.to')}
        value={draft.to}
        {...common}
        first={!focusBody.has(draft)}
        end={
          !copies && (
            <button
              type="button"
              class="link-button copies"
              aria-label={t('field.copies')}
              title={t('field.copies')}
              onClick={() => setCopies(true)}
            >
              <span>{t('field.copies')}</span>
              <Icon name="down" />
            </button>
          )
        }
      />
      {copies && <Recipients label={t('field.cc')} value={draft.cc} {...common} />}
      {copies && <Recipients label={t('field.bcc')} value={draft.bcc} {...common} />}
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
  );
}

function Head({ draft, onClose }: { draft: Draft; onClose: () => void }): JSX.Element {
  const at = draft.saved.value;
  // A secret is not kept on the machine, and the page must not say it is.
  const state = at === 'local' && !keptLocally(draft.label.value) ? 'nowhere' : at;
  return (
    <header class="composer-head">
      <h2>{draft.subject.value || t('compose.new')}</h2>
      <span class="saved" role="status">
        {state === 'empty' || state === 'dirty' ? '' : t(`saved.${state}` as Key)}
      </span>
      <IconButton icon="close" label={t('compose.close')} keys="Esc" onClick={onClose} />
    </header>
  );
}

/** Files dropped anywhere on the window are attached. */
function useDrop(attach: (files: FileList) => void) {
  const [over, setOver] = useState(false);
  return {
    over,
    handlers: {
      onDragOver: (e: DragEvent) => {
        if (!e.dataTransfer?.types.includes('Files')) return;
        e.preventDefault();
        setOver(true);
      },
      onDragLeave: () => setOver(false),
      onDrop: (e: DragEvent) => {
        setOver(false);
        if (!e.dataTransfer?.files.length) return;
        e.preventDefault();
        attach(e.dataTransfer.files);
      },
    },
  };
}

function Window({ draft }: { draft: Draft }): JSX.Element {
  const editor = useRef<Editor | null>(null);
  const s = useSending(draft);
  const attach = (files: FileList) => {
    for (const f of files) void draft.attach(f);
  };
  const drop = useDrop(attach);
  const hold = draft.advice.value?.verdict === 'hold';
  return (
    <section
      class={`composer ${drop.over ? 'over' : ''}`}
      role="dialog"
      aria-modal="false"
      aria-label={draft.subject.value || t('compose.new')}
      onKeyDown={(e) => {
        if (e.key === 'Escape' && !e.defaultPrevented) void s.close();
        else if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) {
          e.preventDefault();
          void s.send();
        }
      }}
      {...drop.handlers}
    >
      <Head draft={draft} onClose={() => void s.close()} />
      <div class="composer-scroll">
        <Fields draft={draft} why={s.problem} />
        <Body draft={draft} onReady={(e) => (editor.current = e)} />
        <Attached draft={draft} />
      </div>
      {s.problem && s.problem !== 'label' && (
        <p class="field-error compose-problem" role="alert">
          {t(`problem.${s.problem}` as Key)}
        </p>
      )}
      <AdviceWhy draft={draft} />
      <footer class="composer-foot">
        <Button
          kind="primary"
          icon="sent"
          title="Ctrl+Enter"
          disabled={draft.sending.value}
          onClick={() => void s.send()}
        >
          {draft.sending.value ? t('sending') : hold ? t('send.hold') : t('send')}
        </Button>
        <Tools editor={() => editor.current} onFiles={attach} />
        <span class="grow" />
        <IconButton icon="trash" label={t('compose.discard')} onClick={() => void s.discard()} />
      </footer>
      {s.refusal && (
        <RefusalDialog draft={draft} reasons={s.refusal.reasons} text={s.refusal.text} onClose={s.forgive} />
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
