/** Puts the Publish button in the notebook's toolbar, the menu and the palette. */

import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { IBackend } from '../client';
import { IHealth } from '../health';
import { publishIcon } from '../icons';
import { MainShell } from '../kernel/mainshell';
import { obstacle } from './availability';
import { PublishDesk } from './desk';

const PUBLISH = 'tensortrigger:publish';
const PLUGIN = 'tensortrigger-lab:publish';

export const publishPlugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN,
  description: 'Publishes a Keras model of a notebook.',
  autoStart: true,
  requires: [INotebookTracker, IBackend, IHealth],
  optional: [ITranslator, ICommandPalette, ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker,
    backend: IBackend,
    health: IHealth,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    registry: ISettingRegistry | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('tensortrigger_lab');
    const { commands } = app;
    const { kernelspecs } = app.serviceManager;
    const desk = new PublishDesk(commands, backend, health, trans);
    const why = () => obstacle(tracker.currentWidget, kernelspecs.specs, trans);

    commands.addCommand(PUBLISH, {
      label: args =>
        args['toolbar']
          ? trans.__('Publish')
          : args['isMenu']
            ? trans.__('Publish a Keras Model…')
            : why()
              ? trans.__('Publish a Keras Model… (not now: %1)', why())
              : trans.__('Publish a Keras Model…'),
      caption: () => why() || trans.__('Make a Keras model of this notebook a REST endpoint'),
      icon: args => (args['isPalette'] ? undefined : publishIcon),
      isEnabled: () => why() === '',
      describedBy: { args: { type: 'object', properties: {} } },
      execute: async () => {
        const panel = tracker.currentWidget;
        if (panel) {
          await desk.publish(panel);
        }
      }
    });
    palette?.addItem({ command: PUBLISH, category: 'TensorTrigger' });
    registry?.load(PLUGIN).catch(() => undefined);

    const notify = () => commands.notifyCommandChanged(PUBLISH);
    const follow = (_: INotebookTracker, panel: NotebookPanel) => {
      const heard = () => {
        const kernel = panel.sessionContext.session?.kernel;
        if (kernel) {
          MainShell.of(kernel);
        }
        notify();
      };
      panel.sessionContext.kernelChanged.connect(heard);
      panel.sessionContext.ready.then(heard).catch(() => undefined);
    };
    tracker.forEach(panel => follow(tracker, panel));
    tracker.widgetAdded.connect(follow);
    tracker.currentChanged.connect(notify);
    kernelspecs.specsChanged.connect(notify);
  }
};
