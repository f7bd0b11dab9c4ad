import type { Anchors } from '../../fleet/verify/anchors.ts';
import { type Check, Checklist } from '../../fleet/verify/checks.ts';
import { type Layers, openLayers, statementBytes, verifyOperator, verifyWitness } from '../../fleet/verify/layers.ts';
import { toHex } from '../../primitives/bytes.ts';
import { parseStatement, type Statement, type StatementDocument } from '../../protocol/statement.ts';

/** What a dropped file says, held against the evidence. */
export interface Comparison {
  readonly checks: readonly Check[];
  readonly rows: readonly Row[];
}

export interface Row {
  readonly what: string;
  readonly here: string;
  readonly there: string;
}

/** `dropped` is a validation bundle, or a bare statement. */
export function compare(dropped: Uint8Array, here: Statement, anchors: Anchors, now: number): Comparison {
  const list = new Checklist();
  const bare = dropped[0] === 0x7b;
  const layers = bare
    ? undefined
    : list.run('dropped-layers', 'The dropped bundle has two signatures, the witness’s inside the operator’s', [], () => [
        openLayers(dropped, anchors.authorities),
        'Two layers of S/MIME, each with one signer.',
      ]);
  if (!bare) {
    const signers = { operator: verifyOperator, witness: verifyWitness };
    for (const [who, verify] of Object.entries(signers))
      list.run(`dropped-${who}`, `The ${who} signed it`, [layers] as const, (opened: Layers) => [
        true,
        `Signed by “${verify(opened, anchors.authorities, now).certificate.commonName}”.`,
      ]);
  }
  const there = list.run(
    'dropped-statement',
    'It holds a fleet statement',
    [bare ? dropped : layers && statementBytes(layers)],
    (bytes) => {
      const parsed = parseStatement(bytes as Uint8Array);
      return [parsed, `Fleet ${parsed.fleet}, epoch ${parsed.epoch}.${bare ? ' Nobody signed it: it is bare.' : ''}`];
    },
  );
  return { checks: list.checks, rows: there ? rowsOf(here, there) : [] };
}

function rowsOf(here: Statement, there: Statement): Row[] {
  const indices = new Set([...here.replicas, ...there.replicas].map(({ index }) => index));
  const of = (index: number, { document }: Statement) => document.replicas.find((replica) => replica.index === index);
  return [
    row('Statement', here, there, ({ hash }) => toHex(hash)),
    row('Fleet', here, there, ({ fleet }) => fleet),
    row('Epoch', here, there, ({ epoch }) => String(epoch)),
    row('Needed of all', here, there, ({ threshold, replicas: all }) => `${threshold} of ${all.length}`),
    row('Earlier epochs served', here, there, ({ document }) => document.earlier.map(termsInWords).join('; ')),
    ...[...indices]
      .sort((a, b) => a - b)
      .flatMap((index) => [
        row(`Replica ${index}: operator`, here, there, (statement) => of(index, statement)?.operator),
        row(`Replica ${index}: OPRF key`, here, there, (statement) => of(index, statement)?.oprf_key),
        row(`Replica ${index}: release key`, here, there, (statement) => of(index, statement)?.release_key),
        row(`Replica ${index}: receipt key`, here, there, (statement) => of(index, statement)?.receipt_key),
        row(`Replica ${index}: token serial`, here, there, (statement) => of(index, statement)?.token.serial),
      ]),
  ];
}

const termsInWords = ({ epoch, threshold, replicas }: StatementDocument['earlier'][number]): string =>
  `${epoch}: ${threshold} of ${replicas.map(({ index }) => index).join(', ')}`;

const row = (what: string, here: Statement, there: Statement, read: (statement: Statement) => string | undefined): Row => ({
  what,
  here: read(here) || 'none',
  there: read(there) || 'none',
});
