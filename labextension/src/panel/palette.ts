/** The theme's own colours, for drawing on a canvas that knows no CSS. */

/** One a run. They differ in lightness too, and each run has its letter, so no curve is known by colour alone. */
const CURVES = [
  '--jp-brand-color1',
  '--jp-warn-color1',
  '--jp-success-color1',
  '--jp-error-color1',
  '--jp-mirror-editor-keyword-color',
  '--jp-ui-font-color2'
];

export interface Palette {
  curves: string[];
  text: string;
  grid: string;
  font: string;
}

export function palette(): Palette {
  const style = getComputedStyle(document.body);
  const read = (name: string, otherwise: string) =>
    style.getPropertyValue(name).trim() || otherwise;
  return {
    curves: CURVES.map(name => read(name, 'gray')),
    text: read('--jp-ui-font-color1', 'gray'),
    grid: read('--jp-border-color2', 'silver'),
    font: `11px ${read('--jp-ui-font-family', 'sans-serif')}`
  };
}

/** The CSS variable of a run's colour, for what is drawn by CSS. */
export function colourOf(index: number): string {
  return `var(${CURVES[index % CURVES.length]})`;
}
