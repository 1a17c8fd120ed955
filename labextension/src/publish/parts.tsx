/** Buttons and captions of the publish dialog. */

import * as React from 'react';

import { copy } from '../clipboard';

interface IActionProps {
  label: string;
  onClick: () => void;
  kind?: 'accept' | 'reject' | 'warn';
  /** Why it cannot be used; it stays focusable, so that the reason can be read. */
  reason?: string;
  /** Takes the focus when its phase begins. */
  first?: boolean;
}

/** A button of the dialog's foot. */
export function Action(props: IActionProps): JSX.Element {
  const { kind = 'reject', reason } = props;
  return (
    <button
      type="button"
      className={`jp-Dialog-button jp-mod-${kind} jp-mod-styled`}
      title={reason || props.label}
      aria-label={reason ? `${props.label}. ${reason}` : props.label}
      aria-disabled={reason ? true : undefined}
      data-tt-first={props.first || undefined}
      onClick={reason ? undefined : props.onClick}
    >
      <span className="jp-Dialog-buttonLabel">{props.label}</span>
    </button>
  );
}

interface IRowProps {
  label: string;
  id: string;
  /** What is wrong with it, or what follows from it. */
  fault?: string;
  hint?: React.ReactNode;
  children?: React.ReactNode;
}

/** A labelled control with its fault or hint below; the control is described by `<id>-hint`. */
export function Row(props: IRowProps): JSX.Element {
  return (
    <div className="tt-Publish-row">
      <label htmlFor={props.id}>{props.label}</label>
      <div>
        {props.children}
        <div
          id={`${props.id}-hint`}
          className={props.fault ? 'tt-Publish-fault' : 'tt-Publish-hint'}
          aria-live="polite"
        >
          {props.fault ?? props.hint}
        </div>
      </div>
    </div>
  );
}

interface ITypedRowProps extends IRowProps {
  value: string;
  onType: (typed: string) => void;
  /** The id of the datalist with what is often typed. */
  list?: string;
  /** Takes the focus when its phase begins. */
  first?: boolean;
}

/** A row for a name or a word of the user's own, which may be wrong; below the line stand the children. */
export function TypedRow(props: ITypedRowProps): JSX.Element {
  const { id, label, fault, hint } = props;
  return (
    <Row id={id} label={label} fault={fault} hint={hint}>
      <input
        id={id}
        type="text"
        className="jp-mod-styled"
        list={props.list}
        value={props.value}
        spellCheck={false}
        autoComplete="off"
        data-tt-first={props.first || undefined}
        aria-invalid={fault ? true : undefined}
        aria-describedby={`${id}-hint`}
        onChange={event => props.onType(event.target.value)}
      />
      {props.children}
    </Row>
  );
}

/** Copies a text, and says so in its own label for a moment. */
export function Copy(props: {
  label: string;
  copied: string;
  text: string;
  first?: boolean;
}): JSX.Element {
  const [done, setDone] = React.useState(false);
  React.useEffect(() => {
    if (!done) {
      return undefined;
    }
    const timer = setTimeout(() => setDone(false), 2000);
    return () => clearTimeout(timer);
  }, [done]);
  return (
    <Action
      label={done ? props.copied : props.label}
      first={props.first}
      onClick={() => {
        copy(props.text);
        setDone(true);
      }}
    />
  );
}
