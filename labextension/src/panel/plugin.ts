/** Puts the side panel in place: its command, its entry in the palette, its place after a reload. */

import { ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, IThemeManager } from '@jupyterlab/apputils';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import 'uplot/dist/uPlot.min.css';

import { IActivity } from '../activity';
import { IBackend } from '../client';
import { OPEN_PANEL } from '../commands';
import { IHealth } from '../health';
import { tensorIcon } from '../icons';
import { PanelBody } from './body';
import { Catalogue } from './catalogue';
import { historyOf } from './older';
import { FollowerPool } from './pool';
import { PanelState, isTab } from './state';

const PLUGIN = 'tensortrigger-lab:panel';
const CATEGORY = 'TensorTrigger';

export const panelPlugin: JupyterFrontEndPlugin<void> = {
  id: PLUGIN,
  description: 'A side panel of models, jobs and trainings.',
  autoStart: true,
  requires: [IBackend, IHealth, IActivity],
  optional: [ITranslator, ISettingRegistry, ILayoutRestorer, ICommandPalette, IThemeManager],
  activate: (
    app: JupyterFrontEnd,
    backend: IBackend,
    health: IHealth,
    activity: IActivity,
    translator: ITranslator | null,
    registry: ISettingRegistry | null,
    restorer: ILayoutRestorer | null,
    commands: ICommandPalette | null,
    themes: IThemeManager | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('tensortrigger_lab');
    const state = new PanelState();
    const catalogue = new Catalogue(backend, () => health.usable);
    const themed = new Signal<object, void>(state);
    themes?.themeChanged.connect(() => {
      // The new colours stand only once the style sheet is in.
      window.setTimeout(() => themed.emit(), 50);
    });
    const body = new PanelBody({
      backend,
      health,
      activity,
      catalogue,
      history: historyOf(activity, backend),
      pool: new FollowerPool(backend),
      commands: app.commands,
      state,
      trans,
      themed
    });
    body.id = 'tensortrigger-panel';
    body.title.icon = tensorIcon;
    body.title.caption = trans.__('TensorTrigger: models, jobs and trainings');
    body.node.setAttribute('role', 'region');
    body.node.setAttribute('aria-label', trans.__('TensorTrigger'));

    const look = () => {
      catalogue.watch(state.seen && state.tab === 'models');
      if (state.seen) {
        void health.refresh();
      }
    };
    let before = '';
    state.changed.connect(() => {
      const now = `${state.seen} ${state.tab}`;
      if (now !== before) {
        before = now;
        look();
      }
    });
    let usable = health.usable;
    health.changed.connect(() => {
      if (health.usable && !usable && state.seen) {
        void catalogue.refresh();
      }
      usable = health.usable;
    });

    app.commands.addCommand(OPEN_PANEL, {
      label: args =>
        args.tab === 'jobs'
          ? trans.__('Show Jobs')
          : args.tab === 'training'
            ? trans.__('Show Trainings')
            : args.tab === 'models'
              ? trans.__('Show Models')
              : trans.__('Show TensorTrigger Panel'),
      caption: trans.__('Open the side panel of models, jobs and trainings'),
      icon: args => (args.isPalette ? undefined : tensorIcon),
      describedBy: {
        args: {
          type: 'object',
          properties: {
            tab: { type: 'string', enum: ['models', 'jobs', 'training'] },
            id: { type: 'string', description: 'Of the model, job or run to show' }
          }
        }
      },
      execute: args => {
        const tab = isTab(args.tab) ? args.tab : state.tab;
        state.open(tab, typeof args.id === 'string' ? args.id : undefined);
        app.shell.activateById(body.id);
      }
    });
    if (commands) {
      for (const tab of ['models', 'jobs', 'training']) {
        commands.addItem({
          command: OPEN_PANEL,
          category: CATEGORY,
          args: { tab, isPalette: true }
        });
      }
    }

    const place = (side: 'left' | 'right') => {
      if (!body.parent || ![...app.shell.widgets(side)].includes(body)) {
        app.shell.add(body, side, { rank: 850, type: 'TensorTrigger' });
      }
    };
    // It stands before the layout of the last visit is restored, which opens it again where it was open.
    place('right');
    restorer?.add(body, body.id);
    registry
      ?.load(PLUGIN)
      .then(settings => {
        const obey = () => {
          const { area } = settings.user;
          // Without a choice here it stays where it was put by other means.
          if (area === 'left' || area === 'right') {
            place(area);
          }
        };
        obey();
        settings.changed.connect(obey);
        // A layout of the last visit may hold the side that was chosen then.
        void app.restored.then(obey);
      })
      .catch(() => undefined);
  }
};
