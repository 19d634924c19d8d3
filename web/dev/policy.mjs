// A rulebook of cardboard: enough verdicts to show every state of the page.
const RANK = ['open', 'official', 'restricted', 'confidential', 'secret', 'top-secret'];

function classOf(address) {
  const d = address.split('@')[1] ?? '';
  if (d.endsWith('rajya.example')) return 'own';
  if (d.endsWith('gov.example')) return 'government';
  if (/^(gmail|yahoo|outlook|rediffmail)\./.test(d)) return 'foreign-webmail';
  return 'other';
}

/** The answer of Policy/explain. */
export function explain(to, label) {
  const recipients = to.map((address) => ({ address, class: classOf(address) }));
  const far = recipients.filter((r) => r.class === 'foreign-webmail').map((r) => r.address);
  const rank = RANK.indexOf(label ?? 'open');
  const reasons = [];
  let verdict = 'allow';
  if (rank >= 4) {
    verdict = 'refuse';
    reasons.push({
      rule: 'MAIL-07',
      what: {
        en: 'Secret letters may not travel over the internet.',
        hi: 'गुप्त पत्र इंटरनेट से नहीं भेजे जा सकते।',
      },
      advice: {
        en: 'Send it on sealed media through the sealing desk.',
        hi: 'इसे सीलबंद माध्यम पर सीलिंग डेस्क से भेजें।',
      },
      recipients: to,
    });
  } else if (far.length && rank >= 1) {
    verdict = 'refuse';
    reasons.push({
      rule: 'MAIL-03',
      what: {
        en: 'Official letters may not go to webmail outside India.',
        hi: 'सरकारी उपयोग के पत्र भारत से बाहर की वेबमेल पर नहीं भेजे जा सकते।',
      },
      advice: {
        en: 'If the letter is for a citizen and holds nothing official, label it open; otherwise remove this recipient.',
        hi: 'यदि पत्र नागरिक के लिए है और उसमें कुछ सरकारी नहीं है तो उसका वर्गीकरण «अवर्गीकृत» करें; अन्यथा इस प्राप्तकर्ता को हटाएँ।',
      },
      recipients: far,
    });
  } else if (rank === 3) verdict = 'hold';
  else if (rank === 2 && recipients.some((r) => r.class === 'government')) verdict = 'ask-reason';
  return { accountId: 'a1', verdict, recipients, reasons };
}
