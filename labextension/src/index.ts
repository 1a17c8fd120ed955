/** The plugins, as JupyterLab and Notebook 7 load them. */

import { JupyterFrontEndPlugin } from '@jupyterlab/application';

import { activityPlugin } from './activity';
import { clientPlugin } from './client';
import { csvPlugin } from './csv/plugin';
import { healthPlugin } from './health';
import { launcherPlugin } from './launcher';
import { panelPlugin } from './panel/plugin';
import { publishPlugin } from './publish/plugin';
import { runningPlugin } from './running';
import { statusBarPlugin } from './statusbar';

const plugins: JupyterFrontEndPlugin<any>[] = [
  clientPlugin,
  healthPlugin,
  activityPlugin,
  panelPlugin,
  csvPlugin,
  publishPlugin,
  statusBarPlugin,
  launcherPlugin,
  runningPlugin
];

export default plugins;
