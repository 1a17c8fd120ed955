/** A version's publish receipt: the proof that it answers as the model did, and later looks at it. */

import * as React from 'react';

import { Receipt } from '../shapes';
import { Aliasing } from './aliasing';
import { counted, moment, plain } from './amounts';
import { useAction, usePanel } from './context';
import { ModelDetails, receiptTold } from './groups';
import { Facts, Notice } from './parts';

export function ReceiptView(props: { model: ModelDetails }): JSX.Element | null {
  const { backend, trans } = usePanel();
  const { model } = props;
  const { failure, run, clear } = useAction();
  const [receipt, setReceipt] = React.useState<Receipt | null>(null);
  if (!model.receipt) {
    return null;
  }
  const ask = () =>
    run(async () => setReceipt(await new Aliasing(backend).receipt(model.model_id)));
  return (
    <details
      className="tt-Receipt"
      onToggle={event => {
        if (event.currentTarget.open && receipt === null) {
          void ask();
        }
      }}
    >
      <summary>
        {trans.__('Receipt')}: {receiptTold(model.receipt, trans)}
      </summary>
      <Notice failure={failure} onClose={clear} />
      {receipt && <Proof receipt={receipt} />}
    </details>
  );
}

function Proof(props: { receipt: Receipt }): JSX.Element {
  const { trans } = usePanel();
  const { receipt } = props;
  const hash = (value: string) => <code>{value}</code>;
  return (
    <>
      <Facts
        facts={[
          [trans.__('Rows'), counted(receipt.rows)],
          [trans.__('Difference'), plain(receipt.max_deviation)],
          [trans.__('Allowed'), `${plain(receipt.atol)} + ${plain(receipt.rtol)} |y|`],
          [trans.__('Engine'), `${receipt.engine} ${receipt.engine_version}`],
          [trans.__('Made with'), versionsTold(receipt.client_versions)],
          [trans.__('Rebuilt with'), versionsTold(receipt.versions)],
          [trans.__('Inputs'), hash(receipt.inputs_sha256)],
          [trans.__('Outputs'), hash(receipt.outputs_sha256)],
          [trans.__('Receipt'), hash(receipt.sha256)],
          [trans.__('Created'), moment(receipt.created)]
        ]}
      />
      {receipt.checks.length > 1 && (
        <ul aria-label={trans.__('Looked at again')}>
          {receipt.checks.slice(1).map((check, index) => (
            <li key={index} className={check.passed ? undefined : 'tt-Wrong'}>
              {check.passed
                ? trans.__('It still held on %1, %2.', check.engine_version, moment(check.checked))
                : trans.__(
                    'It no longer held on %1, %2: largest difference %3.',
                    check.engine_version,
                    moment(check.checked),
                    plain(check.max_deviation)
                  )}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

function versionsTold(versions: { [name: string]: string }): string {
  return Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ');
}
