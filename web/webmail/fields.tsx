/** The parts of the writing window: label, tools, files, text. */
import type { JSX } from 'preact';
import { useLayoutEffect, useRef } from 'preact/hooks';
import type { Draft } from '../data/compose';
import { LABELS } from '../data/types';
import { createEditor, type Editor } from '../kit/editor';
import { fileSize } from '../kit/format';
import { type Key, t } from '../kit/i18n';
import { Icon } from '../kit/icons';
import { IconButton, LabelChip, LabelShape, labelName, Menu } from '../kit/ui';
import { focusBody } from './composers';
import { takeTyped } from './typeahead';

export function LabelChoice({ draft, missing }: { draft: Draft; missing: boolean }): JSX.Element {
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

export function Tools({
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

export function Attached({ draft }: { draft: Draft }): JSX.Element | null {
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

export function Body({ draft, onReady }: { draft: Draft; onReady: (e: Editor | null) => void }): JSX.Element {
  const root = useRef<HTMLDivElement>(null);
  // Before the next key can arrive, hence a layout effect.
  useLayoutEffect(() => {
    const changed = () => {
      draft.html.value = e.html();
      draft.touched('text');
    };
    const e = createEditor(root.current!, draft.html.peek(), changed);
    onReady(e);
    if (focusBody.has(draft)) {
      e.focus('start');
      const typed = takeTyped();
      if (typed) {
        e.insert(typed);
        changed();
      }
    }
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
