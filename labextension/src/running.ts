/** Jobs and trainings under Running Terminals and Kernels, with a Stop that works. */

import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { IRunningSessionManagers, IRunningSessions } from '@jupyterlab/running';
import { ITranslator, nullTranslator, TranslationBundle } from '@jupyterlab/translation';
import { CommandRegistry } from '@lumino/commands';
import { ISignal } from '@lumino/signaling';

import { IActivity } from './activity';
import { IBackend } from './client';
import { openPanel } from './commands';
import { asFailure } from './failure';
import { scoringIcon, trainingIcon } from './icons';
import { nameOf, shareOf, shareTold, Work, workOf } from './work';

/** The section of our own in that list. */
export class RunningWork implements IRunningSessions.IManager {
  constructor(
    private readonly activity: IActivity,
    private readonly backend: IBackend,
    private readonly commands: CommandRegistry,
    private readonly trans: TranslationBundle
  ) {
    this.name = trans.__('TensorTrigger Jobs and Trainings');
    this.shutdownLabel = trans.__('Stop');
    this.shutdownAllLabel = trans.__('Stop All');
    this.shutdownAllConfirmationText = trans.__(
      'Stop all scoring jobs and all trainings that run in the backend?'
    );
  }

  readonly name: string;
  readonly shutdownLabel: string;
  readonly shutdownAllLabel: string;
  readonly shutdownAllConfirmationText: string;

  get runningChanged(): ISignal<IActivity, void> {
    return this.activity.changed;
  }

  running(): IRunningSessions.IRunningItem[] {
    return workOf(this.activity).map(work => {
      const id = work.kind === 'job' ? work.job.job_id : work.run.run_id;
      const trains = work.kind === 'run' || work.job.kind === 'train';
      return {
        label: () => nameOf(work, this.trans),
        labelTitle: () => this.title(work),
        detail: () => shareTold(shareOf(work)),
        icon: () => (trains ? trainingIcon : scoringIcon),
        open: () => openPanel(this.commands, trains ? 'training' : 'jobs', id),
        // A notebook's own fit is stopped in the notebook: the backend only hears of it.
        ...(work.kind === 'job' ? { shutdown: () => void this.stop([id]) } : {})
      };
    });
  }

  refreshRunning(): void {
    void this.activity.refresh();
  }

  shutdownAll(): void {
    void this.stop(this.activity.activeJobs.map(job => job.job_id));
  }

  private title(work: Work): string {
    return work.kind === 'run'
      ? this.trans.__('A training in a notebook: interrupt its kernel to stop it.')
      : this.trans.__('Job %1, %2', work.job.job_id, work.job.state);
  }

  private async stop(jobs: readonly string[]): Promise<void> {
    const answers = await Promise.allSettled(
      jobs.map(id => this.backend.ask('POST', `jobs/${encodeURIComponent(id)}/cancel`))
    );
    const fault = answers.find(answer => answer.status === 'rejected');
    if (fault?.status === 'rejected') {
      const { message, action } = asFailure(fault.reason);
      Notification.error(this.trans.__('A job could not be stopped: %1', `${message} ${action}`), {
        autoClose: 10_000
      });
    }
    await this.activity.refresh();
  }
}

export const runningPlugin: JupyterFrontEndPlugin<void> = {
  id: 'tensortrigger-lab:running',
  description: 'Lists TensorTrigger jobs and trainings among the running things.',
  autoStart: true,
  requires: [IActivity, IBackend],
  optional: [IRunningSessionManagers, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    activity: IActivity,
    backend: IBackend,
    managers: IRunningSessionManagers | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('tensortrigger_lab');
    managers?.add(new RunningWork(activity, backend, app.commands, trans));
  }
};
