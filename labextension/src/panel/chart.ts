/** One metric's curves on a canvas. */

import uPlot from 'uplot';

import { Axis, align } from './curves';
import { Curve } from './decimate';
import { Palette, palette } from './palette';

export interface Line {
  /** Tells this curve from the others of the chart. */
  key: string;
  /** The run's letter, and its place among the colours. */
  letter: string;
  colour: number;
  validation: boolean;
  label: string;
  /** What is drawn: smoothed and thinned. */
  curve: Curve;
}

export interface Look {
  axis: Axis;
  log: boolean;
}

export const HEIGHT = 180;

export class Chart {
  /** `pointed` hears the x under the cursor, null when it leaves. */
  constructor(
    private readonly host: HTMLElement,
    private readonly pointed: (x: number | null) => void
  ) {
    this.observer = new ResizeObserver(() => {
      const width = this.host.clientWidth;
      if (this.plot && width > 0 && width !== this.plot.width) {
        this.plot.setSize({ width, height: HEIGHT });
      }
    });
    this.observer.observe(host);
  }

  /** Draw these curves. The canvas is made anew only where there are other curves or another look. */
  update(lines: readonly Line[], look: Look): void {
    const positive = lines.some(({ curve }) => curve.y.some(value => value !== null && value > 0));
    const log = look.log && positive;
    const data = align(
      lines.map(({ curve }) =>
        log ? { x: curve.x, y: curve.y.map(value => (value && value > 0 ? value : null)) } : curve
      )
    ) as uPlot.AlignedData;
    const shape = JSON.stringify([
      log,
      look.axis,
      lines.map(line => [line.key, line.letter, line.colour])
    ]);
    this.lines = lines;
    this.look = look;
    if (this.plot && shape === this.shape) {
      this.plot.setData(data);
    } else {
      this.shape = shape;
      this.build(data, log);
    }
  }

  /** The theme changed. */
  restyle(): void {
    this.shape = '';
    if (this.look) {
      this.update(this.lines, this.look);
    }
  }

  /** Put the cursor so many points further, or at an end; the first time at the newest point. */
  step(by: number): void {
    const plot = this.plot;
    if (!plot || plot.data[0].length === 0) {
      return;
    }
    const last = plot.data[0].length - 1;
    const from = plot.cursor.idx;
    const at = from === null || from === undefined ? last : from + by;
    const index = Math.max(0, Math.min(last, at));
    plot.setCursor({ left: plot.valToPos(plot.data[0][index], 'x'), top: 4 });
  }

  /** Take the cursor away. */
  leave(): void {
    this.plot?.setCursor({ left: -10, top: -10 });
  }

  dispose(): void {
    this.observer.disconnect();
    this.plot?.destroy();
    this.plot = null;
  }

  private build(data: uPlot.AlignedData, log: boolean): void {
    this.plot?.destroy();
    const colours = palette();
    const axis: uPlot.Axis = {
      stroke: colours.text,
      font: colours.font,
      grid: { stroke: colours.grid, width: 1 },
      ticks: { stroke: colours.grid, width: 1 }
    };
    const options: uPlot.Options = {
      width: Math.max(80, this.host.clientWidth),
      height: HEIGHT,
      legend: { show: false },
      cursor: { drag: { x: false, y: false }, y: false },
      scales: { x: { time: false }, y: { distr: log ? 3 : 1 } },
      axes: [
        { ...axis, size: 28, space: 44 },
        { ...axis, size: 52, values: (_, ticks) => ticks.map(shortly) }
      ],
      series: [
        {},
        ...this.lines.map(line => ({
          label: line.label,
          stroke: colours.curves[line.colour % colours.curves.length],
          width: 1.5,
          dash: line.validation ? [6, 4] : undefined
        }))
      ],
      hooks: {
        setCursor: [
          plot => {
            const { idx } = plot.cursor;
            this.pointed(idx === null || idx === undefined ? null : plot.data[0][idx]);
          }
        ],
        draw: [plot => this.letters(plot, colours)]
      }
    };
    this.plot = new uPlot(options, data, this.host);
  }

  /** Each run's letter at the end of its curve, where there are several runs. */
  private letters(plot: uPlot, colours: Palette): void {
    if (new Set(this.lines.map(line => line.letter)).size < 2) {
      return;
    }
    const { ctx } = plot;
    ctx.save();
    ctx.font = `bold ${11 * uPlot.pxRatio}px ${colours.font.slice(colours.font.indexOf(' ') + 1)}`;
    ctx.textAlign = 'right';
    ctx.textBaseline = 'bottom';
    this.lines.forEach((line, index) => {
      const values = plot.data[index + 1];
      // Side by side, so that the letters of curves that end together can all be read.
      const most = plot.bbox.left + plot.bbox.width - line.colour * 12 * uPlot.pxRatio;
      let end = values.length - 1;
      while (
        end >= 0 &&
        (typeof values[end] !== 'number' || plot.valToPos(plot.data[0][end], 'x', true) > most)
      ) {
        end -= 1;
      }
      if (end >= 0 && !line.validation) {
        ctx.fillStyle = colours.curves[line.colour % colours.curves.length];
        const left = plot.valToPos(plot.data[0][end], 'x', true);
        const top = plot.valToPos(values[end] as number, 'y', true);
        ctx.fillText(line.letter, left, Math.max(top - 2, plot.bbox.top + 12 * uPlot.pxRatio));
      }
    });
    ctx.restore();
  }

  private readonly observer: ResizeObserver;
  private plot: uPlot | null = null;
  private shape = '';
  private lines: readonly Line[] = [];
  private look: Look | null = null;
}

const COMPACT = new Intl.NumberFormat(undefined, {
  notation: 'compact',
  maximumSignificantDigits: 4
});

/** A tick's value, short enough to stand beside the axis whole; empty for those that a log scale leaves out. */
function shortly(value: number | null): string {
  if (value === null) {
    return '';
  }
  const size = Math.abs(value);
  return value !== 0 && (size < 1e-3 || size >= 1e12)
    ? value.toExponential(0)
    : COMPACT.format(value);
}
