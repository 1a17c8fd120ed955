/** Which runs the tab of trainings shows by itself. */

import { PanelState } from '../src/panel/state';

const run = (run_id: string, state = 'running') => ({ run_id, state });

describe('the runs that are shown', () => {
  it('are the newest one while nobody has chosen', () => {
    const state = new PanelState();
    state.offer(run('old', 'succeeded'));
    expect(state.runIds).toEqual(['old']);
    state.offer(run('new'));
    expect(state.runIds).toEqual(['new']);
  });

  it('are joined by a new training beside those that somebody chose', () => {
    const state = new PanelState();
    state.chooseRuns(['a', 'b']);
    state.offer(run('new'));
    expect(state.runIds).toEqual(['a', 'b', 'new']);
  });

  it('are not joined again by one that was put away, nor by one that has ended', () => {
    const state = new PanelState();
    state.chooseRuns([]);
    state.offer(run('new'));
    state.chooseRuns([]);
    state.offer(run('new'));
    state.offer(run('ended', 'succeeded'));
    expect(state.runIds).toEqual([]);
  });

  it('stay what the caller opened', () => {
    const state = new PanelState();
    state.open('training', 'asked-for');
    state.offer(run('ended', 'succeeded'));
    expect(state.runIds).toEqual(['asked-for']);
  });
});
