/** The keys, on `?`. */
import type { JSX } from 'preact';
import { type Key, t } from '../kit/i18n';
import { Dialog } from '../kit/ui';
import { showHelp } from './state';

const GROUPS: [Key, [string, Key][]][] = [
  [
    'help.move',
    [
      ['j / k', 'help.jk'],
      ['o, Enter', 'help.open'],
      ['u', 'help.back'],
      ['/', 'search.label'],
      ['g i', 'help.gi'],
      ['g d', 'help.gd'],
      ['g t', 'help.gt'],
      ['g a', 'help.ga'],
    ],
  ],
  [
    'help.act',
    [
      ['e', 'archive'],
      ['#', 'delete'],
      ['s', 'flag'],
      ['x', 'help.select'],
      ['!', 'junk'],
      ['Shift+u', 'mark.unread'],
      ['Shift+i', 'mark.read'],
      ['z', 'undo'],
    ],
  ],
  [
    'help.write',
    [
      ['c', 'compose'],
      ['r', 'reply'],
      ['a', 'replyAll'],
      ['f', 'forward'],
      ['Ctrl+Enter', 'send'],
      ['Esc', 'help.closeCompose'],
      ['?', 'help.title'],
    ],
  ],
  [
    'help.search',
    [
      ['from: to:', 'help.people'],
      ['subject:', 'help.subject'],
      ['has:attachment', 'help.has'],
      ['is:unread is:flagged', 'help.is'],
      ['after:2026-01-31', 'help.date'],
      ['label:secret', 'help.label'],
      ['-word', 'help.not'],
    ],
  ],
];

export function Help(): JSX.Element {
  return (
    <Dialog title={t('help.title')} class="help" onClose={() => (showHelp.value = false)}>
      <div class="help-groups">
        {GROUPS.map(([title, rows]) => (
          <section key={title}>
            <h3>{t(title)}</h3>
            <dl>
              {rows.map(([keys, what]) => (
                <div key={keys}>
                  <dt>
                    <kbd>{keys}</kbd>
                  </dt>
                  <dd>{t(what)}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
