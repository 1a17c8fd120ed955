/** The commands that pieces of this extension call on one another. */

import type { CommandRegistry } from '@lumino/commands';

export const OPEN_PANEL = 'tensortrigger:open-panel';

export type Tab = 'models' | 'jobs' | 'training';

/** Show the panel at a tab, and one thing in it; nothing happens where an administrator has disabled the panel. */
export function openPanel(commands: CommandRegistry, tab: Tab, id?: string): void {
  if (commands.hasCommand(OPEN_PANEL)) {
    const args = id === undefined ? { tab } : { tab, id };
    commands.execute(OPEN_PANEL, args).catch(reason => console.error(reason));
  }
}
