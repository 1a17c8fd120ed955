/** The extension's own icons; classes, not colours, so that they follow the theme. */

import { LabIcon } from '@jupyterlab/ui-components';

/** A tensor's grid with a spark: the mark of the extension. */
export const tensorIcon = new LabIcon({
  name: 'tensortrigger-lab:tensor',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3" fill="#616161">
    <path d="M3 3h5v5H3zM3 9.5h5v5H3zM3 16h5v5H3zM9.5 16h5v5h-5zM9.5 3h5v3.6l-5 1.4z"/>
    <path d="M18.6 3.2 10.2 14h4.6l-1.5 7 8-11.2h-4.7z"/>
  </g>
</svg>`
});

/** A box that is sent upwards: publish. */
export const publishIcon = new LabIcon({
  name: 'tensortrigger-lab:publish',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3" fill="#616161">
    <path d="M12 2 6.2 7.8l1.5 1.5L11 6v10h2V6l3.3 3.3 1.5-1.5z"/>
    <path d="M3 13h2v6.5h14V13h2v8.5H3z"/>
  </g>
</svg>`
});

/** A falling curve over its axes: a training. */
export const trainingIcon = new LabIcon({
  name: 'tensortrigger-lab:training',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3" fill="#616161">
    <path d="M3 3h2v16h16v2H3z"/>
    <path d="M7 4.5h2c.4 6.6 3.2 10 11.5 11v2C11 16.5 7.4 12.3 7 4.5z"/>
  </g>
</svg>`
});

/** Rows that become marked: a scoring job. */
export const scoringIcon = new LabIcon({
  name: 'tensortrigger-lab:scoring',
  svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">
  <g class="jp-icon3" fill="#616161">
    <path d="M3 5h10v2H3zM3 11h8v2H3zM3 17h8v2H3z"/>
    <path d="m21.3 9.4-1.4-1.4-4.4 4.4-1.9-1.9-1.4 1.4 3.3 3.300z"/>
  </g>
</svg>`
});
