/** The publish dialog's content, phase by phase, with the buttons of each. */

import type { TranslationBundle } from '@jupyterlab/translation';
import * as React from 'react';

import { IHealth } from '../health';
import { INSTALL, UPGRADE } from '../kernel/reply';
import { PublishFlow } from './flow';
import { FormView } from './formView';
import { PublishState, sendable, timings } from './states';
import { Failed, Ready, Stages } from './outcome';
import { Action, Copy } from './parts';
import { stateTold, timingTold } from './words';

/** What the dialog can do beyond the flow itself. */
export interface PublishActions {
  /** Whether the notebook that was clicked in is still open. */
  notebookOpen(): boolean;
  insertCell(source: string): void;
  openInPanel(modelId: string): void;
  close(): void;
}

interface IViewProps {
  flow: PublishFlow;
  health: IHealth;
  actions: PublishActions;
  trans: TranslationBundle;
}

export function PublishView(props: IViewProps): JSX.Element {
  const { flow, health, trans } = props;
  const [, again] = React.useReducer((count: number) => count + 1, 0);
  const node = React.useRef<HTMLDivElement>(null);
  React.useEffect(() => {
    const slot = () => again();
    flow.changed.connect(slot);
    health.changed.connect(slot);
    return () => {
      flow.changed.disconnect(slot);
      health.changed.disconnect(slot);
    };
  }, [flow, health]);
  const { state } = flow;
  // The control that had the focus is gone with its phase.
  React.useEffect(() => {
    const first = node.current?.querySelector<HTMLElement>('[data-tt-first]');
    (first ?? node.current)?.focus();
  }, [state.phase]);
  const told = stateTold(state, trans);
  return (
    <div className="tt-Publish" ref={node} tabIndex={-1}>
      <form
        className="tt-Publish-body"
        onSubmit={event => {
          event.preventDefault();
          const [timing] = timings(state);
          if (timing) {
            flow.send({ type: 'submit', timing });
          }
        }}
      >
        <p
          className={`tt-Publish-state tt-mod-${state.phase}`}
          role={state.phase === 'failed' ? 'alert' : 'status'}
          aria-live={state.phase === 'failed' ? 'assertive' : 'polite'}
        >
          {told}
        </p>
        <Content {...props} state={state} />
        {/* Enter in a field sends the form; the button that is seen stands in the foot. */}
        <button type="submit" hidden tabIndex={-1} aria-hidden="true" />
      </form>
      <div className="tt-Publish-foot">
        <Foot {...props} state={state} />
      </div>
    </div>
  );
}

function Content(props: IViewProps & { state: PublishState }): JSX.Element | null {
  const { state, trans, flow, health } = props;
  switch (state.phase) {
    case 'opening':
      return <div className="tt-Publish-bar" aria-hidden="true" />;
    case 'form':
      return (
        <FormView state={state} send={event => flow.send(event)} health={health} trans={trans} />
      );
    case 'waiting':
      return (
        <>
          <div className="tt-Publish-bar" aria-hidden="true" />
          <p>{trans.__('This dialog may be closed: a notification tells how it goes.')}</p>
        </>
      );
    case 'sending':
    case 'following':
      return (
        <>
          <Stages state={state} trans={trans} />
          <div className="tt-Publish-bar" aria-hidden="true" />
        </>
      );
    case 'ready':
      return <Ready state={state} trans={trans} />;
    case 'failed':
      return state.failure && <Failed state={state} failure={state.failure} trans={trans} />;
    case 'stopped':
      return <p>{trans.__('Nothing was published.')}</p>;
  }
}

