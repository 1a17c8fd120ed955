/** The panel as a whole: what is wrong, if anything, then three tabs. */

import { ReactWidget } from '@jupyterlab/ui-components';
import { Message } from '@lumino/messaging';
import * as React from 'react';

import { Tab } from '../commands';
import { Panel, PanelContext, useChanged, usePanel } from './context';
import { Jobs } from './jobs';
import { Models } from './models';
import { Button } from './parts';
import { TABS } from './state';
import { Training } from './training';

export class PanelBody extends ReactWidget {
  constructor(private readonly context: PanelContext) {
    super();
    this.addClass('tt-PanelBody');
  }

  protected onAfterShow(msg: Message): void {
    super.onAfterShow(msg);
    this.context.state.setSeen(true);
  }

  protected onAfterAttach(msg: Message): void {
    super.onAfterAttach(msg);
    this.context.state.setSeen(this.isVisible);
  }

  protected onAfterHide(msg: Message): void {
    super.onAfterHide(msg);
    this.context.state.setSeen(false);
  }

  /** The keyboard lands on the tab that is open. */
  protected onActivateRequest(msg: Message): void {
    super.onActivateRequest(msg);
    const focus = () =>
      this.node.querySelector<HTMLElement>('[role="tab"][aria-selected="true"]')?.focus();
    void (this.renderPromise ?? Promise.resolve()).then(focus);
  }

  protected render(): JSX.Element {
    return (
      <Panel.Provider value={this.context}>
        <Whole />
      </Panel.Provider>
    );
  }
}

function Whole(): JSX.Element {
  const { state } = usePanel();
  useChanged(state.changed);
  return (
    <>
      <Banner />
      <Tabs />
      <div
        role="tabpanel"
        id={`tt-tabpanel-${state.tab}`}
        aria-labelledby={`tt-tab-${state.tab}`}
        className="tt-TabPanel"
      >
        {state.tab === 'models' && <Models />}
        {state.tab === 'jobs' && <Jobs />}
        {state.tab === 'training' && <Training />}
      </div>
    </>
  );
}

function Tabs(): JSX.Element {
  const { state, trans } = usePanel();
  const labels: { [tab in Tab]: string } = {
    models: trans.__('Models'),
    jobs: trans.__('Jobs'),
    training: trans.__('Training')
  };
  const row = React.useRef<HTMLDivElement>(null);
  const go = (event: React.KeyboardEvent) => {
    const at = TABS.indexOf(state.tab);
    const to: { [key: string]: number } = {
      ArrowRight: (at + 1) % TABS.length,
      ArrowLeft: (at + TABS.length - 1) % TABS.length,
      Home: 0,
      End: TABS.length - 1
    };
    const next = to[event.key];
    if (next !== undefined) {
      event.preventDefault();
      state.open(TABS[next]);
      row.current?.querySelectorAll<HTMLElement>('[role="tab"]')[next].focus();
    }
  };
  return (
    <div role="tablist" className="tt-Tabs" ref={row} onKeyDown={go}>
      {TABS.map(tab => (
        <button
          key={tab}
          role="tab"
          id={`tt-tab-${tab}`}
          aria-selected={tab === state.tab}
          aria-controls={tab === state.tab ? `tt-tabpanel-${tab}` : undefined}
          tabIndex={tab === state.tab ? 0 : -1}
          onClick={() => state.open(tab)}
        >
          {labels[tab]}
        </button>
      ))}
    </div>
  );
}

/** What keeps the panel from working, and what to do; the lists below keep what they had. */
function Banner(): JSX.Element {
  const { health, activity, trans } = usePanel();
  useChanged(health.changed);
  useChanged(activity.changed);
  const [asking, setAsking] = React.useState(false);
  const unusable = !health.usable;
  const failure = health.failure ?? (unusable ? null : activity.failure);
  const trouble = health.trouble || failure?.message || '';
  const ask = async () => {
    setAsking(true);
    await health.refresh();
    await activity.refresh();
    setAsking(false);
  };
  return (
    <div role="status">
      {trouble && (
        <div className="tt-Banner">
          <p>{trouble}</p>
          <p>
            {failure?.action ||
              trans.__('It is tried again by itself; what is shown is the last that was heard.')}
          </p>
          <Button
            label={asking ? trans.__('Asking…') : trans.__('Try now')}
            reason={asking ? trans.__('It is being asked.') : undefined}
            onClick={() => void ask()}
          />
        </div>
      )}
    </div>
  );
}
