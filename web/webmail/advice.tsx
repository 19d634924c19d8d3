/** What sending would do, said while one writes; and the refusal, if it comes. */
import type { JSX } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import type { Draft } from '../data/compose';
import { POLICY } from '../data/jmap';
import { groupClasses, providerName } from '../data/standing';
import { jmap, me } from '../data/store';
import { type Explanation, LABELS, type Label, type Reason } from '../data/types';
import { type Key, lang, locale, pick, t } from '../kit/i18n';
import { Icon } from '../kit/icons';
import { Button, Dialog, labelName } from '../kit/ui';

function list(items: string[]): string {
  return new Intl.ListFormat(locale(lang.value), { type: 'conjunction' }).format(items);
}

/** "3 colleagues and 1 citizen at Gmail". */
export function whoSentence(x: Explanation): string {
  return list(
    groupClasses(x.recipients).flatMap(({ class: c, addresses }) => {
      if (c !== 'foreign-webmail') return [t(`who.${c}` as Key, { n: addresses.length })];
      const by = new Map<string, number>();
      for (const a of addresses) by.set(providerName(a), (by.get(providerName(a)) ?? 0) + 1);
      return [...by].map(([provider, n]) => t('who.foreign-webmail', { n, provider }));
    }),
  );
}

export function blamed(x: Explanation | null): Set<string> {
  return new Set((x?.reasons ?? []).flatMap((r) => r.recipients ?? []).map((a) => a.toLowerCase()));
}

/** What the advice line says after naming the readers. */
function outlook(draft: Draft): string {
  if (draft.label.value === null) return t('advice.unlabelled');
  const x = draft.advice.value;
  return x ? t(`verdict.${x.verdict}` as Key) : t('advice.checking');
}

/** The line under the recipients: who they are to the state. Its place is
 * kept from the start, so that nothing moves under the pointer when the
 * answer comes. Without a label, or while the policy is asked, it judges
 * nothing: a verdict on another label would frighten or deceive. */
export function AdviceLine({ draft }: { draft: Draft }): JSX.Element {
  const readers = draft.explanation.value;
  const x = draft.advice.value;
  return (
    <p class={`advice advice-${x ? x.verdict : 'none'}`} role="status">
      <Icon name={!x ? 'person' : x.verdict === 'allow' ? 'check' : 'warn'} />
      {readers ? (
        <span>
          <strong>{t('advice.who', { who: whoSentence(readers) })}</strong> {outlook(draft)}
        </span>
      ) : (
        <span class="advice-empty">{draft.checking.value ? t('advice.checking') : t('advice.empty')}</span>
      )}
    </p>
  );
}

/** Beside the Send button: why the policy will act, and the reason it asks for. */
export function AdviceWhy({ draft }: { draft: Draft }): JSX.Element | null {
  const x = draft.advice.value;
  if (!x || (!x.reasons.length && x.verdict !== 'ask-reason')) return null;
  return (
    <div class={`why advice-${x.verdict}`} role="status">
      {x.reasons.map((r) => (
        <p key={r.rule}>
          <strong>{pick(r.what)}</strong> {pick(r.advice)}
        </p>
      ))}
      {x.verdict === 'ask-reason' && (
        <label class="reason">
          <span>{t('reason.label')}</span>
          <input
            type="text"
            value={draft.reason.value}
            onInput={(e) => {
              draft.reason.value = e.currentTarget.value;
              draft.touched('text');
            }}
          />
        </label>
      )}
    </div>
  );
}

/** Lower labels under which the policy would let this letter go. Asked of the
 * policy, so that the page never offers a button that is refused again. */
async function acceptedLabels(d: Draft): Promise<Label[]> {
  const now = d.label.peek();
  const lower = now ? d.allowedLabels().filter((l) => LABELS.indexOf(l) < LABELS.indexOf(now)) : [];
  if (!lower.length || !jmap.has(POLICY)) return lower;
  const to = d.recipients().map((a) => a.email);
  const r = await jmap.call(
    lower.map((l) => [
      'Policy/explain',
      { from: me.peek()?.address, to, label: l, inReplyTo: d.seed.answers ?? null },
      l,
    ]),
    lower,
  );
  return lower.filter((l) => ['allow', 'ask-reason', 'hold'].includes(String(r[l]?.verdict)));
}

/** The refusal: which rule, why, and the ways out as buttons. */
export function RefusalDialog(p: {
  draft: Draft;
  reasons: Reason[];
  text: string;
  onClose: () => void;
}): JSX.Element {
  const { draft } = p;
  const people = [...new Set(p.reasons.flatMap((r) => r.recipients ?? []))];
  const all = draft.recipients().length;
  const [lower, setLower] = useState<Label[]>([]);
  useEffect(() => {
    void acceptedLabels(draft)
      .then(setLower)
      .catch(() => {});
  }, [draft]);
  const withdraw = () => {
    const gone = new Set(people.map((a) => a.toLowerCase()));
    for (const f of [draft.to, draft.cc, draft.bcc])
      f.value = f.peek().filter((a) => !gone.has(a.email.toLowerCase()));
    draft.touched('people');
    p.onClose();
  };
  return (
    <Dialog title={t('refused.title')} role="alertdialog" class="refusal" onClose={p.onClose}>
      {p.reasons.length === 0 && <p>{p.text}</p>}
      {p.reasons.map((r) => (
        <section key={r.rule} class="refusal-reason">
          <p class="refusal-what">{pick(r.what)}</p>
          {r.recipients?.length > 0 && (
            <ul class="refusal-people">
              {r.recipients.map((a) => (
                <li key={a}>{a}</li>
              ))}
            </ul>
          )}
          <p class="refusal-advice">{pick(r.advice)}</p>
          <p class="refusal-rule">{t('refused.rule', { rule: r.rule })}</p>
        </section>
      ))}
      <div class="dialog-actions stacked">
        {people.length > 0 && people.length < all && (
          <Button kind="primary" onClick={withdraw}>
            {t('refused.remove', { n: people.length })}
          </Button>
        )}
        {lower.map((l) => (
          <Button
            key={l}
            onClick={() => {
              draft.label.value = l;
              draft.touched('people');
              p.onClose();
            }}
          >
            {t('refused.relabel', { label: labelName(l) })}
          </Button>
        ))}
        <Button kind={people.length > 0 && people.length < all ? 'plain' : 'primary'} onClick={p.onClose}>
          {t('refused.back')}
        </Button>
      </div>
      {lower.length > 0 && <p class="hint">{t('refused.relabelHint')}</p>}
    </Dialog>
  );
}