function Foot(props: IViewProps & { state: PublishState }): JSX.Element {
  const { state, flow, actions, trans } = props;
  const close = (first = false) => (
    <Action label={trans.__('Close')} onClick={() => actions.close()} first={first} />
  );
  const cancel = (
    <Action
      label={trans.__('Cancel')}
      reason={state.stopping ? trans.__('It is being cancelled.') : ''}
      onClick={() => flow.send({ type: 'cancel' })}
    />
  );
  switch (state.phase) {
    case 'opening':
      return <>{close(true)}</>;
    case 'form':
      return <FormFoot {...props} close={close} />;
    case 'waiting':
    case 'sending':
    case 'following':
      return (
        <>
          {cancel}
          <Action
            label={trans.__('Go on in the background')}
            kind="accept"
            first
            onClick={() => actions.close()}
          />
        </>
      );
    case 'ready':
      return <ReadyFoot {...props} close={close()} />;
    case 'failed':
      return <FailedFoot {...props} close={close} />;
    case 'stopped':
      return <>{close(true)}</>;
  }
}

interface IFootProps extends IViewProps {
  state: PublishState;
}

function FormFoot(props: IFootProps & { close: (first?: boolean) => JSX.Element }): JSX.Element {
  const { state, flow, trans, close } = props;
  const possible = timings(state);
  if (possible.length === 0 && !state.form.identity) {
    return close(true);
  }
  const reason = sendable(state)
    ? ''
    : state.proposing
      ? trans.__('The schema is being worked out.')
      : trans.__('Mend what is marked above first.');
  return (
    <>
      {close()}
      {(possible.length > 0 ? possible : (['now'] as const))
        .map((timing, index) => (
          <Action
            key={timing}
            label={timingTold(timing, trans)}
            kind={index === 0 ? 'accept' : 'reject'}
            reason={reason}
            onClick={() => flow.send({ type: 'submit', timing })}
          />
        ))
        .reverse()}
    </>
  );
}

function ReadyFoot(props: IFootProps & { close: JSX.Element }): JSX.Element {
  const { state, actions, trans } = props;
  const { curl, cell, model } = state.progress ?? {};
  return (
    <>
      {props.close}
      {curl && <Copy label={trans.__('Copy curl')} copied={trans.__('Copied')} text={curl} />}
      {cell && (
        <Action
          label={trans.__('Insert scoring cell')}
          reason={actions.notebookOpen() ? '' : trans.__('The notebook has been closed.')}
          onClick={() => {
            // A closing dialog gives the focus back to where it was, and with it the notebook's active cell.
            actions.close();
            actions.insertCell(cell);
          }}
        />
      )}
      {model && (
        <Action
          label={trans.__('Open in panel')}
          kind="accept"
          first
          onClick={() => {
            actions.openInPanel(model.model_id);
            actions.close();
          }}
        />
      )}
    </>
  );
}

const CELLS: { [code: string]: string } = {
  package_missing: INSTALL,
  package_broken: INSTALL,
  package_old: UPGRADE,
  version_skew: UPGRADE
};

function FailedFoot(props: IFootProps & { close: (first?: boolean) => JSX.Element }): JSX.Element {
  const { state, flow, actions, trans } = props;
  const code = state.failure?.code ?? '';
  const command = state.progress?.command;
  const install = actions.notebookOpen() ? CELLS[code] : undefined;
  const hopeless = code === 'kernel_restarted' || code === 'kernel_dead' || code === 'not_python';
  return (
    <>
      {props.close(hopeless && !install)}
      {command && (
        <Copy label={trans.__('Copy command')} copied={trans.__('Copied')} text={command} />
      )}
      {!hopeless && !state.canGoBack && (
        <Action
          label={trans.__('Try again')}
          kind={install ? 'reject' : 'accept'}
          first={!install}
          onClick={() => flow.send({ type: 'retry' })}
        />
      )}
      {state.canGoBack && (
        <Action
          label={trans.__('Back to the form')}
          kind="accept"
          first
          onClick={() => flow.send({ type: 'back' })}
        />
      )}
      {install && (
        <Action
          label={trans.__('Insert install cell')}
          kind="accept"
          first
          onClick={() => {
            actions.close();
            actions.insertCell(install);
          }}
        />
      )}
    </>
  );
}
