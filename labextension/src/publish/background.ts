/** A publishing that nobody watches, as a notification: how it goes, how to see it, how to stop it. */

import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDisposable } from '@lumino/disposable';

import { copy } from '../clipboard';
import { PublishFlow } from './flow';
import { over, PublishState } from './states';
import { checkTold, STAGES, stateTold } from './words';

interface IBackgroundOptions {
  flow: PublishFlow;
  trans: TranslationBundle;
  show: () => void;
  openInPanel: (modelId: string) => void;
  /** The last word has been said; the flow is no longer needed unless somebody looks again. */
  finished: () => void;
}

export class BackgroundNotice implements IDisposable {
  constructor(private readonly options: IBackgroundOptions) {
    const { flow, trans } = options;
    this.told = stateTold(flow.state, trans);
    this.id = Notification.emit(this.told, 'in-progress', {
      autoClose: false,
      actions: this.goingActions(),
      progress: share(flow.state)
    });
    flow.changed.connect(this.onChanged, this);
    this.onChanged(flow, flow.state);
  }

  get isDisposed(): boolean {
    return this.disposed;
  }

  /** Take the notification back, as when the dialog is shown again. */
  dispose(): void {
    if (!this.disposed) {
      this.stop();
      Notification.dismiss(this.id);
    }
  }

  private onChanged(_: PublishFlow, state: PublishState): void {
    if (over(state)) {
      this.stop();
      this.finish(state);
      this.options.finished();
      return;
    }
    const told = stateTold(state, this.options.trans);
    if (told !== this.told) {
      this.told = told;
      Notification.update({
        id: this.id,
        message: told,
        type: 'in-progress',
        autoClose: false,
        actions: this.goingActions(),
        progress: share(state)
      });
    }
  }

  private finish(state: PublishState): void {
    const { trans, openInPanel, show } = this.options;
    if (state.phase === 'stopped') {
      this.last(trans.__('Publishing %1 was cancelled.', state.form.name), 'info', [], 5000);
      return;
    }
    if (state.phase === 'failed') {
      const message = `${stateTold(state, trans)} ${state.failure?.message ?? ''}`;
      this.last(message, 'error', [{ label: trans.__('Show'), callback: show }], false);
      return;
    }
    const { model, curl, check } = state.progress ?? {};
    const wrong = check?.matched === false;
    const told = check
      ? `${stateTold(state, trans)} ${checkTold(check, trans)}`
      : stateTold(state, trans);
    const actions: Notification.IAction[] = [{ label: trans.__('Show'), callback: show }];
    if (model) {
      actions.push({
        label: trans.__('Open in panel'),
        callback: () => openInPanel(model.model_id)
      });
    }
    if (curl) {
      actions.push({ label: trans.__('Copy curl'), callback: () => copy(curl) });
    }
    this.last(told, wrong ? 'error' : 'success', actions, wrong ? false : 30_000);
  }

  private last(
    message: string,
    type: Notification.TypeOptions,
    actions: Notification.IAction[],
    autoClose: number | false
  ): void {
    const known = Notification.update({ id: this.id, message, type, actions, autoClose });
    if (!known) {
      // It was dismissed meanwhile; the end is still worth a word.
      Notification.emit(message, type, { actions, autoClose });
    }
  }

  private goingActions(): Notification.IAction[] {
    const { flow, trans, show } = this.options;
    return [
      { label: trans.__('Show'), callback: show },
      {
        label: trans.__('Cancel'),
        callback: event => {
          // The notification stays until the kernel has said that it is cancelled.
          event.preventDefault();
          flow.send({ type: 'cancel' });
        }
      }
    ];
  }

  private stop(): void {
    this.disposed = true;
    this.options.flow.changed.disconnect(this.onChanged, this);
  }

  private readonly id: string;
  private told: string;
  private disposed = false;
}

/** How much is done, from 0 to 1. */
function share(state: PublishState): number {
  const at = STAGES.indexOf(state.progress?.state ?? 'saving');
  return Math.max(0, at) / STAGES.length;
}
