// A made-up account for development: many letters in Hindi and English, every
// label, every kind of sender, deterministic.

const PEOPLE = [
  ['अनीता शर्मा', 'anita.sharma@rajya.example', 'own'],
  ['Ravi Kumar Meena', 'ravi.meena@rajya.example', 'own'],
  ['कलेक्टर कार्यालय, बीकानेर', 'collector.bikaner@rajya.example', 'own'],
  ['तहसीलदार, कोलायत', 'tehsildar.kolayat@rajya.example', 'own'],
  ['Fatima Begum', 'fatima.begum@rajya.example', 'own'],
  ['वित्त विभाग', 'finance@rajya.example', 'own'],
  ['गृह मंत्रालय', 'so.coord@home.gov.example', 'government'],
  ['Ministry of Jal Shakti', 'desk4@jalshakti.gov.example', 'government'],
  ['Suresh Chand', 'suresh.chand1961@gmail.com', null],
  ['श्रीमती गीता देवी', 'geeta.devi.bkn@gmail.com', null],
  ['Tenders India Digest', 'digest@tenders-digest.example.com', null],
  ['District Collector', 'dc.bikaner.office@outlook.com', 'failed'],
  ['राम गुप्ता', 'ram.gupta@rajya.example', 'own'],
  ['Harpreet Singh', 'harpreet.singh@rajya.example', 'own'],
];

const SUBJECTS = [
  'ग्राम पंचायत बज्जू: पेयजल योजना की प्रगति रिपोर्ट',
  'Budget utilisation certificate, second quarter',
  'कार्यालय ज्ञापन: अवकाश नियमों में संशोधन',
  'Minutes of the coordination meeting of 12 November',
  'जिला स्तरीय जन सुनवाई की तैयारी',
  'Request for land record, khasra 214/3',
  'परिपत्र: निर्वाचन ड्यूटी के लिए कार्मिकों की सूची',
  'Reminder: compliance with audit paragraphs',
  'प्राथमिक विद्यालय भवन मरम्मत हेतु स्वीकृति',
  'Transfer of charge, Assistant Engineer (PHED)',
  'मेरी पेंशन के बारे में शिकायत',
  'Draft reply to the Assembly question no. 1187',
  'अर्द्धशासकीय पत्र: सड़क सुरक्षा सप्ताह',
  'Weekly vehicle log and fuel statement',
];

const PREVIEWS = [
  'महोदय, उपर्युक्त विषय में निवेदन है कि कार्य की प्रगति संतोषजनक है और शेष कार्य इस माह के अंत तक पूरा कर लिया जाएगा।',
  'Please find attached the certificate for the second quarter. The figures were reconciled with the treasury on Friday.',
  'सभी अधीनस्थ कार्यालयों को सूचित किया जाता है कि संशोधित नियम तत्काल प्रभाव से लागू होंगे।',
  'The meeting decided that the survey of the remaining eleven villages shall be completed before the month ends.',
  'कृपया संलग्न सूची देखकर अपनी टिप्पणी कल दोपहर तक भेजने का कष्ट करें।',
  'Kindly arrange to send the certified copy at the earliest. The hearing is on the 28th.',
];

const LABELS = [
  'official',
  'official',
  'open',
  'official',
  'restricted',
  'official',
  'confidential',
  'official',
  null,
  'official',
];

const hash = (n) => {
  let x = (n + 0x9e3779b9) | 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
};

export const ME = {
  address: 'meera.joshi@rajya.example',
  name: 'मीरा जोशी',
  post: 'Block Development Officer, Kolayat',
  lang: 'hi',
  category: 'employee',
};

export const MAILBOXES = [
  ['inbox', 'Inbox', null],
  ['drafts', 'Drafts', null],
  ['sent', 'Sent', null],
  ['archive', 'Archive', null],
  ['junk', 'Junk', null],
  ['trash', 'Trash', null],
  [null, 'जन सुनवाई', null],
  [null, 'Elections 2026', null],
  [null, 'मतदान केंद्र', 'm7'],
  [null, 'PHED', null],
].map(([role, name, parentId], i) => ({
  id: `m${i}`,
  name,
  parentId,
  role,
  sortOrder: i,
  isSubscribed: true,
  totalEmails: 0,
  unreadEmails: 0,
  totalThreads: 0,
  unreadThreads: 0,
}));

const HTML = `<style>.n{color:#7a1f1f}</style><p>Dear Madam,</p><p>The <b class="n">newsletter</b> of this week: <img src="https://pixel.tenders-digest.example.com/o.gif" width="1" height="1"></p>
<p><a href="https://login.example.org/verify">https://rajya.example/portal</a> and <a href="https://www.tenders-digest.example.com/list?id=4">the full list</a>.</p>
<table border="1" cellpadding="6"><tr><th>Work</th><th>Estimate</th></tr><tr><td>Pipe line, Kolayat</td><td>&#8377; 48,20,000</td></tr></table>
<script>document.title='run'</script><p style="background:url(https://pixel.tenders-digest.example.com/b.gif)">With regards</p>`;

