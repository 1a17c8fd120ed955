/** Which publishing belongs to which notebook: one at a time, seen in a dialog or told by a notification. */

import { NotebookActions, NotebookPanel } from '@jupyterlab/notebook';
import type { TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';

import { IBackend } from '../client';
import { openPanel } from '../commands';
import { IHealth } from '../health';
import { KernelBridge } from '../kernel/bridge';
import { BackgroundNotice } from './background';
import { PublishDialog } from './dialog';
import { PublishFlow } from './flow';
import { over, underWay } from './states';

/** One publishing and what shows it. */
interface IEntry {
  flow: PublishFlow;
  dialog: PublishDialog | null;
  notice: BackgroundNotice | null;
}

export class PublishDesk {
  constructor(
    private readonly commands: CommandRegistry,
    private readonly backend: IBackend,
    private readonly health: IHealth,
    private readonly trans: TranslationBundle
  ) {}

  /** Begin for a notebook and its kernel of this moment, or show what is under way there. */
  async publish(panel: NotebookPanel): Promise<void> {
    const entry = this.entries.get(panel) ?? this.begin(panel);
    if (entry) {
      await this.show(panel, entry);
    }
  }

  private begin(panel: NotebookPanel): IEntry | null {
    const kernel = panel.sessionContext.session?.kernel;
    if (!kernel) {
      return null;
    }
    void this.health.refresh();
    const flow = new PublishFlow(new KernelBridge(kernel), this.backend);
    const entry: IEntry = { flow, dialog: null, notice: null };
    this.entries.set(panel, entry);
    // A failure that nobody looks at keeps its kernel for a way back to the form, but not beyond the notebook.
    panel.disposed.connect(() => {
      if (over(flow.state)) {
        flow.dispose();
      }
    });
    return entry;
  }

  private async show(panel: NotebookPanel, entry: IEntry): Promise<void> {
    if (entry.dialog) {
      return;
    }
    entry.notice?.dispose();
    entry.notice = null;
    entry.dialog = new PublishDialog(
      entry.flow,
      this.health,
      {
        notebookOpen: () => !panel.isDisposed,
        insertCell: source => insertCell(panel, source),
        openInPanel: modelId => openPanel(this.commands, 'models', modelId)
      },
      panel.title.label,
      this.trans
    );
    // However it was closed: what is under way goes on, the rest is over.
    await entry.dialog.launch().catch(() => undefined);
    entry.dialog = null;
    if (underWay(entry.flow.state)) {
      entry.notice = new BackgroundNotice({
        flow: entry.flow,
        trans: this.trans,
        show: () => void this.show(panel, entry),
        openInPanel: modelId => openPanel(this.commands, 'models', modelId),
        // It can still be shown from the notification; the notebook is free for another.
        finished: () => {
          this.forget(panel, entry);
          if (panel.isDisposed) {
            entry.flow.dispose();
          }
        }
      });
    } else {
      this.forget(panel, entry);
      entry.flow.dispose();
    }
  }

  private forget(panel: NotebookPanel, entry: IEntry): void {
    if (this.entries.get(panel) === entry) {
      this.entries.delete(panel);
    }
  }

  private readonly entries = new Map<NotebookPanel, IEntry>();
}

/** A new cell below the active one, selected and not run. */
export function insertCell(panel: NotebookPanel, source: string): void {
  if (panel.isDisposed) {
    return;
  }
  const notebook = panel.content;
  NotebookActions.insertBelow(notebook);
  notebook.activeCell?.model.sharedModel.setSource(source);
  notebook.mode = 'edit';
}
