/** Puts “Score with Model…” on CSV files, and follows what it starts. */

import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, showErrorMessage } from '@jupyterlab/apputils';
import { IDefaultFileBrowser, IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { IActivity } from '../activity';
import { IBackend } from '../client';
import { openPanel } from '../commands';
import { asFailure } from '../failure';
import { IHealth } from '../health';
import { scoringIcon } from '../icons';
import { Score } from '../shapes';
import { askChoice } from './dialog';
import { Watching, watchScore } from './watch';

export const SCORE_CSV = 'tensortrigger:score-csv';
const PLUGIN = 'tensortrigger-lab:csv';
const SCORABLE = /\.(csv|tsv)$/i;

export const csvPlugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN,
  description: 'Scores CSV files of the file browser with a published model.',
  autoStart: true,
  requires: [IBackend, IHealth, IActivity],
  optional: [
    ITranslator,
    ISettingRegistry,
    IFileBrowserFactory,
    IDefaultFileBrowser,
    ICommandPalette
  ],
  activate: (
    app: JupyterFrontEnd,
    backend: IBackend,
    health: IHealth,
    activity: IActivity,
    translator: ITranslator | null,
    registry: ISettingRegistry | null,
    factory: IFileBrowserFactory | null,
    usual: IDefaultFileBrowser | null,
    palette: ICommandPalette | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('tensortrigger_lab');
    const selected = (): string | null => {
      const browser = factory?.tracker.currentWidget ?? usual;
      const items = browser ? [...browser.selectedItems()] : [];
      const file = items.length === 1 ? items[0] : null;
      return file && file.type !== 'directory' && SCORABLE.test(file.path) ? file.path : null;
    };
    const watching: Watching = {
      backend,
      trans,
      open: path => void app.commands.execute('docmanager:open', { path }),
      refresh: () => {
        void usual?.model.refresh();
        factory?.tracker.forEach(browser => {
          if (browser !== usual) {
            void browser.model.refresh();
          }
        });
      },
      showJob: id => openPanel(app.commands, 'jobs', id)
    };
    const watch = async (score: Score) => {
      void activity.refresh();
      await watchScore(score, watching);
      void activity.refresh();
    };

    app.commands.addCommand(SCORE_CSV, {
      label: trans.__('Score with Model…'),
      caption: () =>
        selected()
          ? trans.__('Run a published model on every row of this file')
          : trans.__('Select one CSV file in the file browser first'),
      icon: args => (args.isPalette ? undefined : scoringIcon),
      isEnabled: args => typeof args.path === 'string' || selected() !== null,
      describedBy: {
        args: {
          type: 'object',
          properties: {
            path: {
              type: 'string',
              description: 'Of the CSV file; left out: the one selected in the file browser'
            }
          }
        }
      },
      execute: async args => {
        const path = typeof args.path === 'string' ? args.path : selected();
        if (path === null) {
          return;
        }
        if (!health.usable) {
          const action = health.failure?.action ?? trans.__('Try again once it is back.');
          void showErrorMessage(trans.__('No backend'), `${health.trouble} ${action}`);
          return;
        }
        const choice = await askChoice({ backend, trans, path });
        if (choice === null) {
          return;
        }
        try {
          const begun = await backend.askExtension<{ score: Score }>('POST', 'csv/scores', {
            path,
            model: choice.model,
            columns: choice.columns
          });
          void watch(begun.score);
        } catch (error) {
          const { message, action } = asFailure(error);
          void showErrorMessage(trans.__('The file cannot be scored'), `${message} ${action}`);
        }
      }
    });
    palette?.addItem({
      command: SCORE_CSV,
      category: 'TensorTrigger',
      args: { isPalette: true }
    });
    // The settings hold the entry of the context menu.
    registry?.load(PLUGIN).catch(() => undefined);

    // What was started before a reload is followed on.
    void app.restored.then(async () => {
      try {
        const { scores } = await backend.askExtension<{ scores: Score[] }>('GET', 'csv/scores');
        for (const score of scores) {
          if (!['succeeded', 'failed', 'cancelled'].includes(score.state)) {
            void watch(score);
          }
        }
      } catch {
        // No server extension or no backend: the panel says so.
      }
    });
  }
};