const HINDI = `महोदया,

उपर्युक्त विषय में निवेदन है कि ग्राम पंचायत बज्जू की पेयजल योजना का कार्य 82 प्रतिशत पूर्ण हो चुका है। शेष पाइप लाइन (लगभग 1.4 किमी) का कार्य ठेकेदार द्वारा इस माह के अंत तक पूरा कर लिया जाएगा।

कृपया निम्न बिंदुओं पर मार्गदर्शन प्रदान करें:
1. अतिरिक्त कनेक्शन हेतु स्वीकृति
2. जल गुणवत्ता की जाँच की तिथि

विस्तृत विवरण https://phed.rajya.example/yojana/214 पर उपलब्ध है।

भवदीय,
कनिष्ठ अभियंता

12 नवंबर 2026 को मीरा जोशी ने लिखा:
> कृपया प्रगति रिपोर्ट शीघ्र भेजें।
> धन्यवाद।`;

const ENGLISH = `Madam,

The certificate for the second quarter is attached. The figures were reconciled with the treasury on Friday; the difference of Rs 4,120 under head 2215 is explained in annexure B.

Kindly confirm before the 28th so that it can go to the Finance Department with the monthly statement.

With regards
Accounts Officer

On 10 Nov 2026, Meera Joshi wrote:
> Please send the utilisation certificate by this week.
> The audit party arrives on Monday.`;

/** Builds the letters: ids e0 (newest) upward. */
export function seed(count, now) {
  const emails = new Map();
  const threads = new Map();
  const sizes = [1, 1, 1, 2, 1, 3, 1, 1, 5, 1];
  let i = 0;
  for (let t = 0; i < count; t++) {
    const h = hash(t);
    const size = Math.min(sizes[t % sizes.length], count - i);
    const who = PEOPLE[(h >>> 3) % PEOPLE.length];
    const s = (h >>> 7) % SUBJECTS.length;
    const label = who[2] === 'own' ? LABELS[h % LABELS.length] : who[2] === 'government' ? 'official' : null;
    const box =
      h % 13 === 0
        ? 'm3'
        : h % 29 === 0
          ? `m${6 + (h % 4)}`
          : who[1].includes('digest') && h % 3 === 0
            ? 'm4'
            : 'm0';
    const ids = [];
    for (let k = 0; k < size; k++, i++) {
      // Inside a conversation the newest comes first in time order of ids.
      const mine = k % 2 === 1;
      const id = `e${i}`;
      const at = new Date(now - 60_000 * (7 + i * 41) - (i > 30 ? i * 900_000 : 0));
      const html = who[1].includes('digest') || (h % 5 === 0 && !mine);
      emails.set(id, {
        id,
        threadId: `t${t}`,
        blobId: `B${id}`,
        mailboxIds: mine ? { m2: true } : { [box]: true },
        keywords: {
          ...(i > 14 || mine || i % 3 === 2 ? { $seen: true } : {}),
          ...(h % 11 === 0 && k === 0 ? { $flagged: true } : {}),
        },
        from: [mine ? { name: ME.name, email: ME.address } : { name: who[0], email: who[1] }],
        to: [
          mine ? { name: who[0], email: who[1] } : { name: ME.name, email: ME.address },
          ...(h % 3 === 0 ? [{ name: PEOPLE[0][0], email: PEOPLE[0][1] }] : []),
        ],
        cc: h % 4 === 0 ? [{ name: PEOPLE[3][0], email: PEOPLE[3][1] }] : null,
        bcc: null,
        replyTo: null,
        subject: (k < size - 1 ? 'Re: ' : '') + SUBJECTS[s],
        receivedAt: at.toISOString().replace(/\.\d+Z/, 'Z'),
        sentAt: at.toISOString().replace(/\.\d+Z/, 'Z'),
        preview: PREVIEWS[(h >>> 11) % PREVIEWS.length],
        size: 2000 + (h % 90000),
        hasAttachment: h % 4 === 1,
        label,
        standing: who[2] && who[2] !== 'own' ? who[2] : null,
        messageId: [`${id}@rajya.example`],
        inReplyTo: null,
        references: null,
        kind: html ? 'html' : s % 2 ? 'en' : 'hi',
      });
      ids.unshift(id);
    }
    threads.set(`t${t}`, ids);
  }
  return { emails, threads };
}

/** The body fields of a seeded letter. */
export function body(e) {
  if (e.bodyValues) return {};
  const type = e.kind === 'html' ? 'text/html' : 'text/plain';
  const part = {
    partId: '1',
    blobId: `P${e.id}`,
    size: 900,
    name: null,
    type,
    charset: 'utf-8',
    disposition: null,
    cid: null,
  };
  const files = e.hasAttachment
    ? [
        {
          partId: '2',
          blobId: `P${e.id}-2`,
          size: 184_320,
          name: 'प्रगति रिपोर्ट नवंबर 2026.pdf',
          type: 'application/pdf',
          charset: null,
          disposition: 'attachment',
          cid: null,
        },
        {
          partId: '3',
          blobId: `P${e.id}-3`,
          size: 22_016,
          name: 'Annexure-B statement of expenditure head 2215.xlsx',
          type: 'application/vnd.ms-excel',
          charset: null,
          disposition: 'attachment',
          cid: null,
        },
      ]
    : [];
  const value = e.kind === 'html' ? HTML : e.kind === 'en' ? ENGLISH : HINDI;
  return {
    bodyValues: { 1: { value, isEncodingProblem: false, isTruncated: false } },
    textBody: [part],
    htmlBody: [part],
    attachments: files,
  };
}
