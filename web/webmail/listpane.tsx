/** The message list: virtual rows over a windowed query. */
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import { mailboxes } from '../data/store';
import { t } from '../kit/i18n';
import { Icon } from '../kit/icons';
import { density, width } from '../kit/prefs';
import { Button, IconButton, Menu } from '../kit/ui';
import { useVirtual } from '../kit/virtual';
import { mailboxName } from './nav';
import { place } from './route';
import { Row } from './row';
import * as s from './state';

/** Row heights in px; style/list.css draws to the same figures. */
const ROW = { comfortable: 84, compact: 58 };
/** A thumb needs 44 px and some air. */
const ROW_TOUCH = 84;

function SelectionBar(): JSX.Element {
  const n = s.selected.value.size;
  const here = s.mailbox.value;
  return (
    <div class="selection-bar" role="toolbar" aria-label={t('selection.label')}>
      <IconButton
        icon="close"
        label={t('selection.clear')}
        keys="Esc"
        onClick={() => (s.selected.value = new Set())}
      />
      <h1>{t('selection.count', { n })}</h1>
      <span class="grow" />
      <IconButton icon="archive" label={t('archive')} keys="e" onClick={() => void s.archive()} />
      <IconButton icon="trash" label={t('delete')} keys="#" onClick={() => void s.remove()} />
      <IconButton icon="unread" label={t('mark.unread')} keys="Shift+u" onClick={() => s.setRead(false)} />
      <MoveMenu exclude={here?.id} />
    </div>
  );
}

export function MoveMenu({ exclude }: { exclude?: string | undefined }): JSX.Element {
  return (
    <Menu
      label={t('move')}
      align="end"
      class="move-menu"
      items={mailboxes.value
        .filter((m) => m.id !== exclude && m.role !== 'drafts' && m.role !== 'sent')
        .map((m) => ({ label: mailboxName(m), icon: 'folder' as const, onChoose: () => void s.moveInto(m) }))}
    >
      <Icon name="folder" />
    </Menu>
  );
}

function Heading(): JSX.Element {
  const m = s.mailbox.value;
  const total = s.list.value?.total.value ?? null;
  const q = place.value.query;
  return (
    <div class="list-head">
      <h1>{q !== null ? t('search.results') : m ? mailboxName(m) : ''}</h1>
      <span class="list-total">
        {!!total && t(q !== null ? 'count.hits' : 'count.threads', { n: total })}
      </span>
    </div>
  );
}

function Empty(): JSX.Element {
  const q = place.value.query;
  return (
    <div class="empty">
      <Icon name={q !== null ? 'search' : 'inbox'} />
      <p>
        {q !== null
          ? t('empty.search')
          : s.mailbox.value?.role === 'inbox'
            ? t('empty.inbox')
            : t('empty.folder')}
      </p>
      {q !== null && <p class="hint">{t('empty.searchHint')}</p>}
    </div>
  );
}

export function ListPane(): JSX.Element {
  const scroller = useRef<HTMLDivElement>(null);
  const list = s.list.value;
  const total = list?.total.value ?? null;
  void list?.version.value;
  const h = width.value === 'narrow' ? ROW_TOUCH : ROW[density.value];
  const v = useVirtual(scroller, total ?? 12, h);
  const first = v.items[0]?.index ?? 0;
  const last = (v.items[v.items.length - 1]?.index ?? 0) + 1;

  useEffect(() => {
    if (total) list?.show(first, last);
  }, [list, total, first, last, list?.version.value]);
  useEffect(() => {
    scroller.current?.scrollTo(0, 0);
  }, [list]);

  const at = s.cursor.value ? (list?.indexOf(s.cursor.value) ?? -1) : -1;
  useEffect(() => {
    if (at >= 0) v.scrollTo(at);
  }, [s.cursor.value]);

  return (
    <section class="list-pane" aria-label={t('list.label')}>
      {s.selected.value.size ? <SelectionBar /> : <Heading />}
      {list?.failed.value && (
        <div class="notice">
          {t('list.failed')}{' '}
          <Button kind="quiet" onClick={() => void list.refresh()}>
            {t('retry')}
          </Button>
        </div>
      )}
      {total === 0 && <Empty />}
      <div
        id="list"
        ref={scroller}
        class="list"
        role="grid"
        tabIndex={0}
        aria-label={t('list.label')}
        aria-rowcount={total ?? -1}
        aria-multiselectable="true"
        aria-activedescendant={at >= first && at >= 0 && at < last ? `row-${at}` : undefined}
        aria-busy={total === null}
        onKeyDown={(e) => {
          const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -1e9, End: 1e9 }[e.key];
          if (by === undefined) return;
          e.preventDefault();
          s.step(by);
        }}
      >
        <div class="list-rows" role="presentation" style={{ height: `${v.height}px` }}>
          {v.items.map((it) => (
            <Row
              key={list?.idAt(it.index) ?? `hole-${it.index}`}
              id={list?.idAt(it.index)}
              index={it.index}
              top={it.start}
              height={h}
            />
          ))}
        </div>
      </div>
    </section>
  );
}
