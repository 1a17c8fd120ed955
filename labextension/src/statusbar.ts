/** The status bar's item: there while something runs or the backend is away; a click opens the panel. */

import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator, TranslationBundle } from '@jupyterlab/translation';
import { ReactWidget } from '@jupyterlab/ui-components';
import { CommandRegistry } from '@lumino/commands';
import { Signal } from '@lumino/signaling';
import * as React from 'react';

import { IActivity } from './activity';
import { openPanel } from './commands';
import { IHealth } from './health';
import { tensorIcon } from './icons';
import { countsOf, nameOf, shareOf, shareTold, workOf } from './work';

export class StatusItem extends ReactWidget {
  constructor(
    private readonly activity: IActivity,
    private readonly health: IHealth,
    private readonly commands: CommandRegistry,
    private readonly trans: TranslationBundle
  ) {
    super();
    this.addClass('tt-StatusItem');
    activity.changed.connect(this.onChanged, this);
    health.changed.connect(this.onChanged, this);
  }

  readonly activeChanged = new Signal<StatusItem, void>(this);

  get active(): boolean {
    return this.health.trouble !== '' || workOf(this.activity).length > 0;
  }

  render(): JSX.Element | null {
    const { trans, health } = this;
    const work = workOf(this.activity);
    if (!this.active) {
      return null;
    }
    const text = health.trouble ? trans.__('Backend away') : this.told();
    const title =
      health.trouble ||
      work
        .map(each => [nameOf(each, trans), shareTold(shareOf(each))].filter(Boolean).join(': '))
        .join('\n');
    return React.createElement(
      'button',
      {
        type: 'button',
        className: `tt-StatusItem-button${health.trouble ? ' tt-mod-trouble' : ''}`,
        title,
        'aria-label': trans.__('TensorTrigger: %1', text),
        onClick: () => this.open()
      },
      React.createElement(tensorIcon.react, { stylesheet: 'statusBar', tag: 'span' }),
      React.createElement('span', null, text)
    );
  }

  private told(): string {
    const { trans } = this;
    const work = workOf(this.activity);
    const { trainings, scorings } = countsOf(work);
    const parts = [
      trainings > 0 ? trans._n('%1 training', '%1 trainings', trainings) : '',
      scorings > 0 ? trans._n('%1 scoring', '%1 scorings', scorings) : '',
      work.length === 1 ? shareTold(shareOf(work[0])) : ''
    ];
    return parts.filter(Boolean).join(', ');
  }

  private open(): void {
    const { trainings, scorings } = countsOf(workOf(this.activity));
    const tab = scorings > 0 ? 'jobs' : trainings > 0 ? 'training' : 'models';
    openPanel(this.commands, tab);
  }

  private onChanged(): void {
    this.update();
    this.activeChanged.emit();
  }
}

export const statusBarPlugin: JupyterFrontEndPlugin<void> = {
  id: 'tensortrigger-lab:status-bar',
  description: 'Shows in the status bar what runs in the TensorTrigger backend.',
  autoStart: true,
  requires: [IActivity, IHealth],
  optional: [IStatusBar, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    activity: IActivity,
    health: IHealth,
    statusBar: IStatusBar | null,
    translator: ITranslator | null
  ): void => {
    if (!statusBar) {
      return;
    }
    const trans = (translator ?? nullTranslator).load('tensortrigger_lab');
    const item = new StatusItem(activity, health, app.commands, trans);
    statusBar.registerStatusItem('tensortrigger-lab:status', {
      item,
      align: 'left',
      rank: 90,
      isActive: () => item.active,
      activeStateChanged: item.activeChanged
    });
  }
};
