/** The launcher's card, which opens the panel. */

import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ILauncher } from '@jupyterlab/launcher';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { OPEN_PANEL } from './commands';
import { tensorIcon } from './icons';

const LAUNCH = 'tensortrigger:launch';

export const launcherPlugin: JupyterFrontEndPlugin<void> = {
  id: 'tensortrigger-lab:launcher',
  description: 'A card in the launcher that opens the TensorTrigger panel.',
  autoStart: true,
  optional: [ILauncher, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    launcher: ILauncher | null,
    translator: ITranslator | null
  ): void => {
    if (!launcher) {
      return;
    }
    const trans = (translator ?? nullTranslator).load('tensortrigger_lab');
    const { commands } = app;
    // A command of its own: the card has its own words, and the panel's may be disabled by an administrator.
    commands.addCommand(LAUNCH, {
      label: trans.__('TensorTrigger'),
      caption: trans.__('Published models, scoring jobs and trainings'),
      icon: tensorIcon,
      isEnabled: () => commands.hasCommand(OPEN_PANEL),
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => commands.execute(OPEN_PANEL, { tab: 'models' })
    });
    launcher.add({ command: LAUNCH, category: 'TensorTrigger', rank: 1 });
  }
};
